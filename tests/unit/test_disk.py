"""The watcher of a disk, on folders of our own and a process of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orq_runtime._run.disk import DiskRound
from orq_runtime.model.limits import GIB, MIB

_LOOKS = 50  # more than it takes to count without a reason


@pytest.fixture
def pidfd() -> Iterator[int]:
    """Of a process that waits for the end of its input."""
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    descriptor = os.pidfd_open(process.pid)
    yield descriptor
    os.close(descriptor)
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def _looked_at(folder: Path, pidfd: int, limit_bytes: int) -> tuple[str, str] | None:
    watch = DiskRound([folder], pidfd=pidfd, ours=0, limit_bytes=limit_bytes, limit_files=1 << 40)
    try:
        for _ in range(_LOOKS):
            found = watch.look()
            if found is not None:
                return found
        return None
    finally:
        watch.close()


def _make_deep(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(200):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)


def test_folders_in_folders_alone_end_no_run(tmp_path: Path, pidfd: int) -> None:
    """They cannot be counted; nothing is missing on the disk either."""
    _make_deep(tmp_path)

    assert None is _looked_at(tmp_path, pidfd, 1 << 50)


def test_what_can_be_counted_and_is_too_much_ends_a_run(tmp_path: Path, pidfd: int) -> None:
    """Found by counting now and then, also where the disk has lost nothing since."""
    (tmp_path / "file").write_bytes(b"x" * 2 * MIB)

    found = _looked_at(tmp_path, pidfd, MIB)
    assert found is not None
    assert "disk_exceeded" == found[0]
    assert None is _looked_at(tmp_path, pidfd, GIB)
