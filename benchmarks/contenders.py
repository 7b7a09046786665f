"""Who is measured of ours: orq_runtime in its three starts, beside a bare interpreter and uv.

A contender's `call` does one call from nothing but its inputs to a checked value, and gives its
seconds. What it needs beforehand is made before the first round and not counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import uv

from benchmarks import environments
from benchmarks.workloads import Workload
from orq_runtime import Environment, Outcome, Runtime, Step
from orq_runtime.cli.measuring import Contender, spawn

__all__ = [
    "BARE",
    "BOUND",
    "CLI_WARM",
    "HOT",
    "IMPORT",
    "IMPORT_BASE",
    "UV_WARM",
    "WARM",
    "Ready",
    "bare",
    "checked",
    "importing",
    "of_workload",
    "spawn",
    "supply",
]

BARE = "bare interpreter"
HOT = "orq hot"
BOUND = "orq hot, bind=True"
WARM = "orq warm, API"
CLI_WARM = "orq warm, CLI"
UV_WARM = "uv run --script, checked, warm"
IMPORT = "import orq_runtime"
IMPORT_BASE = "python -I -c pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A workload's contenders, and in what orq_runtime runs it: environment and isolation.

    `zygote_starts` are filled while warm calls are made: the seconds until a child was there;
    `phases` while paced hot calls are made: what each run told of its seconds.
    """

    work: Workload
    contenders: tuple[Contender, ...]
    environment: Environment
    isolation: str
    zygote_starts: list[float] = field(default_factory=list)
    phases: list[Mapping[str, float]] = field(default_factory=list)


def bare(interpreter: Path) -> list[Contender]:
    """The measure of all: an interpreter that starts, does nothing and ends."""

    def call() -> float:
        return spawn([interpreter, "-I", "-S", "-c", "pass"], {})[0]

    return [
        Contender(name=BARE, work="", pace="paced", call=call),
        Contender(name=BARE, work="", pace="back to back", call=call),
    ]


def importing() -> list[Contender]:
    """Two whole processes of the interpreter that runs us: with the package imported, without."""
    environ = _of_our_tree()
    found = []
    for name, code in ((IMPORT, "import orq_runtime"), (IMPORT_BASE, "pass")):
        flags = [] if "PYTHONPATH" in environ else ["-I"]
        argv = [sys.executable, *flags, "-c", code]

        def call(argv: list[str] = argv) -> float:
            return spawn(argv, environ)[0]

        found.append(Contender(name=name, work="import", pace="paced", call=call))
    return found


def supply(work: Workload, folder: Path, cache_dir: Path) -> Step:
    """Write a workload's component and put its environment into the store; its step."""
    step = Step(file=work.write_component(folder / work.name), function=work.function)
    with Runtime(cache_dir=cache_dir) as runtime:
        runtime.supply(step)
    return step


def checked(work: Workload, outcome: Outcome, start: str, isolation: str) -> None:
    """Raise RuntimeError unless the run was what is measured: its value, start and wall."""
    found = (outcome.value, outcome.start, outcome.isolation)
    if found != (work.value, start, isolation):
        raise RuntimeError(f"`{work.name}`: {found!r} and not {(work.value, start, isolation)!r}")


@contextlib.contextmanager
def of_workload(work: Workload, step: Step, folder: Path, cache_dir: Path) -> Iterator[Ready]:
    """Every contender of ours and of uv's for a workload that was supplied, ready to be called."""
    with contextlib.ExitStack() as stack:
        runtime = stack.enter_context(Runtime(cache_dir=cache_dir))
        bound = stack.enter_context(Runtime(cache_dir=cache_dir, bind=True))
        environment = runtime.supply(step)
        starts: list[float] = []
        phases: list[Mapping[str, float]] = []
        contenders = [
            *_hot(HOT, work, step, runtime, phases),
            *_hot(BOUND, work, step, bound, []),
            _warm(work, step, cache_dir, starts),
            *_commands(work, step, folder, cache_dir),
            *_uv_scripts(work, environment, folder, is_checked=True),
            *_uv_scripts(work, environment, folder, is_checked=False),
        ]
        yield Ready(
            work=work,
            contenders=tuple(contenders),
            environment=environment,
            isolation=runtime.run(step, work.inputs).isolation,
            zygote_starts=starts,
            phases=phases,
        )


def _hot(
    name: str, work: Workload, step: Step, runtime: Runtime, phases: list[Mapping[str, float]]
) -> list[Contender]:
    """In this process, in an open runtime."""
    isolation = runtime.run(step, work.inputs).isolation

    def call(told: list[Mapping[str, float]]) -> float:
        started = time.perf_counter()
        outcome = runtime.run(step, work.inputs)
        seconds = time.perf_counter() - started
        checked(work, outcome, "hot", isolation)
        told.append(outcome.timings)
        return seconds

    for _ in range(3):
        call([])
    return [
        Contender(name=name, work=work.name, pace="paced", call=partial(call, phases)),
        Contender(name=name, work=work.name, pace="back to back", call=partial(call, [])),
    ]


def _warm(work: Workload, step: Step, cache_dir: Path, starts: list[float]) -> Contender:
    """In this process, in a runtime that is opened for the call."""

    def call() -> float:
        started = time.perf_counter()
        with Runtime(cache_dir=cache_dir) as fresh:
            outcome = fresh.run(step, work.inputs)
            seconds = time.perf_counter() - started
        checked(work, outcome, "warm", outcome.isolation)
        starts.append(outcome.timings["claim"])
        return seconds

    return Contender(name=WARM, work=work.name, pace="once", call=call)


def _commands(work: Workload, step: Step, folder: Path, cache_dir: Path) -> list[Contender]:
    """The command, with the environment in the store and with an empty store."""
    inputs = [f"{name}:={json.dumps(value)}" for name, value in work.inputs.items()]
    argv = [
        *(sys.executable, "-m", "orq_runtime", "run", f"{step.file}:{work.function}"),
        *(word for text in inputs for word in ("-i", text)),
    ]
    environ = {**environments.environ(folder), **_of_our_tree()}

    def run(cache: Path) -> float:
        seconds, printed = spawn(argv, {**environ, "ORQ_RUNTIME_CACHE_DIR": str(cache)})
        _check(work, json.loads(printed))
        return seconds

    def cold() -> float:
        with environments.fresh(folder) as cache:
            return run(cache)

    return [
        Contender(name=CLI_WARM, work=work.name, pace="once", call=lambda: run(cache_dir)),
        Contender(name="orq cold, CLI", work=work.name, pace="cold", call=cold),
    ]


def _uv_scripts(
    work: Workload, environment: Environment, folder: Path, *, is_checked: bool
) -> list[Contender]:
    """`uv run --script`, with its own warm cache and with an empty one.

    Checked it does the same work as a run; unchecked it calls the function with whatever it got.
    """
    name = UV_WARM if is_checked else "uv run --script, unchecked, warm"
    script = work.write_script(folder, is_checked=is_checked)
    argv = [
        *(uv.find_uv_bin(), "run", "--quiet", "--python", str(environment.interpreter.path)),
        *("--script", str(script), json.dumps(work.inputs)),
    ]
    environ = environments.environ(folder)

    def run(cache: Path) -> float:
        seconds, printed = spawn(argv, {**environ, "UV_CACHE_DIR": str(cache)})
        _check(work, json.loads(printed))
        return seconds

    def cold() -> float:
        with environments.fresh(folder) as cache:
            return run(cache)

    for _ in range(2):  # the second one finds the bytecode of the first
        run(folder / "uv-cache")
    return [
        Contender(name=name, work=work.name, pace="once", call=lambda: run(folder / "uv-cache")),
        Contender(name=name.replace("warm", "cold"), work=work.name, pace="cold", call=cold),
    ]


def _check(work: Workload, value: object) -> None:
    if value != work.value:
        raise RuntimeError(f"`{work.name}` gave `{value!r}` and not `{work.value!r}`")


def _of_our_tree() -> dict[str, str]:
    """PYTHONPATH where the source tree is not installed."""
    return {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
