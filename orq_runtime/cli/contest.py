"""Who takes part in `orq-runtime bench`: ours, a bare interpreter and a process pool.

Rules of this file:

1. All do the same: an int and a list of ints in, an int out, every value checked by whoever asks.
2. Everything that a call presupposes is made before the first round. A peer that cannot be had
   here is left out, with its reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from orq_runtime import Runtime, Step
from orq_runtime._dataclass import dataclass, field
from orq_runtime.cli import pool_peer
from orq_runtime.cli.measuring import Contender, Pace, spawn
from orq_runtime.settings import Settings

__all__ = ["AT_ONCE", "BARE", "ONE_CALL", "Contest", "contest"]

BARE: Final = "bare interpreter"
ONE_CALL: Final = "one call"
AT_ONCE: Final = 8

_RUNS: Final = 64
_SPARES: Final = 4
_MODULE: Final = "bench_work"
_FUNCTION: Final = "total"
_SOURCE: Final = """\
def total(factor: int, numbers: list[int]) -> int:
    return factor * sum(numbers)
"""
_INPUTS: Final = {"factor": 1000, "numbers": [2, 3, 5, 7, 11]}
_VALUE: Final = 28000


@dataclass(slots=True, kw_only=True)
class Contest:
    """The contenders that can be had here, and why others cannot."""

    isolation: str
    environment_python: str
    contenders: list[Contender] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, call: Callable[[], float], *paces: Pace, work: str = ONE_CALL) -> None:
        """One contender for each pace."""
        for pace in paces:
            self.contenders.append(Contender(name=name, work=work, pace=pace, call=call))


@contextlib.contextmanager
def contest(folder: Path, settings: Settings, isolation: str) -> Iterator[Contest]:
    """All contenders, ready. `folder` is for what they need meanwhile."""
    file = folder / f"{_MODULE}.py"
    file.write_text(_SOURCE, "utf-8")
    step = Step(file=file, function=_FUNCTION)

    def opened(at_once: int | None = None) -> Runtime:
        return Runtime(
            cache_dir=settings.cache_dir,
            python=settings.python,
            isolation=isolation,
            concurrency=at_once,
            spares=at_once or _SPARES,
        )

    with contextlib.ExitStack() as stack:
        runtime = stack.enter_context(opened())
        first = runtime.run(step, _INPUTS)
        interpreter = runtime.supply(step).interpreter
        found = Contest(
            isolation=first.isolation,
            environment_python=".".join(map(str, interpreter.version)),
        )
        bare = [str(interpreter.path), "-I", "-S", "-c", "pass"]
        found.add(BARE, lambda: spawn(bare, {})[0], "paced", "back to back")
        found.add("hot", _hot(runtime, step), "paced", "back to back")
        found.add("warm, new Runtime", _warm(opened, step), "once")
        found.add("warm, command", _command(file, settings, isolation), "once")
        busy = stack.enter_context(opened(AT_ONCE))
        found.add("confined runs", _many(busy, step), "once", work=f"{AT_ONCE} at once")
        _add_pools(found, folder, stack)
        yield found


def _hot(runtime: Runtime, step: Step) -> Callable[[], float]:
    def call() -> float:
        started = time.perf_counter()
        outcome = runtime.run(step, _INPUTS)
        seconds = time.perf_counter() - started
        _check("hot", (outcome.value, outcome.start), (_VALUE, "hot"))
        return seconds

    return call


def _warm(opened: Callable[[], Runtime], step: Step) -> Callable[[], float]:
    def call() -> float:
        started = time.perf_counter()
        with opened() as runtime:
            outcome = runtime.run(step, _INPUTS)
            seconds = time.perf_counter() - started
        _check("warm", (outcome.value, outcome.start), (_VALUE, "warm"))
        return seconds

    return call


def _command(file: Path, settings: Settings, isolation: str) -> Callable[[], float]:
    argv = [sys.executable, "-m", "orq_runtime", "run", f"{file}:{_FUNCTION}"]
    argv += ["--cache-dir", str(settings.cache_dir), "--isolation", isolation]
    argv += [word for name in _INPUTS for word in ("-i", f"{name}:={json.dumps(_INPUTS[name])}")]

    roots = {name: find_spec(name) for name in ("orq_runtime", "orq_sandbox")}
    places = [Path(one.origin).parent.parent for one in roots.values() if one and one.origin]
    environ = {
        **settings.tool_environment,
        "PYTHONPATH": os.pathsep.join(map(str, dict.fromkeys(places))),  # also not installed
    }

    def call() -> float:
        seconds, printed = spawn(argv, environ)
        _check("the command", json.loads(printed), _VALUE)
        return seconds

    call()
    return call


def _many(runtime: Runtime, step: Step) -> Callable[[], float]:
    def call() -> float:
        started = time.perf_counter()
        values = [out.value for out in runtime.map(step, [_INPUTS] * _RUNS, ordered=False)]
        seconds = time.perf_counter() - started
        _check("map", values, [_VALUE] * _RUNS)
        return seconds / _RUNS

    call()
    return call


def _add_pools(found: Contest, folder: Path, stack: contextlib.ExitStack) -> None:
    """`concurrent.futures`: one worker for single calls, one for each core where many count."""
    cores = len(os.sched_getaffinity(0))
    for name, tasks in (("process pool, reused", 0), ("process pool, single-use", 1)):
        try:
            one = stack.enter_context(_pool(folder, tasks, workers=1))
            many = stack.enter_context(_pool(folder, tasks, workers=cores))
        except OSError as error:
            found.absent[name] = str(error)
            continue
        found.add(name, partial(one, 1), "paced", "back to back")
        found.add(name, partial(_each, many), "once", work=f"{AT_ONCE} at once")


def _each(calls: Callable[[int], float]) -> float:
    return calls(_RUNS) / _RUNS


@contextlib.contextmanager
def _pool(folder: Path, tasks: int, workers: int) -> Iterator[Callable[[int], float]]:
    """A process that owns a pool and times its own calls. Raises OSError when it cannot be had."""
    argv = [sys.executable, pool_peer.__file__, _MODULE, _FUNCTION, json.dumps(_INPUTS)]
    with subprocess.Popen(
        [*argv, str(tasks), str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.defpath, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:
        ask, answer, errors = process.stdin, process.stdout, process.stderr
        assert ask is not None
        assert answer is not None
        assert errors is not None

        def call(calls: int) -> float:
            print(calls, file=ask, flush=True)
            if not (said := answer.readline()):
                raise OSError(errors.read().strip().rpartition("\n")[2])
            seconds, values = json.loads(said)
            _check("the pool", values, [_VALUE])
            return float(seconds)

        try:
            call(1)
            yield call
        finally:
            with contextlib.suppress(BrokenPipeError):
                ask.close()


def _check(who: str, found: object, expected: object) -> None:
    if found != expected:
        raise RuntimeError(f"{who} gave {found!r} and not {expected!r}")
