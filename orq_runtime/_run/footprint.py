"""Counts what folders of a stranger's hold, a part at a time, while they change.

Rules of this file:

1. Nothing is opened but folders, each below the one that it was found in, and no link of theirs is
   followed. A folder that its maker may write and nobody may list is unlocked.
2. One descriptor for each folder above the one that is looked at, and no deeper than `_DEEPEST`:
   what lies deeper is not meant to be counted, and is too much, which `is_too_deep` says.
3. What goes or is swapped in between is left out. Whoever counts again finds it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

__all__ = ["Footprint"]

_DEEPEST: Final = 64
_BLOCK: Final = 512
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PROBE: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _TooDeep(Exception):
    """There are folders in folders without end."""


class Footprint:
    """One count of what some folders hold together: entries, and bytes on their disk."""

    def __init__(self, folders: Sequence[Path], *, most_bytes: int, most_files: int) -> None:
        self._most_bytes = most_bytes
        self._most_files = most_files
        self._bytes = self._files = 0
        self.is_too_deep = False
        self._entries = _entries(folders)

    def is_too_much(self, beside: int, entries: int | None) -> bool | None:
        """Count that many entries more (None: to the end); None while there may be others.

        `beside` are bytes that were found elsewhere. Raises OSError when it cannot go on, and must
        not be asked again once it has answered.
        """
        try:
            seen = 0
            for status in itertools.islice(self._entries, entries):
                seen += 1
                self._files += 1
                self._bytes += status.st_blocks * _BLOCK
                if self._bytes + beside > self._most_bytes or self._files > self._most_files:
                    return True
        except _TooDeep:
            self.is_too_deep = True
            return True
        return None if seen == entries else self._bytes + beside > self._most_bytes

    def close(self) -> None:
        """Let go of the folders that are open. Twice is fine."""
        self._entries.close()


_Entries = Generator[os.stat_result, None, None]


def _entries(folders: Sequence[Path]) -> _Entries:
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # gone, or swapped
            yield from _below(str(folder), None, _DEEPEST)


def _below(name: str, parent: int | None, deepest: int) -> _Entries:
    folder = _opened(name, parent)
    try:
        inner = []
        device = os.fstat(folder).st_dev
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                    inner.append(entry.name)
                yield status
        if inner and not deepest:
            raise _TooDeep
        for one in inner:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                yield from _below(one, folder, deepest - 1)
    finally:
        os.close(folder)


def _opened(name: str, parent: int | None) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        probe = os.open(name, _PROBE, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{probe}").chmod(0o700)
        return os.open(f"/proc/self/fd/{probe}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(probe)
