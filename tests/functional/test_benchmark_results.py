"""What is published of the benchmarks follows from what was measured. No test judges a time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks import figures, plots, show, tables
from benchmarks.goals import GOALS, Goal
from benchmarks.plots import Dot, Line
from benchmarks.workloads import WORKLOADS
from tests.architecture.sources import REPOSITORY
from tests.functional.test_benchmarks import check_figures, check_samples, check_starts

_RESULTS = REPOSITORY / "benchmarks" / "results"
_MEASURED = ("starts", "throughput", "burst", "heap", "memory", "gates")
_COMMITTED = sorted(path for name in _MEASURED for path in _RESULTS.glob(f"{name}-*.json"))


@pytest.mark.parametrize("path", _COMMITTED, ids=lambda path: path.name)
def test_a_committed_result_is_whole(path: Path) -> None:
    """Every contender is in it, its figures follow from its samples, and its name has its date."""
    result = json.loads(path.read_text("utf-8"))

    assert path.name == f"{result['benchmark']}-{result['date'][:10]}.json"
    if result["benchmark"] == "starts":
        check_starts(result, {work.name for work in WORKLOADS})
    elif result["benchmark"] in ("throughput", "burst", "heap"):
        for row in result["rows"]:
            check_samples(row)
    if result["benchmark"] == "throughput":
        assert result["settings"]["at_once"] == [1, 2, 4, 8, 16, 32, 64]
    if result["benchmark"] == "memory":
        assert result["many"]["wanted"] == 1000
    if result["benchmark"] != "gates":
        check_figures(result)


def test_every_goal_was_measured() -> None:
    """The table of figures has a number in every row whose benchmark has a result."""
    for goal in GOALS:
        if any(_RESULTS.glob(f"{goal.benchmark}-*.json")):
            result = json.loads(show.newest(_RESULTS, goal.benchmark).read_text("utf-8"))
            assert goal.key in tables.measured_of(result), goal.key


def test_the_document_and_the_plots_are_those_of_the_newest_results() -> None:
    """BENCHMARKS.md and its pictures are what `python -m benchmarks.show` writes."""
    assert show.main(["--check"]) == 0

    document = (REPOSITORY / "BENCHMARKS.md").read_text("utf-8")
    assert f"From `benchmarks/results/{show.newest(_RESULTS, 'starts').name}`" in document
    for name in re.findall(r"\(benchmarks/plots/([^)]+)\)", document):
        picture = (REPOSITORY / "benchmarks" / "plots" / name).read_text("utf-8")
        assert ET.fromstring(picture).tag.endswith("svg")


def test_a_section_is_replaced_and_the_rest_is_kept() -> None:
    """Only what stands between the marks of a known benchmark changes."""
    before = "# Prose\n<!-- begin starts -->\nold\n<!-- end starts -->\nmore prose\n"

    after = show.rendered(before, _RESULTS)

    assert after.startswith("# Prose\n<!-- begin starts -->\nFrom `benchmarks/results/starts-")
    assert after.endswith("|\n<!-- end starts -->\nmore prose\n")
    assert "\nold\n" not in after


def test_a_goal_says_what_is_reached() -> None:
    """At most and at least, and neither where no limit is set."""
    most = Goal(key="a", benchmark="b", title="t", must=2.0, aim=None, unit="x")
    least = Goal(key="a", benchmark="b", title="t", must=5.0, aim=8.0, unit="x", is_least=True)

    assert (True, False) == (most.holds(2.0), most.holds(2.1))
    assert most.is_aim_reached(0.1) is None
    assert (True, False, True) == (least.holds(6), least.is_aim_reached(6), least.holds(5))
    assert "<= 2 x" == most.limit(2.0)


def test_the_table_of_goals_shows_what_is_missed_and_what_is_missing() -> None:
    """A goal that is not held says no, one without a result that it was not measured."""
    starts: dict[str, Any] = {"benchmark": "starts", "date": "2026-11-27", "figures": {"hot": 0.5}}

    table = tables.goals({"starts": starts})

    hot, other = table.splitlines()[2], table.splitlines()[-1]
    assert "**0.5 x** | <= 0.03 x | no | <= 0.02 x | no | starts, 2026-11-27 |" in hot
    assert other.endswith("not measured |")


def test_a_plot_is_well_formed_and_names_everything() -> None:
    """Also what has to be escaped; two lines that end at one place have names at two."""
    dots = plots.dots("a < b", "ms", [Dot(label="x & y", median=1, p95=3, kind="ours")], {})
    both = [Line(label=name, values={1: 5.0, 2: 7.0}, kind="ours") for name in ("one", "two")]
    lines = plots.lines("t", "n", both)

    assert "x & y" in "".join(ET.fromstring(dots).itertext())
    places = [
        element.get("y")
        for element in ET.fromstring(lines).iter()
        if element.text in ("one", "two")
    ]
    assert (2, 2) == (len(places), len(set(places)))


def test_a_ratio_compares_turns_of_the_same_round() -> None:
    """A machine that is twice as slow in one round changes no ratio."""
    mine = {0: [1.0, 1.0], 1: [2.0, 2.0], 2: [1.0]}
    base = {0: [4.0], 1: [8.0, 8.0], 2: [4.0], 3: [0.001]}

    assert figures.median_ratio(mine, base) == 0.25


def test_the_tail_is_a_sample() -> None:
    """The 95th percentile of few samples is the largest, never a number between two of them."""
    assert figures.nearest_rank([3.0, 1.0, 2.0], 0.95) == 3.0
    assert figures.nearest_rank([float(n) for n in range(1, 101)], 0.95) == 95.0
    assert {"n": 2, "median_ms": 1500.0, "p95_ms": 2000.0, "min_ms": 1000.0} == figures.summary(
        {0: [1.0], 1: [2.0]}
    )
    assert figures.tail({0: [1.0, 2.0, 9.0]}) == 4.5
