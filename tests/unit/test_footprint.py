"""Counting what a stranger's folders hold: nothing is followed, and only folders are opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orq_runtime._run.footprint import Footprint
from orq_runtime.model.limits import MIB


def _counted(*folders: Path, most_bytes: int = MIB, most_files: int = 100) -> bool | None:
    count = Footprint(folders, most_bytes=most_bytes, most_files=most_files)
    try:
        return count.is_too_much(0, None)
    finally:
        count.close()


def test_bytes_and_entries_of_all_folders_count(tmp_path: Path) -> None:
    """Together, in folders below as well, by the blocks that they take."""
    for name in ("a", "b"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").write_bytes(b"x" * MIB)
    both = (tmp_path / "a", tmp_path / "b")

    assert (False, True) == (
        _counted(*both, most_bytes=3 * MIB),
        _counted(*both, most_bytes=3 * MIB // 2),
    )
    assert (False, True) == (
        _counted(*both, most_bytes=3 * MIB, most_files=4),
        _counted(*both, most_bytes=3 * MIB, most_files=3),
    )


def test_nothing_is_followed_and_nothing_is_waited_for(tmp_path: Path) -> None:
    """Links to large folders, pipes that nobody writes, holes, odd names, what is gone."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "large").write_bytes(b"x" * 2 * MIB)
    (inside / "link").symlink_to(outside)
    (inside / "file").symlink_to(outside / "large")
    os.mkfifo(inside / "pipe")
    with (inside / "hole").open("wb") as hole:
        hole.truncate(1 << 40)
    Path(os.fsdecode(os.fsencode(inside) + b"/\xff\n\x1b[2J")).mkdir()

    assert False is _counted(inside, tmp_path / "gone", inside / "link")


def test_folders_in_folders_without_end_are_too_much(tmp_path: Path) -> None:
    """Whatever they hold: they cannot be looked through with few descriptors."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(200):
        os.mkdir("d" * 100, dir_fd=descriptor)
        inner = os.open("d" * 100, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)

    assert True is _counted(tmp_path, most_files=10_000)
    assert before == len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("part", [1, 3, 7, 1000])
def test_any_parts_come_to_the_same(tmp_path: Path, part: int) -> None:
    """A count that goes on where it stopped finds what one in a single piece does."""
    for number in range(20):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"folder-{number}" / "file").touch()
    answers = []
    for most in (39, 40):
        count = Footprint([tmp_path], most_bytes=MIB, most_files=most)
        while (answer := count.is_too_much(0, part)) is None:
            continue
        answers.append(answer)

    assert [True, False] == answers


def test_what_was_found_elsewhere_counts(tmp_path: Path) -> None:
    """Files without a name are in no folder."""
    count = Footprint([tmp_path], most_bytes=MIB, most_files=9)

    assert True is count.is_too_much(MIB + 1, None)
