"""The benchmarks run, and what they publish is what they measured. No test here judges a time."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import figures, show, tables
from benchmarks.__main__ import NAMES
from benchmarks.goals import GOALS
from tests.architecture.sources import REPOSITORY, tree_environment

_RESULTS = REPOSITORY / "benchmarks" / "results"
_OURS = {
    "orq hot": {"paced", "back to back"},
    "orq hot, bind=True": {"paced", "back to back"},
    "orq warm, API": {"once"},
    "orq warm, CLI": {"once"},
    "uv run --script, checked, warm": {"once"},
    "uv run --script, unchecked, warm": {"once"},
    "process pool, single-use": {"paced", "back to back"},
    "process pool, reused": {"paced", "back to back"},
}
_COLD = ("orq cold, CLI", "uv run --script, checked, cold", "uv run --script, unchecked, cold")
_PEERS = {
    "fork server by hand": {"paced", "back to back"},
    "multiprocessing, fork": {"paced"},
    "multiprocessing, forkserver": {"once"},
    "isolate": {"once"},
    "bubblewrap + python": {"once"},
    "sandlock + python": {"once"},
    "pydantic-monty, single-use": {"paced"},
    "pydantic-monty, reused": {"paced"},
    **{name: {"cold"} for name in _COLD},
}
_OF_A_WORK = {
    "": {"bare interpreter": {"paced", "back to back"}},
    "import": {"import orq_runtime": {"paced"}, "python -I -c pass": {"paced"}},
    "hello": {**_OURS, **_PEERS},
    "sklearn": _OURS,
}


def _quick(name: str, file: Path, *options: str) -> tuple[dict[str, Any], str]:
    """The result of a quick run, and what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick", *options, "--json", file],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        env=tree_environment(),
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    result: dict[str, Any] = json.loads(file.read_text("utf-8"))
    assert result["benchmark"] == name
    for part in ("date", "machine", "load_average", "source", "versions", "settings"):
        assert result[part], part
    assert ended.stdout.startswith(show.tables(result))
    return result, ended.stdout


def check_figures(result: dict[str, Any]) -> None:
    """It has the figures that goals are set for, and no others."""
    expected = {goal.key for goal in GOALS if goal.benchmark == result["benchmark"]}
    assert expected == set(result["figures"])
    assert all(figure > 0 for figure in result["figures"].values())


def check_samples(row: dict[str, Any]) -> None:
    """The figures of a row follow from its samples."""
    samples = [call for turn in row["samples_ms"] for call in turn]
    assert row["n"] == len(samples)
    assert row["median_ms"] == pytest.approx(statistics.median(samples), abs=0.002)
    assert row["p95_ms"] == pytest.approx(figures.nearest_rank(samples, 0.95), abs=0.002)
    assert 0 < row["min_ms"] <= row["median_ms"] <= row["p95_ms"]
    assert row["ratio_to_bare"] > 0


def check_starts(result: dict[str, Any], works: set[str]) -> None:
    """Every contender of every workload has its row, and as many calls as it must have."""
    expected = {
        (work, name, pace)
        for work in {"", "import", *works}
        for name, paces in _OF_A_WORK[work].items()
        for pace in paces
    }
    assert expected == {(row["work"], row["contender"], row["pace"]) for row in result["rows"]}
    settings = result["settings"]
    for row in result["rows"]:
        turns = settings["cold_rounds" if row["pace"] == "cold" else "rounds"]
        calls = 1 if row["pace"] in ("once", "cold") else settings["calls_in_a_turn"]
        assert (turns, turns * calls) == (len(row["samples_ms"]), row["n"])
        check_samples(row)
    check_figures(result)


@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_starts_measures_every_contender(tmp_path: Path) -> None:
    """A quick run ends well with every peer, each of which did the work."""
    result, _ = _quick("starts", tmp_path / "starts.json", "--work", "hello")

    check_starts(result, {"hello"})


@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_throughput_measures_every_contender(tmp_path: Path) -> None:
    """Ours with a wall and without, forks by hand and both pools, at each number at once."""
    result, _ = _quick("throughput", tmp_path / "throughput.json")

    names = {"orq, confined", "orq, unconfined", "fork server by hand"}
    expected = {(name, f"{number} at once") for name in names for number in (1, 8)}
    expected |= {("process pool, single-use", ""), ("process pool, reused", "")}
    assert expected == {(row["contender"], row["work"]) for row in result["rows"]}
    for row in result["rows"]:
        check_samples(row)
    check_figures(result)


@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_bursts_measures_every_contender(tmp_path: Path) -> None:
    """A new runtime, an open one, and an open pool have a hundred calls each."""
    result, _ = _quick("burst", tmp_path / "burst.json")

    assert {
        "bare interpreter",
        "orq, new Runtime",
        "orq, open Runtime",
        "process pool, single-use, open",
    } == {row["contender"] for row in result["rows"]}
    assert result["settings"]["runs"] == 100
    for row in result["rows"]:
        check_samples(row)
    check_figures(result)


@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_heaps_measures_every_size(tmp_path: Path) -> None:
    """What is preloaded makes the zygote larger: that it was preloaded is seen."""
    result, _ = _quick("heap", tmp_path / "heap.json")

    sizes = {one["work"]: one["zygote_mb"] for one in result["heaps"]}
    assert ["hello", "numpy", "scikit-learn", "ballast of 50 MB", "ballast of 200 MB"] == [*sizes]
    assert sizes["hello"] < sizes["numpy"] < sizes["scikit-learn"]
    assert sizes["ballast of 50 MB"] - sizes["hello"] > 40
    assert sizes["ballast of 200 MB"] - sizes["hello"] > 160
    assert all(one["minor_faults"] > 0 for one in result["heaps"])
    for row in result["rows"]:
        check_samples(row)
    check_figures(result)


@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_memory_measures_what_is_parked(tmp_path: Path) -> None:
    """Pairs of both workloads, and as many more as were wanted."""
    result, _ = _quick("memory", tmp_path / "memory.json")

    assert ["hello", "sklearn"] == [row["work"] for row in result["rows"]]
    assert all(row["n"] >= 1 and 0 < row["init_mb"] < row["spare_mb"] for row in result["rows"])
    # with those that follow the runs before
    assert 0 < result["many"]["parked"] <= 2 * result["many"]["wanted"]
    assert 0 < result["many"]["private_mb"] <= result["many"]["share_mb"]
    check_figures(result)


@pytest.mark.slow
@pytest.mark.network
def test_a_run_costs_no_more_than_was_published(tmp_path: Path) -> None:
    """The gate: system calls and faults of a hot run stay below twice what is published of them.

    Each contender has its row; what could not be counted has a reason, and nothing else has.
    """
    result, _ = _quick("gates", tmp_path / "gates.json")

    assert {
        "orq hot",
        "orq hot, unconfined",
        "fork server by hand",
        "multiprocessing, fork",
        "process pool, reused",
        "process pool, single-use",
    } == {row["contender"] for row in result["rows"]}
    for row in result["rows"]:
        missing = {event for event in ("system_calls", "instructions") if row[event] is None}
        assert missing == set(result["not_counted"])

    published = json.loads(show.newest(_RESULTS, "gates").read_text("utf-8"))
    for event in ("system_calls", "minor_faults"):
        now, before = (
            next(row[event] for row in one["rows"] if row["contender"] == "orq hot")
            for one in (result, published)
        )
        assert now is None or before is None or now < 2 * before, event


@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_cold_supplies_has_the_figure_that_is_aimed_at(tmp_path: Path) -> None:
    """Its targets are ratios to uv, and one of them is the goal's."""
    result, _ = _quick("cold", tmp_path / "cold.json", "--work", "hello")

    figures_of_cold = tables.measured_of(result)
    assert {"cold"} == set(figures_of_cold)
    assert figures_of_cold["cold"] > 0
    assert {"uv", "orq"} <= {row["contender"] for row in result["rows"]}


@pytest.mark.slow
def test_all_benchmarks_are_one_command(tmp_path: Path) -> None:
    """It runs what is named, publishes nothing when it is quick, and sums up."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--only", "checks"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        env=tree_environment(),
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert "== checks: ok, " in ended.stdout
    assert re.search(r"\nchecks +\d+ s   ok\nin all +\d+ s\n$", ended.stdout)


def test_every_benchmark_is_among_them() -> None:
    """A new one is not forgotten: whatever takes --quick is run by `python -m benchmarks`."""
    found = {
        path.stem
        for path in (REPOSITORY / "benchmarks").glob("*.py")
        if "[--quick]" in path.read_text("utf-8") and path.stem != "__main__"
    }

    assert found == set(NAMES)


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
@pytest.mark.network
def test_the_benchmark_of_cold_supplies_measures_what_is_published(tmp_path: Path) -> None:
    """A quick run ends well, with the same bytecode on both sides; the committed have its rows."""
    file = tmp_path / "cold.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.cold", "--quick", "--work", "hello", "--json", file],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        timeout=240,
        env=tree_environment(),
        check=True,
    )

    measured = {
        (row["work"], row["contender"]) for row in json.loads(file.read_text("utf-8"))["rows"]
    }
    for path in _RESULTS.glob("cold-*.json"):
        published = json.loads(path.read_text("utf-8"))
        assert measured <= {(row["work"], row["contender"]) for row in published["rows"]}
        for row in published["rows"]:
            samples = [call for turn in row["samples_ms"] for call in turn]
            assert row["median_ms"] == pytest.approx(statistics.median(samples), abs=0.02)


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
