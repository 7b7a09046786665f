"""How long until a function's value is there: cold, warm and hot, beside the other ways to call it.

    python -m benchmarks.starts [--quick] [--rounds N] [--work NAME] [--json FILE]

Rules of this file:

1. How turns go is told in `orq_runtime/cli/measuring.py`.
2. A wrong value ends the benchmark, and so does a run that did not start as its name says or had
   less of a wall than the first, and a peer that cannot be had. A time never does.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import contenders, environments, machine, report, rivals
from benchmarks.contenders import Ready
from benchmarks.report import turns_of
from benchmarks.workloads import WORKLOADS, Workload
from orq_runtime.cli.measuring import (
    CALLS,
    PAUSE_SECONDS,
    Contender,
    Measured,
    Turns,
    measure,
    median_ratio,
    tail,
)

__all__ = ["main"]

_ROUNDS = 20
_COLD_ROUNDS = 3
_SEED = 2
_HELLO = "hello"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the result file if one is named."""
    options = report.options(__doc__, arguments, rounds=_ROUNDS, add=_add)
    rounds = options.rounds
    cold = 1 if options.quick else min(_COLD_ROUNDS, rounds)
    works = [work for work in WORKLOADS if options.work in (None, work.name)]
    before = machine.load_average()
    with _ready(works) as (ready, field):
        told = report.counted(rounds)
        measured = measure(field, rounds, seed=_SEED, cold_rounds=cold, told=told)
    result = report.document(
        "starts",
        load_before=before,
        environments=[one.environment for one in ready],
        settings={
            "rounds": rounds,
            "cold_rounds": cold,
            "calls_in_a_turn": CALLS,
            "pause_seconds": PAUSE_SECONDS,
            "seed": _SEED,
        },
        isolation=ready[0].isolation,
        rows=report.rows(measured, contenders.BARE),
        phases_us=_phases(ready[0].phases),
        figures=_figures(measured, ready) if works[0].name == _HELLO else {},
    )
    report.deliver(result, options.json)
    return 0


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--work", choices=[work.name for work in WORKLOADS], help="default: all of them"
    )


@contextlib.contextmanager
def _ready(works: Sequence[Workload]) -> Iterator[tuple[list[Ready], list[Contender]]]:
    """All contenders, with everything made that a warm and a hot start presuppose."""
    with environments.scratch("starts") as folder, contextlib.ExitStack() as stack:
        cache = folder / "cache"
        ready = [stack.enter_context(_of(work, folder, cache)) for work in works]
        interpreter = ready[0].environment.interpreter.path
        field = [*contenders.bare(interpreter), *contenders.importing()]
        for one in ready:
            bench = rivals.bench_of(one.work, folder, interpreter)
            peers = rivals.everybody if one.work.name == _HELLO else rivals.pools
            ours = [each for each in one.contenders if each.pace != "cold" or one is ready[0]]
            field += [*ours, *peers(bench, stack)]
        yield ready, field


def _of(work: Workload, folder: Path, cache: Path) -> contextlib.AbstractContextManager[Ready]:
    step = contenders.supply(work, folder, cache)
    return contenders.of_workload(work, step, folder, cache)


def _figures(measured: Measured, ready: Sequence[Ready]) -> dict[str, float]:
    def ratio(name: str, base: str, pace: str, work: str = _HELLO) -> float:
        return median_ratio(
            turns_of(measured, name, work, pace), turns_of(measured, base, work, pace)
        )

    bare = turns_of(measured, contenders.BARE, "", "paced")
    return {
        "hot": ratio(contenders.HOT, contenders.BARE, "paced"),
        "hot_reused": ratio(contenders.HOT, rivals.POOL_REUSED, "paced"),
        "hot_bound": ratio(contenders.BOUND, contenders.BARE, "paced"),
        "hot_tail": tail(turns_of(measured, contenders.HOT, _HELLO, "paced")),
        "hot_back_to_back": ratio(contenders.HOT, contenders.BARE, "back to back"),
        "zygote_start": _zygote_start(ready[0].zygote_starts, bare),
        "warm_cli": ratio(contenders.CLI_WARM, contenders.UV_WARM, "once"),
        "warm_api": ratio(contenders.WARM, contenders.BARE, "once"),
        "import": ratio(contenders.IMPORT, contenders.IMPORT_BASE, "paced", "import"),
    }


def _phases(told: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each phase of a paced hot run, in microseconds."""
    names = dict.fromkeys(name for one in told for name in one)
    return {
        name: round(statistics.median(one.get(name, 0.0) for one in told) * 1e6, 1)
        for name in names
    }


def _zygote_start(starts: Sequence[float], bare: Turns) -> float:
    """Of the warm calls, one in each round: until their zygote's first child was there."""
    return median_ratio({number: [seconds] for number, seconds in enumerate(starts)}, bare)


if __name__ == "__main__":
    sys.exit(report.ended(main))
