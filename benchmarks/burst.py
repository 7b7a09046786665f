"""A burst of 100 runs at once: how long until all are done, on a pool that is new or open.

    python -m benchmarks.burst [--quick] [--rounds N] [--json FILE]

A new pool has nothing running: the turn begins before the `Runtime` is made and ends when the
last outcome is there. Closing it is not counted. Every value is checked.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence

from benchmarks import contenders, environments, machine, report, rivals
from benchmarks.report import turns_of
from benchmarks.workloads import WORKLOADS, Workload
from orq_runtime import Environment, Runtime, Step
from orq_runtime.cli.measuring import Contender, measure, median_ratio

__all__ = ["main"]

_ROUNDS = 10
_SEED = 7
_RUNS = 100
_FRESH = "orq, new Runtime"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the result file if one is named."""
    options = report.options(__doc__, arguments, rounds=_ROUNDS)
    before = machine.load_average()
    with _field(WORKLOADS[0]) as (field, environment, isolation):
        told = report.counted(options.rounds)
        measured = measure(field, options.rounds, seed=_SEED, told=told)
    work = WORKLOADS[0].name
    ours, bare = (turns_of(measured, name, work, "once") for name in (_FRESH, contenders.BARE))
    result = report.document(
        "burst",
        load_before=before,
        environments=[environment],
        settings={"rounds": options.rounds, "seed": _SEED, "runs": _RUNS},
        isolation=isolation,
        rows=report.rows(measured, contenders.BARE),
        figures={"burst": median_ratio(ours, bare)},
    )
    report.deliver(result, options.json)
    return 0


@contextlib.contextmanager
def _field(work: Workload) -> Iterator[tuple[list[Contender], Environment, str]]:
    with environments.scratch("burst") as folder, contextlib.ExitStack() as stack:
        cache = folder / "cache"
        step = contenders.supply(work, folder, cache)
        runtime = stack.enter_context(Runtime(cache_dir=cache))
        environment = runtime.supply(step)
        isolation = runtime.run(step, work.inputs).isolation
        bench = rivals.bench_of(work, folder, environment.interpreter.path)
        pool = stack.enter_context(bench.pool(tasks=1, workers=2))

        def fresh() -> float:
            started = time.perf_counter()
            with Runtime(cache_dir=cache) as new:
                _burst(work, step, new)
                return time.perf_counter() - started

        def is_open() -> float:
            started = time.perf_counter()
            _burst(work, step, runtime)
            return time.perf_counter() - started

        calls = {
            _FRESH: fresh,
            "orq, open Runtime": is_open,
            f"{rivals.POOL_SINGLE_USE}, open": lambda: pool.ask(_RUNS),
        }
        field = [
            Contender(name=name, work=work.name, pace="once", call=call)
            for name, call in calls.items()
        ]
        bare = [one for one in contenders.bare(bench.interpreter) if one.pace == "paced"]
        yield [*bare, *field], environment, isolation


def _burst(work: Workload, step: Step, runtime: Runtime) -> None:
    futures = [runtime.submit(step, work.inputs) for _ in range(_RUNS)]
    values = [future.result().value for future in futures]
    if values != [work.value] * _RUNS:
        raise RuntimeError(f"`{work.name}` gave `{set(map(str, values))}`")


if __name__ == "__main__":
    sys.exit(report.ended(main))
