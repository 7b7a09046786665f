"""Timing calls fairly: turns in shuffled rounds, and figures that compare within a round.

Rules of this file:

1. Every contender has one turn in each round, in an order that is shuffled anew for each round;
   one that is `cold` has a turn in a few of the rounds only.
2. A turn is one call after a pause (`once`, `cold`), or several: each after a pause (`paced`, about
   20 calls a second) or without (`back to back`); then one call before them is not counted.
3. A ratio compares turns of one round (median over median); the median of those ratios is shown. So
   what slows the machine for a while slows both sides.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from orq_runtime._dataclass import dataclass

__all__ = [
    "CALLS",
    "PAUSE_SECONDS",
    "Contender",
    "Measured",
    "Pace",
    "Turns",
    "measure",
    "median_ratio",
    "nearest_rank",
    "spawn",
    "summary",
    "tail",
]

CALLS: Final = 5
PAUSE_SECONDS: Final = 0.05

Pace = Literal["once", "paced", "back to back", "cold"]

Turns = Mapping[int, Sequence[float]]
"""The seconds of each call, by round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do a work: `call` does it once, checks what came of it, and gives its seconds."""

    name: str
    work: str
    pace: Pace
    call: Callable[[], float]


Measured = Mapping[Contender, Turns]


def measure(
    field: Sequence[Contender],
    rounds: int,
    *,
    seed: int,
    cold_rounds: int = 1,
    told: Callable[[int], object] | None = None,
) -> Measured:
    """All turns of all rounds. `told` hears of each round that is over."""
    measured: dict[Contender, dict[int, list[float]]] = defaultdict(dict)
    order = random.Random(seed)
    cold = {index * rounds // cold_rounds for index in range(cold_rounds)}
    for number in range(rounds):
        turns = [one for one in field if one.pace != "cold" or number in cold]
        for one in order.sample(turns, len(turns)):
            measured[one][number] = _turn(one)
        if told is not None:
            told(number + 1)
    return measured


def _turn(one: Contender) -> list[float]:
    if one.pace in ("once", "cold"):
        time.sleep(PAUSE_SECONDS)
        return [one.call()]
    calls = []
    for _ in range(CALLS + 1):
        if one.pace == "paced":
            time.sleep(PAUSE_SECONDS)
        calls.append(one.call())
    return calls[1:]


def spawn(argv: Sequence[str | os.PathLike[str]], environ: Mapping[str, str]) -> tuple[float, str]:
    """Run a program to its end: seconds, and what it printed. Raises RuntimeError if it failed.

    Every process that is measured is started like this, and timed until it was reaped.
    """
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


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(turns: Turns) -> dict[str, float | int]:
    """n, median, 95th percentile and minimum over all calls, in milliseconds."""
    calls = [seconds * 1000 for turn in turns.values() for seconds in turn]
    return {
        "n": len(calls),
        "median_ms": round(statistics.median(calls), 3),
        "p95_ms": round(nearest_rank(calls, 0.95), 3),
        "min_ms": round(min(calls), 3),
    }


def median_ratio(turns: Turns, base: Turns) -> float:
    """The median over the common rounds of one turn's median over the other's."""
    ratios = [
        statistics.median(turns[number]) / statistics.median(base[number])
        for number in turns
        if number in base
    ]
    return round(statistics.median(ratios), 4)


def tail(turns: Turns) -> float:
    """The 95th percentile of all calls over their median."""
    calls = [seconds for turn in turns.values() for seconds in turn]
    return round(nearest_rank(calls, 0.95) / statistics.median(calls), 3)
