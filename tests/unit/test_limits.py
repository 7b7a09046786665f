"""Limits: defaults, what is refused, JSON, and which of them a parked child must know."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import pytest

from orq_runtime.errors import RequestError
from orq_runtime.model.limits import GIB, MIB, Limits


def test_every_limit_has_its_default() -> None:
    """The documented ones."""
    assert {
        "wall_seconds": 3600.0,
        "cpu_seconds": None,
        "cpu_millicores": None,
        "memory_bytes": GIB,
        "processes": 64,
        "open_files": 1024,
        "file_bytes": None,
        "tmp_bytes": GIB,
        "tmp_inodes": 65536,
        "stdout_bytes": 10 * MIB,
        "stderr_bytes": 10 * MIB,
        "result_bytes": 64 * MIB,
        "blob_bytes": GIB,
        "artifact_bytes": GIB,
        "artifact_files": 4096,
    } == Limits().to_json()


def test_every_limit_is_documented() -> None:
    """A reader of the docstring finds each by its name."""
    assert [] == [
        item.name for item in fields(Limits) if f"`{item.name}`" not in str(Limits.__doc__)
    ]


def test_limits_survive_json() -> None:
    """What a document leaves out has its default."""
    limits = Limits(wall_seconds=1.5, cpu_seconds=2, memory_bytes=64 * MIB)

    assert limits == Limits.from_json(json.loads(json.dumps(limits.to_json())))
    assert Limits(processes=3) == Limits.from_json({"processes": 3})


def test_a_file_is_as_long_as_tmp_allows_unless_said_otherwise() -> None:
    """The default follows `tmp_bytes`."""
    assert (5000, 7) == (
        Limits(tmp_bytes=5000).longest_file_bytes,
        Limits(tmp_bytes=5000, file_bytes=7).longest_file_bytes,
    )


@pytest.mark.parametrize("has_cgroup", [True, False])
def test_what_is_set_at_dispatch_does_not_split_the_pool(has_cgroup: bool) -> None:
    """Wall time, output and speed; memory and processes where a cgroup holds them."""
    one = Limits(cpu_seconds=1.2)
    other = replace(one, wall_seconds=9, stdout_bytes=1, result_bytes=7, cpu_millicores=500)
    third = replace(other, memory_bytes=64 * MIB, processes=3)
    keys = [limits.before_parking(has_cgroup=has_cgroup) for limits in (one, other, third)]

    assert (True, has_cgroup) == (keys[0] == keys[1], keys[1] == keys[2])
    assert 2 == dict(keys[0])["cpu_seconds"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cpu_seconds", 9),
        ("open_files", 99),
        ("file_bytes", 99),
        ("tmp_bytes", 99),
        ("tmp_inodes", 99),
    ],
)
def test_what_is_set_once_splits_the_pool(name: str, value: int) -> None:
    """Rlimits and sizes of file systems cannot be given to a child that is parked already."""
    other = replace(Limits(), **{name: value})

    assert Limits().before_parking(has_cgroup=True) != other.before_parking(has_cgroup=True)


@pytest.mark.parametrize(
    "document",
    [
        {"wall_seconds": 0},
        {"wall_seconds": -1},
        {"wall_seconds": math.nan},
        {"wall_seconds": math.inf},
        {"wall_seconds": "1"},
        {"wall_seconds": None},
        {"wall_seconds": 1e12},
        {"cpu_seconds": 0},
        {"memory_bytes": MIB},
        {"memory_bytes": 1.5e9},
        {"memory_bytes": True},
        {"memory_bytes": 2**62},
        {"processes": 0},
        {"processes": 1.5},
        {"processes": 5_000_000},
        {"open_files": 3},
        {"cpu_millicores": 1},
        {"tmp_inodes": 1},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_limit_that_no_run_could_be_held_to_is_refused(document: dict[str, object]) -> None:
    """And the message names it."""
    with pytest.raises(RequestError, match=f"`{next(iter(document))}`"):
        Limits.from_json(document)
