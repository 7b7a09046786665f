"""The peers, ready to be called: what a user would pick instead, each doing the same work.

Rules of this file:

1. A peer is made before the first round, in an environment of its own; nobody is charged for the
   start of what stays running.
2. The first call is made here and not counted. A wrong value ends the benchmark.
3. A peer that cannot be had raises `PeerMissing`, which ends the benchmark with its reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uv

from benchmarks import environments
from benchmarks.environments import PeerMissing
from benchmarks.workloads import Workload
from orq_runtime.cli import pool_peer
from orq_runtime.cli.measuring import Contender, Pace, spawn

__all__ = [
    "FORKS",
    "POOL_REUSED",
    "POOL_SINGLE_USE",
    "AsPeer",
    "Bench",
    "Served",
    "bench_again",
    "bench_of",
    "everybody",
    "pools",
    "served",
]

FORKS = "fork server by hand"
POOL_REUSED = "process pool, reused"
POOL_SINGLE_USE = "process pool, single-use"

_REPOSITORY = Path(__file__).parent.parent
_POOL = Path(pool_peer.__file__)
_CHECKING = ("orjson", "typeguard>=4")
_MONTY = ("pydantic-monty",)


Argv = list[str | os.PathLike[str]]


class Served:
    """A peer's own program, which makes calls when it is asked to, and times them itself."""

    def __init__(self, name: str, process: subprocess.Popen[str], value: object) -> None:
        self.name = name
        self._process = process
        self._value = value

    def ask(self, calls: int = 1) -> float:
        """The seconds of so many calls. Raises RuntimeError for a wrong value."""
        ask, answer = self._process.stdin, self._process.stdout
        assert ask is not None
        assert answer is not None
        try:
            print(calls, file=ask, flush=True)
            said = answer.readline()
        except BrokenPipeError:
            said = ""
        if not said:
            raise PeerMissing(f"{self.name}: it ended; what it said is above")
        seconds, values = json.loads(said)
        if values != [self._value]:
            raise RuntimeError(f"`{self.name}` gave `{values!r}` and not `{self._value!r}`")
        return float(seconds)


AsPeer = contextlib.AbstractContextManager[Served]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A workload with an environment that all peers run it in, and its module beside it."""

    work: Workload
    folder: Path
    interpreter: Path
    python: Path
    script: Path

    @property
    def _call(self) -> list[str]:
        return [self.work.module, self.work.function, json.dumps(self.work.inputs)]

    @contextlib.contextmanager
    def pool(self, *, tasks: int, workers: int = 1) -> Iterator[Served]:
        """`concurrent.futures`: its workers leave after so many tasks; 0 means that they stay."""
        name = POOL_SINGLE_USE if tasks else POOL_REUSED
        argv: Argv = [self.python, _POOL, *self._call, str(tasks), str(workers)]
        with served(name, argv, self.work.value, self.folder) as peer:
            yield peer

    @contextlib.contextmanager
    def process(self, method: str) -> Iterator[Served]:
        """`multiprocessing` with a process for each call."""
        argv: Argv = [self.python, *_peer("process"), *self._call, method]
        name = f"multiprocessing, {method}"
        with served(name, argv, self.work.value, self.folder) as peer:
            yield peer

    @contextlib.contextmanager
    def forks(self, children: int) -> Iterator[Served]:
        """The least that forks, written by hand."""
        argv: Argv = [self.python, *_peer("forks"), *self._call, str(children)]
        with served(FORKS, argv, self.work.value, self.folder) as peer:
            yield peer

    @contextlib.contextmanager
    def isolate(self) -> Iterator[Served]:
        """The package `isolate`."""
        needs = ["isolate[build]", "cloudpickle", "typeguard>=4"]
        python = environments.venv("isolate", self.folder, self.interpreter, needs)
        argv: Argv = [python, *_peer("isolating"), *self._call]
        argv += [uv.find_uv_bin(), str(self.folder / "isolated"), *self.work.requirements]
        with served("isolate", argv, self.work.value, self.folder) as peer:
            yield peer

    @contextlib.contextmanager
    def sandlock(self) -> Iterator[Served]:
        """`sandlock`."""
        python = environments.venv("sandlock", self.folder, self.interpreter, ["sandlock"])
        argv: Argv = [python, *_peer("sandlocked"), self.python, self.script]
        argv += [json.dumps(self.work.inputs), *self.reads()]
        with served("sandlock + python", argv, self.work.value, self.folder) as peer:
            yield peer

    @contextlib.contextmanager
    def monty(self, *, checkouts: int) -> Iterator[Served]:
        """`pydantic-monty`, whose workers leave after so many calls; it can do `hello` only."""
        name = f"pydantic-monty, {'single-use' if checkouts else 'reused'}"
        python = environments.venv(f"monty-{checkouts}", self.folder, self.interpreter, _MONTY)
        argv: Argv = [python, *_peer("monty"), str(checkouts), json.dumps(self.work.inputs)]
        with served(name, argv, self.work.value, self.folder) as peer:
            yield peer

    def bubblewrap(self) -> Contender:
        """`bwrap` and an interpreter in it that runs the checked script."""
        program = environments.bubblewrap(self.folder)
        argv: Argv = [program, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
        argv += ["--proc", "/proc", "--dev", "/dev"]
        for path in ("/usr", "/lib", "/lib64", *self.reads()):
            argv += ["--ro-bind-try", path, path]
        argv += [self.python, "-I", self.script, json.dumps(self.work.inputs)]

        def call() -> float:
            seconds, printed = spawn(argv, {})
            if json.loads(printed) != self.work.value:
                raise RuntimeError(f"bubblewrap: `{printed}`")
            return seconds

        call()
        return Contender(name="bubblewrap + python", work=self.work.name, pace="once", call=call)

    def reads(self) -> list[str]:
        """What an interpreter of the environment reads beside the system's own."""
        base = self.interpreter.resolve().parent.parent
        return [str(base), str(self.python.parent.parent), str(self.script.parent)]


def bench_of(work: Workload, folder: Path, interpreter: Path) -> Bench:
    """Make the environment; everything is written into a new folder there."""
    place = folder / f"peers-{work.name}"
    place.mkdir()
    (place / f"{work.module}.py").write_text(work.source, "utf-8")
    environments.venv("work", place, interpreter, [*work.requirements, *_CHECKING])
    return bench_again(work, folder, interpreter)


def bench_again(work: Workload, folder: Path, interpreter: Path) -> Bench:
    """The same, where the environment was made before."""
    place = folder / f"peers-{work.name}"
    return Bench(
        work=work,
        folder=place,
        interpreter=interpreter,
        python=place / "work" / "bin" / "python",
        script=work.write_script(place, is_checked=True),
    )


@contextlib.contextmanager
def served(name: str, argv: Argv, value: object, folder: Path) -> Iterator[Served]:
    """A peer's program, after its first call."""
    variables = {**environments.environ(folder), "PYTHONPATH": f"{folder}:{_REPOSITORY}"}
    with subprocess.Popen(
        [os.fspath(word) for word in argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=variables,
    ) as process:
        peer = Served(name, process, value)
        peer.ask()
        yield peer
        assert process.stdin is not None
        process.stdin.close()


def pools(bench: Bench, stack: contextlib.ExitStack) -> list[Contender]:
    """The process pools of the standard library, as contenders of the workload."""
    enter = stack.enter_context
    return [
        *_of(bench, enter(bench.pool(tasks=0)), "paced", "back to back"),
        *_of(bench, enter(bench.pool(tasks=1)), "paced", "back to back"),
    ]


def everybody(bench: Bench, stack: contextlib.ExitStack) -> list[Contender]:
    """Every peer there is; the slow ones with one call in a turn."""
    enter = stack.enter_context
    return [
        *pools(bench, stack),
        *_of(bench, enter(bench.forks(1)), "paced", "back to back"),
        *_of(bench, enter(bench.process("fork")), "paced"),
        *_of(bench, enter(bench.process("forkserver")), "once"),
        *_of(bench, enter(bench.monty(checkouts=1)), "paced"),
        *_of(bench, enter(bench.monty(checkouts=0)), "paced"),
        *_of(bench, enter(bench.isolate()), "once"),
        *_of(bench, enter(bench.sandlock()), "once"),
        bench.bubblewrap(),
    ]


def _peer(name: str) -> tuple[str, str]:
    return "-m", f"benchmarks.peers.{name}"


def _of(bench: Bench, peer: Served, *paces: Pace) -> list[Contender]:
    return [
        Contender(name=peer.name, work=bench.work.name, pace=pace, call=peer.ask) for pace in paces
    ]
