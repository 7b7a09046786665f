"""Two hundred runs of every kind of end leave nothing behind; `benchmarks.soak` does more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak import soak
from orq_runtime.model.plan import StartMode


@pytest.mark.slow
def test_many_runs_leave_nothing(tmp_path: Path) -> None:
    """Descriptors, threads, processes, mounts, groups, files and memory are flat, and gone."""
    found = soak(tmp_path, 200)

    assert [] == found.grown()
    assert 10 == len(found.samples)


@pytest.mark.slow
def test_runs_that_are_started_alone_leave_nothing(tmp_path: Path) -> None:
    """The same without zygotes, and without a wall."""
    start: StartMode = "exec"

    assert [] == soak(tmp_path, 20, isolation="process", start=start).grown()


@pytest.mark.slow
def test_growth_is_noticed(tmp_path: Path) -> None:
    """A soak that ends with one descriptor more than it began with says so."""
    found = soak(tmp_path, 10)
    leaked = replace(found, after=replace(found.after, descriptors=found.before.descriptors + 1))

    assert len(leaked.grown()) == 1
    assert leaked.grown()[0].startswith("descriptors")
