"""The benchmarks run, and what they publish is what they measured. No test here judges a time."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import figures, show
from benchmarks.workloads import WORKLOADS
from tests.architecture.sources import REPOSITORY, tree_environment

_RESULTS = REPOSITORY / "benchmarks" / "results"
_COMMITTED = sorted(_RESULTS.glob("starts-*.json"))
_OF_A_WORKLOAD = {
    ("orq hot", "paced"),
    ("orq hot", "back to back"),
    ("orq warm, API", "once"),
    ("orq warm, CLI", "once"),
    ("orq cold, CLI", "cold"),
    ("uv run --script, checked, warm", "once"),
    ("uv run --script, checked, cold", "cold"),
    ("uv run --script, unchecked, warm", "once"),
    ("uv run --script, unchecked, cold", "cold"),
    ("process pool, single-use", "paced"),
    ("process pool, single-use", "back to back"),
    ("process pool, reused", "paced"),
    ("process pool, reused", "back to back"),
}
_BARE = {("bare interpreter", "paced"), ("bare interpreter", "back to back")}


def _check_shape(result: dict[str, Any], works: set[str]) -> None:
    """Every contender of every workload has its row, and the figures are those of its samples."""
    settings = result["settings"]
    expected = {("", *pair) for pair in _BARE}
    expected |= {(work, *pair) for work in works for pair in _OF_A_WORKLOAD}
    assert expected == {(row["work"], row["contender"], row["pace"]) for row in result["rows"]}

    for row in result["rows"]:
        turns = settings["cold_rounds" if row["pace"] == "cold" else "rounds"]
        calls = 1 if row["pace"] in ("once", "cold") else settings["calls_in_a_turn"]
        samples = [call for turn in row["samples_ms"] for call in turn]
        assert (turns, turns * calls) == (len(row["samples_ms"]), len(samples))
        assert row["n"] == len(samples)
        assert row["median_ms"] == pytest.approx(statistics.median(samples), abs=0.002)
        assert row["p95_ms"] == pytest.approx(figures.nearest_rank(samples, 0.95), abs=0.002)
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["p95_ms"]
        assert row["ratio_to_bare"] > 0
    assert {(work, pace) for work in works for pace in ("paced", "back to back", "once")} == {
        (row["work"], row["pace"]) for row in result["targets"]
    }
    for part in ("date", "machine", "load_average", "source", "isolation", "versions"):
        assert result[part], part


@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_starts_measures_every_contender(tmp_path: Path) -> None:
    """A quick run ends well and its result file has the shape that is published."""
    file = tmp_path / "starts.json"
    command = [sys.executable, "-m", "benchmarks.starts", "--quick", "--work", "hello"]
    ended = subprocess.run(
        [*command, "--json", file],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        env=tree_environment(),
        check=False,
    )
    assert ended.returncode == 0, ended.stderr

    result = json.loads(file.read_text("utf-8"))
    _check_shape(result, {"hello"})
    assert show.tables(result) == ended.stdout.removesuffix("\n")


@pytest.mark.slow
def test_the_benchmark_of_hits_measures_what_is_published(tmp_path: Path) -> None:
    """A quick run ends well, and the committed results have its rows."""
    file = tmp_path / "supply_hit.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.supply_hit", "--quick", "--json", file],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        timeout=240,
        env=tree_environment(),
        check=True,
    )

    measured = json.loads(file.read_text("utf-8"))
    for path in _RESULTS.glob("supply_hit-*.json"):
        published = json.loads(path.read_text("utf-8"))
        names = [row["contender"] for row in published["rows"]]
        assert names == [row["contender"] for row in measured["rows"]]
        for row in published["rows"]:
            samples = [call for turn in row["samples_ms"] for call in turn]
            assert row["n"] == len(samples)
            assert row["median_ms"] == pytest.approx(statistics.median(samples), abs=0.002)


@pytest.mark.slow
def test_the_benchmark_of_types_measures_what_is_published(tmp_path: Path) -> None:
    """A quick run ends well, and the committed results have its rows and follow from samples."""
    file = tmp_path / "types.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.checks", "--quick", "--json", file],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        timeout=240,
        env=tree_environment(),
        check=True,
    )

    measured = json.loads(file.read_text("utf-8"))
    for path in _RESULTS.glob("checks-*.json"):
        published = json.loads(path.read_text("utf-8"))
        names = [(row["work"], row["contender"]) for row in published["rows"]]
        assert sorted(names) == sorted((row["work"], row["contender"]) for row in measured["rows"])
        for row in published["rows"]:
            assert row["n"] == len(row["samples_ms"])
            assert row["median_ms"] == pytest.approx(
                statistics.median(row["samples_ms"]), abs=0.002
            )


@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_large_values_measures_what_is_published(tmp_path: Path) -> None:
    """A quick run ends well; the committed results have its contenders, and follow from samples."""
    file = tmp_path / "payload.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.payload", "--quick", "--json", file],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        timeout=240,
        env=tree_environment(),
        check=True,
    )

    measured = json.loads(file.read_text("utf-8"))
    names = {row["contender"] for row in measured["rows"]}
    for path in _RESULTS.glob("payload-*.json"):
        published = json.loads(path.read_text("utf-8"))
        assert names == {row["contender"] for row in published["rows"]}
        assert {"100 MB", "50 MB of JSON"} == {row["work"] for row in published["targets"]}
        for row in published["rows"]:
            samples = [call for turn in row["samples_ms"] for call in turn]
            assert row["n"] == len(samples) == published["settings"]["rounds"]
            assert row["median_ms"] == pytest.approx(statistics.median(samples), abs=0.002)


@pytest.mark.parametrize("path", _COMMITTED, ids=lambda path: path.name)
def test_a_committed_result_is_whole(path: Path) -> None:
    """Every workload and contender is in it, and its figures follow from its samples."""
    result = json.loads(path.read_text("utf-8"))

    _check_shape(result, {work.name for work in WORKLOADS})
    assert path.name == f"starts-{result['date'][:10]}.json"


def test_the_tables_of_the_document_are_those_of_the_newest_results() -> None:
    """BENCHMARKS.md is what `python -m benchmarks.show` writes, and it has tables."""
    document = (REPOSITORY / "BENCHMARKS.md").read_text("utf-8")

    assert show.rendered(document, _RESULTS) == document
    assert f"From `benchmarks/results/{show.newest(_RESULTS, 'starts').name}`" in document


def test_a_section_is_replaced_and_the_rest_is_kept() -> None:
    """Only what stands between the marks of a known benchmark changes."""
    before = "# Prose\n<!-- begin starts -->\nold\n<!-- end starts -->\nmore prose\n"

    after = show.rendered(before, _RESULTS)

    assert after.startswith("# Prose\n<!-- begin starts -->\nFrom `benchmarks/results/starts-")
    assert after.endswith("|\n<!-- end starts -->\nmore prose\n")
    assert "\nold\n" not in after


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


def _check_wall(result: dict[str, Any]) -> None:
    """Every user has the base to compare with, and every figure is there."""
    assert result["users"]
    for tiers in result["users"].values():
        assert {"process"} <= set(tiers) <= {"namespaces", "landlock", "process"}
        for tier, row in tiers.items():
            assert 0 < row["min_ms"] <= row["median_ms"] <= row["p95_ms"]
            assert row["n"] == result["settings"]["rounds"] * result["settings"]["calls_in_a_turn"]
            assert (tier == "process") == (not row["stages_us"])
        base = tiers["process"]
        assert (1.0, 0, 0) == (base["hot_ratio"], base["added_cpu_ms"], base["added_start_ms"])


@pytest.mark.slow
def test_the_benchmark_of_the_wall_measures_what_can_be_had(tmp_path: Path) -> None:
    """A quick run ends well and its result file has the shape that is published."""
    file = tmp_path / "wall.json"
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.wall", "--quick", "--json", file],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        env=tree_environment(),
        check=False,
    )
    assert ended.returncode == 0, ended.stderr

    result = json.loads(file.read_text("utf-8"))
    _check_wall(result)
    assert show.tables(result) == ended.stdout.removesuffix("\n")


@pytest.mark.parametrize("path", sorted(_RESULTS.glob("wall-*.json")), ids=lambda path: path.name)
def test_a_committed_result_of_the_wall_is_whole(path: Path) -> None:
    """Root and an ordinary user are in it, with every tier."""
    result = json.loads(path.read_text("utf-8"))

    _check_wall(result)
    assert {"root", "user"} == set(result["users"])
    assert [3, 3] == [len(tiers) for tiers in result["users"].values()]
