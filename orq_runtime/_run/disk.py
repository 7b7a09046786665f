"""Watches how much a run puts on a disk of the host's: what a quota would do, where there is none.

Rules of this file:

1. What is cheap is asked every time: how much the file system has lost since the run began. Only
   when that is near the limit, and now and then, is counted what the run has: in its folders
   (`footprint`), and in files without a name that its processes hold open.
2. Counting must not hold up whoever drives the run: a look goes through a bounded number of
   entries, and the next one goes on from there; unless so much is lost that it cannot wait.
3. What lies too deep to be counted ends a run only when so much is lost that it may be that.
4. Where a process hides what it holds (a file without a name that is only mapped, a process that
   may not be looked into), a loss of twice the limit ends the run, though somebody else may have
   had a part in it. Our own processes are not asked: `ours` are so many generations from the first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from orq_runtime._run.footprint import Footprint
from orq_runtime._run.watch import Processes

__all__ = ["DiskRound"]

_WALK_EVERY: Final = 40
_AT_ONCE: Final = 4000
_CERTAIN: Final = 2
_BLOCK: Final = 512

_Inode = tuple[int, int]


class DiskRound:
    """The folders of one run, and how many bytes and files they may hold together."""

    def __init__(
        self, folders: Sequence[Path], *, limit_bytes: int, limit_files: int, pidfd: int, ours: int
    ) -> None:
        """The pidfd of the run's first process stays the caller's. Raises OSError."""
        self._folders = folders
        self._limit_bytes, self._limit_files = limit_bytes, limit_files
        self._pidfd, self._ours = pidfd, ours
        self._before = [os.statvfs(folder) for folder in folders]
        self._count: Footprint | None = None
        self._looks = 0

    def look(self) -> tuple[str, str] | None:
        """Whether the run has put more there than it may. Raises OSError if it cannot be said."""
        self._looks += 1
        lost_bytes, lost_files = self._lost()
        is_near = lost_bytes > self._limit_bytes or lost_files > self._limit_files
        if self._count is None and not is_near and self._looks % _WALK_EVERY:
            return None
        nameless, hides = self._held() if is_near else (0, False)
        is_far = lost_bytes > _CERTAIN * self._limit_bytes
        is_certain = hides and is_far
        if not is_certain and not self._is_counted(
            nameless, None if is_far else _AT_ONCE, is_near=is_near
        ):
            return None
        limits = f"{self._limit_bytes} bytes or {self._limit_files} files"
        return "disk_exceeded", f"more than {limits} were written, and it was killed"

    def close(self) -> None:
        """Let go of what a count holds open. Twice is fine."""
        if self._count is not None:
            self._count.close()
            self._count = None

    def _lost(self) -> tuple[int, int]:
        lost_bytes = lost_files = 0
        for folder, before in zip(self._folders, self._before, strict=True):
            now = os.statvfs(folder)
            lost_bytes = max(lost_bytes, (before.f_bfree - now.f_bfree) * now.f_frsize)
            lost_files = max(lost_files, before.f_ffree - now.f_ffree)
        return lost_bytes, lost_files

    def _is_counted(self, beside: int, entries: int | None, *, is_near: bool) -> bool:
        """Count on; whether that came to too much."""
        if self._count is None:
            self._count = Footprint(
                self._folders, most_bytes=self._limit_bytes, most_files=self._limit_files
            )
        try:
            found = self._count.is_too_much(beside, entries)
        except OSError:  # nothing more can be opened now: from the start, then
            found = False
        if found and self._count.is_too_deep and not is_near:
            found = False
        if found is not None:
            self.close()
        return bool(found)

    def _held(self) -> tuple[int, bool]:
        """Bytes of nameless files that are open, and whether there may be more than is seen."""
        devices = {folder.stat().st_dev for folder in self._folders}
        held: dict[_Inode, int] = {}
        mapped: set[_Inode] = set()
        hides = False
        for pid in Processes(self._pidfd).tree(after=self._ours):
            try:
                for status in _open_files(pid):
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                        held[status.st_dev, status.st_ino] = status.st_blocks * _BLOCK
                mapped.update(_mapped_nameless(pid))
            except PermissionError:
                hides = True
            except OSError:  # it has ended
                continue
        hides = hides or any(inode[0] in devices for inode in mapped - held.keys())
        return sum(used for (device, _), used in held.items() if device in devices), hides


def _mapped_nameless(pid: int) -> Iterator[_Inode]:
    with open(f"/proc/{pid}/maps", "rb") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].endswith(b" (deleted)\n"):
                major, minor = fields[3].split(b":")
                yield os.makedev(int(major, 16), int(minor, 16)), int(fields[4])


def _open_files(pid: int) -> Iterator[os.stat_result]:
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            try:
                yield entry.stat()
            except FileNotFoundError:  # closed in between
                continue
