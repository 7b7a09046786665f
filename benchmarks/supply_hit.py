"""What a hit costs: a component with five declaration files and a package of 200 files.

    python -m benchmarks.supply_hit [--quick] [--rounds N] [--json FILE]

Rules of this file:

1. Every contender has one turn in each round; the order is shuffled anew for each round.
2. Each answer is checked to be a hit on the same environment, and one that was edited is checked to
   be noticed. A wrong answer ends the benchmark; a time never does.
3. The command is measured as it is installed, beside the interpreter of the same environment.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import figures, installed, machine, show
from orq_runtime import Environment, Runtime

__all__ = ["main"]

_ROUNDS = 30
_CALLS = 20
_PROCESSES = 3
_BARE = "bare interpreter"
_SEED = 3
_FILES = 200

_BACKEND = """
import base64, hashlib, pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    found = sorted(pathlib.Path("src").rglob("*.py"))
    files = {str(p.relative_to("src")): p.read_bytes() for p in found}
    metadata = b"Metadata-Version: 2.1\\nName: core\\nVersion: 1.0\\n\\n"
    files["core-1.0.dist-info/METADATA"] = metadata
    files["core-1.0.dist-info/WHEEL"] = (
        b"Wheel-Version: 1.0\\nGenerator: bench\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    )
    record = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(content)}")
    record += ["core-1.0.dist-info/RECORD,,", ""]
    files["core-1.0.dist-info/RECORD"] = "\\n".join(record).encode()
    with zipfile.ZipFile(pathlib.Path(directory, "core-1.0-py3-none-any.whl"), "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return "core-1.0-py3-none-any.whl"
"""
_DECLARATIONS = {
    "requirements.txt": "-r more.txt\n",
    "more.txt": "# nothing that an index would have to give\n",
    "setup.cfg": "[metadata]\nname = core\n",
    "uv.lock": "version = 1\n",
    "pyproject.toml": (
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the rows, write the result file if one is named."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (2 if options.quick else _ROUNDS)
    before = machine.load_average()
    with _ready() as (component, cache, environment):
        field = _contenders(component, cache, environment)
        measured = _measure(field, rounds)
        _check_an_edit_is_noticed(component, cache, environment)
    bare = measured[_BARE]
    rows = [
        {
            "work": "package of 200 files",
            "contender": name,
            "pace": "back to back",
            **figures.summary(turns),
            "ratio_to_bare": figures.median_ratio(turns, bare),
            "samples_ms": [[round(s * 1000, 4) for s in turn] for turn in turns.values()],
        }
        for name, turns in measured.items()
    ]
    result = {
        "benchmark": "supply_hit",
        "format": 1,
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "load_average": {"before": before, "after": machine.load_average()},
        "source": machine.source_version(),
        "versions": machine.versions([environment]),
        "settings": {"rounds": rounds, "calls_in_a_turn": _CALLS, "files": _FILES, "seed": _SEED},
        "figures": {
            "hit_api": _median_ms(rows, "hit, API"),
            "hit_cli": figures.median_ratio(measured["hit, CLI"], bare),
        },
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result file")
    return parser


@contextlib.contextmanager
def _ready() -> Iterator[tuple[Path, Path, Environment]]:
    """The component, a store that has its environment, and that."""
    with tempfile.TemporaryDirectory(prefix="supply-hit-") as folder:
        component = Path(folder) / "core"
        package = component / "src" / "core"
        package.mkdir(parents=True)
        for name, text in {**_DECLARATIONS, "backend.py": _BACKEND}.items():
            (component / name).write_text(text, "utf-8")
        for number in range(_FILES):
            (package / f"module{number}.py").write_text(f"X = {number}\n" * 40, "utf-8")
        cache = Path(folder) / "cache"
        with Runtime(cache_dir=cache) as runtime:
            environment = runtime.supply(component)
        try:
            yield component, cache, environment
        finally:
            for path in cache.rglob("*"):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o700)


def _contenders(
    component: Path, cache: Path, environment: Environment
) -> Mapping[str, Callable[[], list[float]]]:
    """Each gives the seconds of its turn's calls."""
    runtime = Runtime(cache_dir=cache)

    def hit() -> None:
        found = runtime.supply(component)
        if (found.key, found.origin) != (environment.key, "hit"):
            raise AssertionError("the store did not answer")

    def first_hit() -> None:
        with Runtime(cache_dir=cache) as fresh:
            if fresh.supply(component).origin != "hit":
                raise AssertionError("the store did not answer")

    python, command = installed.install(component.parent / "installed")
    supply = [str(command), "supply", str(component), "--cache-dir", str(cache)]
    expected = (0, f"{environment.path}\n".encode())
    bare = [str(python), "-I", "-c", "pass"]

    return {
        _BARE: lambda: _timed(lambda: _is_said(_spawned(bare), (0, b"")), _PROCESSES),
        "hit, API": lambda: _timed(hit, _CALLS),
        "first hit, API": lambda: _timed(first_hit, 3),
        "hit, CLI": lambda: _timed(lambda: _is_said(_spawned(supply), expected), _PROCESSES),
    }


def _spawned(command: Sequence[str]) -> tuple[int, bytes]:
    """Start it, read what it says to the end, and wait for it."""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    ours, theirs = os.pipe()
    with open(ours, "rb") as reader:
        actions = [(os.POSIX_SPAWN_DUP2, theirs, number) for number in (1, 2)]
        pid = os.posix_spawn(command[0], list(command), environ, file_actions=actions)
        os.close(theirs)
        said = reader.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def _is_said(said: tuple[int, bytes], expected: tuple[int, bytes]) -> None:
    if said != expected:
        raise AssertionError(f"the store did not answer: {said!r}")


def _median_ms(rows: Sequence[Mapping[str, object]], contender: str) -> object:
    return next(row["median_ms"] for row in rows if row["contender"] == contender)


def _timed(call: Callable[[], None], times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        before = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - before)
    return seconds


def _measure(
    field: Mapping[str, Callable[[], list[float]]], rounds: int
) -> dict[str, dict[int, list[float]]]:
    measured: dict[str, dict[int, list[float]]] = {name: {} for name in field}
    order = random.Random(_SEED)
    for number in range(rounds):
        for name in order.sample([*field], len(field)):
            measured[name][number] = field[name]()
    return measured


def _check_an_edit_is_noticed(component: Path, cache: Path, environment: Environment) -> None:
    (component / "src" / "core" / "module7.py").write_text("X = 'edited'\n", "utf-8")
    with Runtime(cache_dir=cache) as runtime:
        if runtime.supply(component).key == environment.key:
            raise AssertionError("an edit was not noticed")


if __name__ == "__main__":
    sys.exit(main())
