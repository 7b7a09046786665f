"""What a cold supply costs, and a cold run, beside `uv venv` and `uv pip install` of the same lock.

    python -m benchmarks.cold [--quick] [--rounds N] [--work NAME] [--json FILE]

Rules of this file:

1. Every contender has one turn of one call in each round, in an order shuffled anew.
2. Both sides have the same lock with the same hashes, a warm cache of uv's, hard links, an index on
   127.0.0.1, and end with the same bytecode: of what the direct requirements import (`imports`;
   uv's side imports it once), or all (`all`; `--compile-bytecode`). That is checked.
3. Cold is a store in which nothing knows the lock: no environment, no lock, no memo. It knows the
   interpreter and has its support layer, as after any supply. An *empty* store
   has nothing but uv's cache.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import functools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

from benchmarks import figures, local_index, machine, show
from benchmarks.contenders import spawn
from benchmarks.workloads import WORKLOADS, Workload
from orq_runtime import Environment, Runtime, Step

__all__ = ["main"]

_ROUNDS = 15
_SEED = 4
_LIMIT = 1.25
_PARTS = ("environments", "locks", "memos", "used")
_KEPT = ("uv",)

Call = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One of ours, beside uv's way to the same thing. `has_target`: the limit holds for it."""

    work: str
    peer: str
    calls: Mapping[str, Call]
    judged: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the rows, write the result file if one is named."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (2 if options.quick else _ROUNDS)
    works = [work for work in WORKLOADS if options.work in (None, work.name)]
    before = machine.load_average()
    rows: list[dict[str, object]] = []
    targets: list[dict[str, object]] = []
    environments: list[Environment] = []
    for work in works:
        with _ready(work) as ready:
            environments.append(ready.environment)
            for question in ready.questions():
                measured = _measure(question, rounds)
                rows += _rows(question, measured)
                targets += _targets(question, measured)
    result = {
        "benchmark": "cold",
        "format": 1,
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "load_average": {"before": before, "after": machine.load_average()},
        "source": machine.source_version(),
        "versions": machine.versions(environments),
        "settings": {"rounds": rounds, "seed": _SEED},
        "base": "uv",
        "targets": targets,
        "rows": rows,
    }
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(show.tables(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two rounds: proves that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {_ROUNDS}")
    parser.add_argument(
        "--work", choices=[work.name for work in WORKLOADS], help="default: all of them"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result file")
    return parser


# -- what is measured ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A workload with everything made that is not measured: caches, index, lock."""

    work: Workload
    file: Path
    lock: Path
    root: Path
    index: str
    environment: Environment

    def questions(self) -> Iterator[_Question]:
        """What is asked of both sides."""
        # all of scikit-learn's takes minutes a round, and is compiling and nothing else
        for bytecode in ("imports", "all") if self.work.name == "hello" else ("imports",):
            calls: dict[str, Call] = {
                "uv": functools.partial(self._uv, bytecode),
                "uv, at a path it knows": functools.partial(self._uv, bytecode, is_known=True),
                "orq": functools.partial(self._supplied, bytecode),
                "orq, empty store": functools.partial(self._supplied, bytecode, is_empty=True),
            }
            title = f"{self.work.name}, supply, bytecode: {bytecode}"
            yield _Question(work=title, peer="uv", calls=calls, judged=("orq",))
        calls = {"uv": self._uv_and_run, "orq": self._run, "orq, CLI": self._cli}
        title = f"{self.work.name}, supply and run"
        yield _Question(work=title, peer="uv", calls=calls, judged=("orq",))

    # -- ours

    def _supplied(self, bytecode: str, *, is_empty: bool = False) -> float:
        self._make_cold(is_empty=is_empty)
        with _variable("ORQ_RUNTIME_COMPILE", bytecode):
            started = time.perf_counter()
            with Runtime(cache_dir=self._cache, default_index=self.index) as runtime:
                environment = runtime.supply(self.file.parent)
            seconds = time.perf_counter() - started
        if environment.origin != "built":
            raise RuntimeError("the store answered: that was not cold")
        _check_bytecode(environment.site_packages, self._expected(bytecode))
        return seconds

    def _run(self) -> float:
        self._make_cold()
        step = Step(file=self.file, function=self.work.function)
        started = time.perf_counter()
        with Runtime(cache_dir=self._cache, default_index=self.index) as runtime:
            outcome = runtime.run(step, self.work.inputs)
            seconds = time.perf_counter() - started
        self._check(outcome.value)
        return seconds

    def _cli(self) -> float:
        self._make_cold()
        words = [f"{name}:={json.dumps(value)}" for name, value in self.work.inputs.items()]
        argv = [*(sys.executable, "-m", "orq_runtime", "run"), f"{self.file}:{self.work.function}"]
        argv += ["--cache-dir", str(self._cache), "--default-index", self.index]
        argv += [word for text in words for word in ("-i", text)]
        seconds, printed = spawn(argv, dict(os.environ))
        self._check(json.loads(printed))
        return seconds

    @property
    def _cache(self) -> Path:
        return self.root / "cache"

    def _make_cold(self, *, is_empty: bool = False) -> None:
        store = self._cache / "v1"
        for path in list(store.iterdir()):
            if path.name in _PARTS or (is_empty and path.name not in _KEPT):
                _remove(path)
        if not is_empty and not (store / "support").is_dir():
            _prepare(self.root)

    # -- uv's

    def _uv(self, bytecode: str, *, is_known: bool = False) -> float:
        """At a new path, as any project's first; or one whose interpreter uv has in its cache."""
        place = self._place
        _remove(place)
        if not is_known:
            place = self.root / f"uv-{os.urandom(4).hex()}"
        python = str(place / "bin" / "python")
        found = str(self.environment.interpreter.path)
        options = ["--compile-bytecode"] if bytecode == "all" else []
        seconds = self._spawned(uv.find_uv_bin(), "venv", "--python", found, str(place))
        seconds += self._spawned(
            *(uv.find_uv_bin(), "pip", "install", "--python", python, "--no-deps"),
            *("--require-hashes", "-r", str(self.lock), *options),
        )
        if bytecode == "imports":
            names = "import " + ", ".join(self._imports)
            seconds += self._spawned(python, "-I", "-c", names)
        site = next(place.glob("lib/python*/site-packages"))
        self._note(bytecode, site)
        if not is_known:
            place.rename(self._place)
        return seconds

    @property
    def _place(self) -> Path:
        return self.root / "uv-environment"

    def _uv_and_run(self) -> float:
        script = self.work.write_script(self.root, is_checked=False)
        seconds = self._uv("imports")
        python = str(self._place / "bin" / "python")
        more, printed = spawn([python, "-I", script, json.dumps(self.work.inputs)], {})
        self._check(json.loads(printed))
        return seconds + more

    def _spawned(self, *argv: str) -> float:
        environ = {
            "UV_CACHE_DIR": str(self.root / "uv-cache"),
            "HOME": str(self.root),
            "UV_LINK_MODE": "hardlink",
            "UV_DEFAULT_INDEX": self.index,
            "UV_NO_CONFIG": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "PATH": os.defpath,
            "LC_ALL": "C.UTF-8",
        }
        return spawn(argv, environ)[0]

    @property
    def _imports(self) -> Sequence[str]:
        direct = [name for name in self.environment.modules if name in self.work.source]
        return direct or self.environment.modules

    # -- both

    def _check(self, value: object) -> None:
        if value != self.work.value:
            raise RuntimeError(f"`{self.work.name}` gave `{value!r}`")

    def _note(self, bytecode: str, site: Path) -> None:
        (self.root / f"{bytecode}.json").write_text(json.dumps(sorted(_bytecode(site))))

    def _expected(self, bytecode: str) -> set[str]:
        file = self.root / f"{bytecode}.json"
        return set(json.loads(file.read_text())) if file.exists() else set()


def _bytecode(site: Path) -> set[str]:
    return {
        str(path.relative_to(site))
        for path in site.rglob("*.pyc")
        if not path.name.startswith("_virtualenv.")  # uv's own, in its environments
    }


def _check_bytecode(site: Path, expected: set[str]) -> None:
    if missing := expected - _bytecode(site):
        raise RuntimeError(f"{len(missing)} files have no bytecode: {sorted(missing)[:3]}")


# -- what is ready beforehand --------------------------------------------------------------------


@contextlib.contextmanager
def _ready(work: Workload) -> Iterator[_Ready]:
    with tempfile.TemporaryDirectory(prefix="cold-") as folder:
        root = Path(folder)
        try:
            file = work.write_component(root / work.name)
            _fill(root, file.parent)
            with local_index.serving(root / "index") as index:
                with Runtime(cache_dir=root / "cache", default_index=index) as runtime:
                    environment = runtime.supply(file.parent, lock=True)
                lock = root / "lock.txt"
                lines = [
                    f"{pin.name}=={pin.version} {' '.join('--hash=' + d for d in pin.digests)}\n"
                    for pin in environment.lock
                ]
                lock.write_text("".join(lines), "utf-8")
                ready = _Ready(
                    work=work,
                    file=file,
                    lock=lock,
                    root=root,
                    index=index,
                    environment=environment,
                )
                for question in ready.questions():  # caches are warm, and what is expected known
                    for call in question.calls.values():
                        call()
                yield ready
        finally:
            _remove(root / "cache")


def _prepare(root: Path) -> None:
    """Make what every environment has in common, by one of a component that needs nothing."""
    plain = root / "plain"
    plain.mkdir(exist_ok=True)
    (plain / "requirements.txt").write_text("", "utf-8")
    with Runtime(cache_dir=root / "cache") as runtime:
        runtime.supply(plain)


def _fill(root: Path, component: Path) -> None:
    """Fetch the workload's wheels from the user's own index into a local one."""
    with Runtime(cache_dir=root / "first") as runtime:
        runtime.supply(component, vendor=True)
    (root / "index").mkdir()
    (component / "vendor").rename(root / "index" / "files")
    _remove(root / "first")
    local_index.write_pages(root / "index")


def _remove(path: Path) -> None:
    """Also what is read-only in it."""
    for place, _, _ in os.walk(path):
        Path(place).chmod(0o700)
    subprocess.run(["rm", "-rf", path], check=True)


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


# -- figures -------------------------------------------------------------------------------------


def _measure(question: _Question, rounds: int) -> dict[str, dict[int, list[float]]]:
    measured: dict[str, dict[int, list[float]]] = {name: {} for name in question.calls}
    order = random.Random(_SEED)
    for number in range(rounds):
        for name in order.sample([*question.calls], len(question.calls)):
            measured[name][number] = [question.calls[name]()]
    return measured


def _rows(
    question: _Question, measured: Mapping[str, Mapping[int, list[float]]]
) -> list[dict[str, object]]:
    return [
        {
            "work": question.work,
            "contender": name,
            "pace": "cold",
            **figures.summary(turns),
            "ratio_to_bare": figures.median_ratio(turns, measured[question.peer]),
            "samples_ms": [[round(s * 1000, 2) for s in turn] for turn in turns.values()],
        }
        for name, turns in measured.items()
    ]


def _targets(
    question: _Question, measured: Mapping[str, Mapping[int, list[float]]]
) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for name in question.judged:
        ratio = figures.median_ratio(measured[name], measured[question.peer])
        row = {"target": f"{name}: at most {_LIMIT:g} x uv", "work": question.work}
        found.append({**row, "pace": "cold", "ratio": ratio, "holds": ratio <= _LIMIT})
    return found


if __name__ == "__main__":
    sys.exit(main())
