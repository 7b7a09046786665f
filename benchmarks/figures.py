"""From samples to figures: medians, tails, and ratios of what was measured in the same round.

Rules of this file:

1. A turn is what one contender did in one round: one call, or several in a row.
2. A ratio compares turns of one round (median over median); the median of those ratios is shown. So
   what slows the machine for a while slows both sides.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

__all__ = ["Turns", "median_ratio", "nearest_rank", "summary"]

Turns = Mapping[int, Sequence[float]]
"""The seconds of each call, by round."""


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
