"""The figures that are aimed at, and whether a measured one reaches them.

A benchmark's result has `figures`, by the keys used here. No goal ever ends a benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["GOALS", "Goal", "printed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One figure: what it must reach and what it aims at, None where that is not said.

    It is at most that, or with `is_least` at least. `unit` follows the number.
    """

    key: str
    benchmark: str
    title: str
    must: float | None
    aim: float | None
    unit: str
    is_least: bool = False

    def holds(self, measured: float) -> bool | None:
        """Whether it reaches what it must."""
        return self._reaches(measured, self.must)

    def is_aim_reached(self, measured: float) -> bool | None:
        """Whether it reaches what is aimed at."""
        return self._reaches(measured, self.aim)

    def _reaches(self, measured: float, limit: float | None) -> bool | None:
        if limit is None:
            return None
        return measured >= limit if self.is_least else measured <= limit

    def limit(self, number: float | None) -> str:
        """A limit as it is shown."""
        if number is None:
            return ""
        return f"{'>=' if self.is_least else '<='} {number:g} {self.unit}"


def _at_most(
    key: str, benchmark: str, title: str, must: float | None, aim: float | None, unit: str
) -> Goal:
    return Goal(key=key, benchmark=benchmark, title=title, must=must, aim=aim, unit=unit)


def _at_least(key: str, title: str, must: float | None, aim: float | None) -> Goal:
    return Goal(
        key=key, benchmark="throughput", title=title, must=must, aim=aim, unit="x", is_least=True
    )


GOALS: Final = (
    _at_most("hot", "starts", "hot, 20 calls a second, over bare", 0.03, 0.02, "x"),
    _at_most(
        "hot_reused", "starts", "the same, over a reused unconfined pool's worker", 1.0, None, "x"
    ),
    _at_most("hot_bound", "starts", "the same with `bind=True`, over bare", None, 0.015, "x"),
    _at_most("hot_tail", "starts", "the same, p95 over p50", 3.0, 2.0, "x"),
    _at_most("hot_back_to_back", "starts", "hot, back to back, over bare", 0.2, 0.1, "x"),
    _at_least("single_use", "runs a second, 8 at once, over a single-use pool", 5.0, 8.0),
    _at_least("unconfined", "the same, over unconfined children that do the same", 0.55, 0.75),
    _at_least("wall", "the same, over ours without a wall (`process`)", None, None),
    _at_most(
        "burst", "burst", "burst of 100 on a fresh pool, all done, over bare", 30.0, 15.0, "x"
    ),
    _at_most("preloaded", "heap", "hot with scikit-learn preloaded, over hello", 1.5, 1.2, "x"),
    _at_most(
        "zygote_start", "starts", "start of a zygote behind the wall, over bare", 12.0, 7.0, "x"
    ),
    _at_most("warm_cli", "starts", "warm command over `uv run --script`, checked", 1.0, 0.6, "x"),
    _at_most("warm_api", "starts", "warm new `Runtime` in a process, over bare", 10.0, 5.0, "x"),
    _at_most("cold", "cold", "cold supply and run over uv's own, its cache warm", 1.25, 1.1, "x"),
    _at_most("hit_api", "supply_hit", "hit of supply, 200 files, open `Runtime`", 1.0, None, "ms"),
    _at_most("hit_cli", "supply_hit", "the same by the command, over bare", 3.0, 2.5, "x"),
    _at_most("import", "starts", "`import orq_runtime` over `python -I -c pass`", 2.0, None, "x"),
    _at_most("spare", "memory", "parked spare with its init, private memory", 4.0, 3.0, "MB"),
)


def printed(figures: Mapping[str, float]) -> str:
    """One line for each goal that was measured."""
    lines = []
    for goal in GOALS:
        if goal.key in figures:
            measured = figures[goal.key]
            word = {True: "holds", False: "is missed", None: ""}
            lines.append(
                f"{goal.title}: {measured:.3g} {goal.unit}; "
                f"must {goal.limit(goal.must) or '-'} {word[goal.holds(measured)]}; "
                f"aim {goal.limit(goal.aim) or '-'} {word[goal.is_aim_reached(measured)]}"
            )
    return "\n".join(lines)
