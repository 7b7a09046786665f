"""The benchmark of large stores runs, and what it published is what it measured."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import REPOSITORY, tree_environment


@pytest.mark.slow
def test_the_benchmark_of_stores_measures_what_is_published(tmp_path: Path) -> None:
    """A quick run ends well, and the committed results are of ten and of ten thousand."""
    file = tmp_path / "store.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.store", "--quick", "--json", file],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        timeout=240,
        env=tree_environment(),
        check=True,
    )

    assert 2 == len(json.loads(file.read_text("utf-8"))["targets"])
    for path in (REPOSITORY / "benchmarks" / "results").glob("store-*.json"):
        published = json.loads(path.read_text("utf-8"))
        assert [10, 10_000] == published["settings"]["sizes"]
        assert [True, True] == [row["holds"] for row in published["targets"]]
        for row in published["rows"]:
            samples = [call for turn in row["samples_ms"] for call in turn]
            assert row["n"] == len(samples)
            assert row["median_ms"] == pytest.approx(statistics.median(samples), abs=0.002)
