"""Who is measured: orq_runtime in its three starts, and what else calls the same function.

Rules of this file:

1. A contender's `call` does one call from nothing but its inputs to a checked value, and gives its
   seconds. What it needs beforehand is made before the first round and not counted.
2. Every process is started in the same way (`spawn`) and is timed until it was reaped.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import uv

from benchmarks.workloads import Workload
from orq_runtime import Environment, Runtime, Step, settings

__all__ = [
    "BARE",
    "CLI_WARM",
    "HOT",
    "UV_WARM",
    "Contender",
    "Pace",
    "Ready",
    "bare",
    "of_workload",
    "supply",
]

Pace = Literal["once", "paced", "back to back", "cold"]

BARE = "bare interpreter"
HOT = "orq hot"
CLI_WARM = "orq warm, CLI"
UV_WARM = "uv run --script, checked, warm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to call a workload's function. `pace` says how its turn in a round goes."""

    name: str
    work: str
    pace: Pace
    call: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A workload's contenders, and in what orq_runtime runs it: environment and isolation."""

    contenders: tuple[Contender, ...]
    environment: Environment
    isolation: str


def spawn(argv: Sequence[str | os.PathLike[str]], environ: Mapping[str, str]) -> tuple[float, str]:
    """Run a program to its end: seconds, and what it printed. Raises RuntimeError if it failed."""
    words = [os.fspath(word) for word in argv]
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as errors, open(reader, encoding="utf-8") as output:
        started = time.perf_counter()
        pid = os.posix_spawn(
            words[0],
            words,
            environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writer, 1),
                (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
            ],
        )
        os.close(writer)
        printed = output.read()
        status = os.waitpid(pid, 0)[1]
        seconds = time.perf_counter() - started
        if status != 0:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace")
            raise RuntimeError(f"status {status} of `{' '.join(words)}`:\n{said}")
    return seconds, printed


def bare(interpreter: Path) -> list[Contender]:
    """The measure of all: an interpreter that starts, does nothing and ends."""

    def call() -> float:
        return spawn([interpreter, "-I", "-S", "-c", "pass"], {})[0]

    return [
        Contender(name=BARE, work="", pace=pace, call=call) for pace in ("paced", "back to back")
    ]


def supply(work: Workload, scratch: Path, cache_dir: Path) -> Step:
    """Write a workload's component and put its environment into the store; its step."""
    step = Step(file=work.write_component(scratch / work.name), function=work.function)
    with Runtime(cache_dir=cache_dir) as runtime:
        runtime.supply(step)
    return step


@contextlib.contextmanager
def of_workload(work: Workload, step: Step, scratch: Path, cache_dir: Path) -> Iterator[Ready]:
    """Every contender of a workload that was supplied, ready to be called."""
    file = step.file
    assert file is not None
    with contextlib.ExitStack() as stack:
        runtime = stack.enter_context(Runtime(cache_dir=cache_dir))
        environment = runtime.supply(step)
        contenders = [
            *_orq(work, step, runtime, cache_dir),
            *_orq_processes(work, file, scratch, cache_dir),
            *_uv_processes(work, environment, scratch, is_checked=True),
            *_uv_processes(work, environment, scratch, is_checked=False),
        ]
        for name, tasks in (("process pool, single-use", 1), ("process pool, reused", 0)):
            peer = _pool(work, environment, file.parent, tasks)
            call = stack.enter_context(peer)
            contenders += _twice(name, work, call)
        yield Ready(
            contenders=tuple(contenders),
            environment=environment,
            isolation=runtime.run(step, work.inputs).isolation,
        )


def _twice(name: str, work: Workload, call: Callable[[], float]) -> list[Contender]:
    return [
        Contender(name=name, work=work.name, pace=pace, call=call)
        for pace in ("paced", "back to back")
    ]


def _check(work: Workload, value: object) -> None:
    if value != work.value:
        raise RuntimeError(f"`{work.name}` gave `{value!r}` and not `{work.value!r}`")


def _orq(work: Workload, step: Step, runtime: Runtime, cache_dir: Path) -> list[Contender]:
    """In this process: the open runtime, and one that is opened for the call."""

    def hot() -> float:
        started = time.perf_counter()
        outcome = runtime.run(step, work.inputs)
        seconds = time.perf_counter() - started
        _check(work, outcome.value)
        return seconds

    def warm() -> float:
        started = time.perf_counter()
        with Runtime(cache_dir=cache_dir) as fresh:
            outcome = fresh.run(step, work.inputs)
            seconds = time.perf_counter() - started
        _check(work, outcome.value)
        return seconds

    warm_api = Contender(name="orq warm, API", work=work.name, pace="once", call=warm)
    return [*_twice(HOT, work, hot), warm_api]


def _orq_processes(work: Workload, file: Path, scratch: Path, cache_dir: Path) -> list[Contender]:
    """The command, with the environment in the store and with an empty store."""
    inputs = [f"{name}:={json.dumps(value)}" for name, value in work.inputs.items()]
    argv = [
        *(sys.executable, "-m", "orq_runtime", "run", f"{file}:{work.function}"),
        *(word for text in inputs for word in ("-i", text)),
    ]
    environ = _environ(scratch)
    if "PYTHONPATH" in os.environ:  # a source tree that is not installed
        environ["PYTHONPATH"] = os.environ["PYTHONPATH"]

    def run(folder: Path) -> float:
        seconds, printed = spawn(argv, {**environ, "ORQ_RUNTIME_CACHE_DIR": str(folder)})
        _check(work, json.loads(printed))
        return seconds

    def cold() -> float:
        with _fresh(scratch) as folder:
            return run(folder)

    return [
        Contender(name=CLI_WARM, work=work.name, pace="once", call=lambda: run(cache_dir)),
        Contender(name="orq cold, CLI", work=work.name, pace="cold", call=cold),
    ]


def _uv_processes(
    work: Workload, environment: Environment, scratch: Path, *, is_checked: bool
) -> list[Contender]:
    """`uv run --script`, with its own warm cache and with an empty one.

    Checked it does the same work as a run; unchecked it calls the function with whatever it got.
    """
    name = UV_WARM if is_checked else "uv run --script, unchecked, warm"
    script = work.write_script(scratch, is_checked=is_checked)
    argv = [
        *(uv.find_uv_bin(), "run", "--quiet", "--python", str(environment.interpreter.path)),
        *("--script", str(script), json.dumps(work.inputs)),
    ]
    environ = {**_environ(scratch), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1"}
    if index := settings.load().default_index:
        environ["UV_DEFAULT_INDEX"] = index
    cache = scratch / "uv-cache"

    def run(folder: Path) -> float:
        seconds, printed = spawn(argv, {**environ, "UV_CACHE_DIR": str(folder)})
        _check(work, json.loads(printed))
        return seconds

    def cold() -> float:
        with _fresh(scratch) as folder:
            return run(folder)

    for _ in range(2):  # the second one finds the bytecode of the first
        run(cache)
    return [
        Contender(name=name, work=work.name, pace="once", call=lambda: run(cache)),
        Contender(name=name.replace("warm", "cold"), work=work.name, pace="cold", call=cold),
    ]


@contextlib.contextmanager
def _pool(
    work: Workload, environment: Environment, folder: Path, tasks: int
) -> Iterator[Callable[[], float]]:
    """A process that owns a pool in the workload's environment, and times its own calls."""
    peer = Path(__file__).parent / "pool_peer.py"
    argv = [str(environment.python), str(peer), work.module, work.function]
    argv += [json.dumps(work.inputs), str(tasks)]
    environ = {"PATH": os.defpath, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ask, answer = process.stdin, process.stdout

        def call() -> float:
            print(file=ask, flush=True)
            seconds, value = json.loads(answer.readline())
            _check(work, value)
            return float(seconds)

        call()
        yield call
        ask.close()


@contextlib.contextmanager
def _fresh(scratch: Path) -> Iterator[Path]:
    """An empty cache folder; removed afterwards, also what is read-only in it."""
    folder = Path(tempfile.mkdtemp(prefix="cold-", dir=scratch))
    try:
        yield folder
    finally:
        for place, _, _ in os.walk(folder):
            Path(place).chmod(0o700)
        subprocess.run(["rm", "-rf", folder], check=True)


def _environ(scratch: Path) -> dict[str, str]:
    return {**settings.load().tool_environment, "HOME": str(scratch), "LANG": "C.UTF-8"}
