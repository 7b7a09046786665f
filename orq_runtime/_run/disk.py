"""Watches how much a run puts on a disk of the host's: what a quota would do, where there is none.

Rules of this file:

1. What is cheap is asked every time: how much the file system has lost since the run began. Only
   when that is near the limit, and now and then, is counted what the run has: in its folders, and
   in files without a name that its processes hold open.
2. All of it is a stranger's, and changes while it is counted: nothing is opened but folders, no
   link of theirs is followed, and folders too deep to be counted are too much.
3. Where a process hides what it holds (a file without a name that is only mapped, a process that
   may not be looked into), a loss of twice the limit ends the run, though somebody else may have
   had a part in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from orq_runtime._run.watch import Processes

__all__ = ["DiskRound"]

_MOST_FILES: Final = 250_000
_BLOCK: Final = 512
_WALK_EVERY: Final = 40
_CERTAIN: Final = 2


class DiskRound:
    """The folders of one run, and how many bytes they may hold together."""

    def __init__(self, folders: Sequence[Path], limit_bytes: int, pidfd: int) -> None:
        """The pidfd of the run's init stays the caller's. Raises OSError if nothing can be seen."""
        self._folders = folders
        self._limit_bytes = limit_bytes
        self._processes = Processes(pidfd)
        self._devices = {folder.stat().st_dev for folder in folders}
        self._before = [os.statvfs(folder) for folder in folders]
        self._looks = 0

    def look(self) -> tuple[str, str] | None:
        """Whether the run has put more there than it may."""
        self._looks += 1
        lost_bytes, lost_files = self._lost()
        is_near = lost_bytes > self._limit_bytes or lost_files > _MOST_FILES
        if not is_near and self._looks % _WALK_EVERY:
            return None
        nameless, hides = self._held() if is_near else (0, False)
        is_certain = hides and lost_bytes > _CERTAIN * self._limit_bytes
        if not is_certain and not self._is_too_much(nameless):
            return None
        limits = f"{self._limit_bytes} bytes or {_MOST_FILES} files"
        return "disk_exceeded", f"more than {limits} were written, and it was killed"

    def _lost(self) -> tuple[int, int]:
        lost_bytes = lost_files = 0
        for folder, before in zip(self._folders, self._before, strict=True):
            now = os.statvfs(folder)
            lost_bytes = max(lost_bytes, (before.f_bfree - now.f_bfree) * now.f_frsize)
            lost_files = max(lost_files, before.f_ffree - now.f_ffree)
        return lost_bytes, lost_files

    def _is_too_much(self, used: int) -> bool:
        files = 0
        try:
            for status in self._entries():
                files += 1
                used += status.st_blocks * _BLOCK
                if used > self._limit_bytes or files > _MOST_FILES:
                    return True
        except (RecursionError, OSError):  # deeper than anything that is not meant to hurt
            return True
        return False

    def _entries(self) -> Iterator[os.stat_result]:
        for folder in self._folders:
            for _, folders, names, at in os.fwalk(folder):
                for name in (*folders, *names):
                    try:
                        yield os.stat(name, dir_fd=at, follow_symlinks=False)
                    except FileNotFoundError:  # gone in between
                        continue

    def _held(self) -> tuple[int, bool]:
        """Bytes of nameless files that are open, and whether there may be more than is seen."""
        found: dict[tuple[int, int], int] = {}
        hides = False
        for pid in self._processes.tree():
            try:
                for status in _open_files(pid):
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                        found[status.st_dev, status.st_ino] = status.st_blocks * _BLOCK
                hides = hides or self._maps_nameless(pid)
            except PermissionError:
                hides = True
            except OSError:  # it has ended
                continue
        return sum(used for (device, _), used in found.items() if device in self._devices), hides

    def _maps_nameless(self, pid: int) -> bool:
        with open(f"/proc/{pid}/maps", "rb") as maps:
            for line in maps:
                fields = line.split(maxsplit=5)
                if len(fields) == 6 and fields[5].endswith(b" (deleted)\n"):
                    major, minor = fields[3].split(b":")
                    if os.makedev(int(major, 16), int(minor, 16)) in self._devices:
                        return True
        return False


def _open_files(pid: int) -> Iterator[os.stat_result]:
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            try:
                yield entry.stat()
            except FileNotFoundError:  # closed in between
                continue
