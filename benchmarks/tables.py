"""The tables of single benchmarks, where that of all is not enough, and what is drawn of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from benchmarks import contenders, plots
from benchmarks.goals import GOALS, Goal
from benchmarks.plots import Dot, Line

__all__ = ["OF", "PLOTS", "goals", "measured_of", "phases"]

Result = Mapping[str, Any]

_KINDS: Final = {
    "ours": "orq_runtime, confined",
    "walled": "confined",
    "plain": "not confined",
    "base": "an interpreter that does nothing",
}
_WALLED: Final = ("bubblewrap", "sandlock", "pydantic-monty")
_SIZE: Final = re.compile(r"(\d+) (B|kB|KiB|MB)")
_UNITS: Final = {"B": 1, "kB": 1e3, "KiB": 1024, "MB": 1e6}
_YES: Final = {True: "yes", False: "no", None: ""}


def goals(results: Mapping[str, Result]) -> str:
    """The table of figures, from all results that have any."""
    head = ("figure", "measured", "must reach", "holds", "aim", "reached", "result")
    return _table(head, "lrrlrll", [_goal(goal, results.get(goal.benchmark)) for goal in GOALS])


def _goal(goal: Goal, result: Result | None) -> Sequence[str]:
    measured = None if result is None else measured_of(result).get(goal.key)
    if measured is None or result is None:
        return (goal.title, "", goal.limit(goal.must), "", goal.limit(goal.aim), "", "not measured")
    return (
        goal.title,
        f"**{measured:.3g} {goal.unit}**",
        goal.limit(goal.must),
        _YES[goal.holds(measured)],
        goal.limit(goal.aim),
        _YES[goal.is_aim_reached(measured)],
        f"{goal.benchmark}, {result['date'][:10]}",
    )


def measured_of(result: Result) -> Mapping[str, float]:
    """The figures of a result; those of `cold` stand with its targets."""
    if result["benchmark"] != "cold":
        figures: Mapping[str, float] = result.get("figures", {})
        return figures
    meant = [row for row in result["targets"] if row["work"] == "hello, supply and run"]
    return {"cold": meant[0]["ratio"]} if meant else {}


def phases(result: Result) -> str:
    """Where the time of a hot run goes, as the run tells it."""
    told = result["phases_us"]
    return "**a hot run of hello, paced**\n\n" + _table(
        ("phase", *told),
        "l" + "r" * len(told),
        [("median us", *(f"{us:.0f}" for us in told.values()))],
    )


def _throughput(result: Result) -> str:
    """Runs a second: a row for each contender, a column for each number at once."""
    numbers = result["settings"]["at_once"]
    names = dict.fromkeys(row["contender"] for row in result["rows"])
    rates = {
        (row["contender"], row["work"]): f"{1000 / row['median_ms']:.0f}" for row in result["rows"]
    }
    rows = []
    for name in names:
        every = rates.get((name, ""), "")
        rows.append([name, *(rates.get((name, f"{n} at once"), every) for n in numbers)])
    rows.sort(key=lambda row: -float(row[-1]))
    return _table(("runs a second, at once:", *map(str, numbers)), "l" + "r" * len(numbers), rows)


def _heap(result: Result) -> str:
    times = {(row["work"], row["contender"]): row for row in result["rows"]}
    rows = [
        (
            one["work"],
            f"{one['zygote_mb']:.0f}",
            *(
                f"{times[one['work'], name]['median_ms']:.2f}"
                for name in ("hot", "forked for the call")
            ),
            f"{times[one['work'], 'hot']['ratio_to_bare']:.3f}",
            f"{one['cpu_ms']:.2f}",
            f"{one['minor_faults']:.0f}",
        )
        for one in result["heaps"]
    ]
    head = ("preloaded", "zygote MB", "hot ms", "forked for the call ms", "hot x bare")
    return _table((*head, "processor ms a run", "minor faults a run"), "lrrrrrr", rows)


def _memory(result: Result) -> str:
    rows = [
        (
            row["work"],
            *(f"{row[name]:.2f}" for name in ("step_mb", "init_mb", "spare_mb", "share_mb")),
        )
        for row in result["rows"]
    ]
    head = ("parked spare", "step, private MB", "init, private MB", "both", "both, share of all MB")
    many = result["many"]
    return _table(head, "lrrrr", rows) + (
        f"\n{many['parked']} parked spares: {many['private_mb']:.0f} MB private, "
        f"{many['share_mb']:.0f} MB as their share of all; the machine has "
        f"{many['machine_mb']:.0f} MB less, the kernel's own part included.\n"
    )


def _gates(result: Result) -> str:
    names = ("cpu_ms", "runs_per_core_second", "minor_faults", "system_calls", "instructions")
    rows = [
        (row["contender"], *("" if row[name] is None else f"{row[name]:.4g}" for name in names))
        for row in result["rows"]
    ]
    head = ("contender", "processor ms a run", "runs a second and core", "minor faults")
    missing = "".join(
        f"\nNot counted: {event.replace('_', ' ')}, for {reason}.\n"
        for event, reason in result["not_counted"].items()
    )
    return _table((*head, "system calls", "instructions"), "lrrrrr", rows) + missing


def _table(head: Sequence[str], sides: str, rows: Iterable[Sequence[str]]) -> str:
    marks = {"l": "---", "r": "---:"}
    lines = [head, [marks[side] for side in sides], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


OF: Final[Mapping[str, Callable[[Result], str]]] = {
    "throughput": _throughput,
    "heap": _heap,
    "memory": _memory,
    "gates": _gates,
}


# -- what is drawn -----------------------------------------------------------------------------


def _draw_starts(result: Result) -> str:
    rows = [
        row
        for row in result["rows"]
        if row["work"] in ("", "hello") and row["pace"] in ("paced", "once")
    ]
    found = [
        Dot(
            label=row["contender"],
            median=row["median_ms"],
            p95=row["p95_ms"],
            kind=_kind(row["contender"]),
        )
        for row in rows
    ]
    return plots.dots("One call of hello: milliseconds, median and p95", "ms", found, _KINDS)


def _kind(name: str) -> str:
    if name == contenders.BARE:
        return "base"
    if name.startswith("orq"):
        return "ours"
    return "walled" if name.startswith(_WALLED) else "plain"


def _draw_throughput(result: Result) -> str:
    numbers = result["settings"]["at_once"]
    rates: dict[str, dict[float, float]] = {}
    for row in result["rows"]:
        rate = 1000 / row["median_ms"]
        over = [int(row["work"].split()[0])] if row["work"] else numbers
        rates.setdefault(row["contender"], {}).update(dict.fromkeys(map(float, over), rate))
    found = [
        Line(
            label=name,
            values=values,
            kind="ours" if name == "orq, confined" else "plain",
            is_dashed=name.startswith(("process pool", "orq, unconfined")),
        )
        for name, values in rates.items()
        if name != "process pool, reused"  # so much more that the rest would lie on the axis
    ]
    return plots.lines("Runs a second", "runs at once", found)


def _draw_payload(result: Result) -> str:
    lines: dict[str, dict[float, float]] = {}
    labels: dict[float, str] = {}
    for row in result["rows"]:
        if found := _SIZE.fullmatch(row["work"]):
            size = float(found[1]) * _UNITS[found[2]]
            labels[size] = row["work"]
            lines.setdefault(row["contender"], {})[size] = row["median_ms"]
    drawn = [
        Line(label=name, values=values, kind="base" if name == "bare" else "ours", is_dashed=dashed)
        for name, dashed in (
            ("bytes in and out", False),
            ("float64 in and out", True),
            ("bare", False),
        )
        if (values := {size: ms for size, ms in lines.get(name, {}).items() if ms > 0})
    ]
    title = "Large values: milliseconds into a run and back, and of a copy (bare)"
    return plots.lines(title, "size", drawn, labels=labels, is_log=True)


PLOTS: Final[Mapping[str, tuple[str, Callable[[Result], str]]]] = {
    "starts": ("one call of hello, by contender", _draw_starts),
    "throughput": ("runs a second over the number at once", _draw_throughput),
    "payload": ("large values, by size", _draw_payload),
}
