"""How many runs a second, and how that grows with the number of them at once.

    python -m benchmarks.throughput [--quick] [--rounds N] [--json FILE]

Rules of this file:

1. A turn is so many runs that what was parked beforehand matters little; its figure is the seconds
   of the turn over its runs. Every value is checked.
2. Runtimes and pools are open from the first round to the last; each keeps as many children parked
   as there are runs at once.
3. The fork server by hand is what stands for an unconfined child doing the same work: parked,
   single-use, with the step's module executed and all checked in the child. It is nobody's in
   particular, so it cannot become slower with us. `unconfined` is ours without a wall (isolation
   `process`): what it loses to the fork server are captured output, limits, deadlines and an init
   that says how a run ended; what the confined one loses to it is the wall.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from benchmarks import contenders, environments, machine, report, rivals
from benchmarks.report import turns_of
from benchmarks.workloads import WORKLOADS, Workload
from orq_runtime import Environment, Runtime, Step
from orq_runtime.cli.measuring import Contender, Measured, measure, median_ratio

__all__ = ["AT_ONCE", "main"]

AT_ONCE = (1, 2, 4, 8, 16, 32, 64)
_GOAL_AT_ONCE = 8
_ROUNDS = 12
_SEED = 5
_RUNS, _RUNS_EACH = 60, 4
_OFTEN = (1, _GOAL_AT_ONCE, 64)
_POOL_RUNS = 40
_POOL_WORKERS = 2
_OURS = {"auto": "orq, confined", "process": "orq, unconfined"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print tables, write the result file if one is named."""
    options = report.options(__doc__, arguments, rounds=_ROUNDS)
    before = machine.load_average()
    at_once = (1, _GOAL_AT_ONCE) if options.quick else AT_ONCE
    with _field(WORKLOADS[0], at_once, divisor=4 if options.quick else 1) as (field, found):
        told = report.counted(options.rounds)
        measured = measure(field, options.rounds, seed=_SEED, told=told)
    environment, isolation = found
    result = report.document(
        "throughput",
        load_before=before,
        environments=[environment],
        settings={
            "rounds": options.rounds,
            "seed": _SEED,
            "at_once": list(at_once),
            "pool_workers": _POOL_WORKERS,
        },
        isolation=isolation,
        rows=report.rows(measured, rivals.POOL_SINGLE_USE),
        figures=_figures(measured),
    )
    report.deliver(result, options.json)
    return 0


@contextlib.contextmanager
def _field(
    work: Workload, at_once: Sequence[int], *, divisor: int
) -> Iterator[tuple[list[Contender], tuple[Environment, str]]]:
    with environments.scratch("throughput") as folder, contextlib.ExitStack() as stack:
        cache = folder / "cache"
        step = contenders.supply(work, folder, cache)
        with Runtime(cache_dir=cache) as runtime:
            environment = runtime.supply(step)
            isolation = runtime.run(step, work.inputs).isolation
        bench = rivals.bench_of(work, folder, environment.interpreter.path)
        field = []
        for name, tasks in ((rivals.POOL_SINGLE_USE, 1), (rivals.POOL_REUSED, 0)):
            pool = stack.enter_context(bench.pool(tasks=tasks, workers=_POOL_WORKERS))
            runs = (_POOL_RUNS if tasks else 20 * _POOL_RUNS) // divisor
            field.append(_turn(name, "", runs, pool.ask))
        for number in at_once:
            runs = (_RUNS + _RUNS_EACH * number) // divisor
            for isolation_asked, name in _OURS.items():
                if isolation_asked == "process" and number not in _OFTEN:
                    continue
                runtime = stack.enter_context(
                    Runtime(
                        cache_dir=cache,
                        isolation=isolation_asked,
                        concurrency=number,
                        spares=number,
                    )
                )
                field.append(_turn(name, _work(number), runs, _ours(work, step, runtime)))
            forks = stack.enter_context(bench.forks(number))
            field.append(_turn(forks.name, _work(number), runs, forks.ask))
        yield field, (environment, isolation)


def _work(at_once: int) -> str:
    return f"{at_once} at once"


def _turn(name: str, work: str, runs: int, ask: Callable[[int], float]) -> Contender:
    ask(8)
    return Contender(name=name, work=work, pace="once", call=lambda: ask(runs) / runs)


def _ours(work: Workload, step: Step, runtime: Runtime) -> Callable[[int], float]:
    def ask(runs: int) -> float:
        started = time.perf_counter()
        values = [out.value for out in runtime.map(step, [work.inputs] * runs, ordered=False)]
        seconds = time.perf_counter() - started
        if values != [work.value] * runs:
            raise RuntimeError(f"`{work.name}` gave `{set(map(str, values))}`")
        return seconds

    return ask


def _figures(measured: Measured) -> dict[str, float]:
    def faster_than(base: str) -> float:
        work = _work(_GOAL_AT_ONCE)
        ours = turns_of(measured, _OURS["auto"], work, "once")
        return median_ratio(turns_of(measured, base, work, "once"), ours)

    return {
        "single_use": faster_than(rivals.POOL_SINGLE_USE),
        "unconfined": faster_than(rivals.FORKS),
        "wall": faster_than(_OURS["process"]),
    }


if __name__ == "__main__":
    sys.exit(report.ended(main))
