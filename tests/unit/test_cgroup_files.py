"""What the kernel's own lists say of cgroups: mounts, this process's group, counters."""

from __future__ import annotations

from pathlib import Path

import pytest

from orq_runtime._run.cgroup_files import Hierarchy, counters, hierarchies, own_folder


@pytest.mark.parametrize(
    ("root", "own", "expected"),
    [("/", "/a/b", "a/b"), ("/a", "/a/b", "b"), ("/a", "/a", "."), ("/a/b", "/c", None)],
)
def test_the_own_group_is_found_below_the_mounts_root(
    tmp_path: Path, root: str, own: str, expected: str | None
) -> None:
    """A container may mount a part of the hierarchy; a group outside it cannot be reached."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text(f"3:cpu,cpuacct:/elsewhere\n0::{own}\n")
    (tmp_path / "m" / "a" / "b").mkdir(parents=True)
    (tmp_path / "m" / "b").mkdir(parents=True)
    found = own_folder(
        tmp_path, Hierarchy(version=2, mount=tmp_path / "m", root=root, controllers=frozenset())
    )

    assert (None if expected is None else tmp_path / "m" / expected) == found


def test_mounts_are_read_with_their_escapes(tmp_path: Path) -> None:
    """A blank in a path is octal; other file systems and other places are left out."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(
        "31 23 0:28 / /x/a\\040b rw - cgroup cgroup rw,memory,cpu\n"
        "32 23 0:29 / /y rw - cgroup2 cgroup2 rw\n"
        "33 23 0:30 / /x/t rw - tmpfs tmpfs rw\n"
    )

    (found,) = hierarchies(tmp_path, Path("/x"))

    assert (1, Path("/x/a b"), True) == (found.version, found.mount, "memory" in found.controllers)


def test_counters_ignore_what_is_no_number() -> None:
    """A file of a later kernel may say more than we know."""
    assert {"oom_kill": 2, "max": 0} == counters("oom_kill 2\nmax 0\nnew thing\nx\n")
