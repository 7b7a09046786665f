"""The working folder of a finished run, read by the host. Everything in it is hostile.

Rules of this file:

1. Nothing is followed: every part of a path is opened by itself, below the folder that the run's
   init handed over, and no link, device, pipe or socket is ever opened.
2. Only what belongs to the run is read: its own user's files, on the folder's own file system, with
   no second name that could lead out of it.
3. Names, depths, counts and sizes are bounded before anything is made from them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from orq_runtime._dataclass import dataclass

__all__ = ["Entry", "Refused", "WorkFolder"]

_DEEPEST: Final = 32
_MOST_ENTRIES: Final = 20_000
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PROBE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMES: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Refused(Exception):
    """Something in the folder that is not collected; the message says what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A regular file below the folder. `path` is relative; for people there is `shown`."""

    path: str
    size_bytes: int

    @property
    def shown(self) -> str:
        """The path as clean text: bytes that are no UTF-8 are spelled out."""
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")


class WorkFolder:
    """Owns the descriptor. `owner` is the host user that the run was."""

    def __init__(self, descriptor: int, owner: int) -> None:
        """Raises `Refused` when the descriptor is not a folder of the run's."""
        self._top = descriptor
        self._owner = owner
        self._left = 0
        status = os.fstat(descriptor)
        self._device = status.st_dev
        # by a mere name somebody may have what it could never open, and we could
        is_name = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_PATH
        if is_name or not stat.S_ISDIR(status.st_mode) or status.st_uid != owner:
            self.close()
            raise Refused("the run's init handed over something else than the working folder")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder. Twice is fine."""
        if self._top >= 0:
            os.close(self._top)
            self._top = -1

    def files(self, below: str = "") -> tuple[list[Entry], bool]:
        """The regular files, sorted by path, and whether those are all.

        All of them, or those in the folder `below`. Too many, or folders in folders without end,
        are not followed up. Raises OSError or `Refused` when `below` is no folder of the run's.
        """
        found: list[Entry] = []
        self._left = _MOST_ENTRIES
        with contextlib.ExitStack() as stack:
            top = self._top
            for part in below.split("/") if below else ():
                top = stack.enter_context(self._inside(top, part))
            is_all = self._look(top, f"{below}/" if below else "", 0, found)
        return sorted(found, key=lambda entry: entry.path), is_all

    def found(self, path: str) -> Entry | None:
        """The regular file at a path; None for a folder.

        Raises FileNotFoundError and NotADirectoryError, or `Refused` for anything else.
        """
        with self._probed(path) as probe:
            status = os.fstat(probe)
            if stat.S_ISDIR(status.st_mode):
                return None
            self._check(status)
            return Entry(path=path, size_bytes=status.st_size)

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """A descriptor of a regular file of the run's. Raises `Refused` or OSError."""
        with self._probed(path) as probe:
            self._check(os.fstat(probe))
            descriptor = _reopened(probe, _FILE, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _check(self, status: os.stat_result) -> None:
        for is_kind, name in _NAMES:
            if is_kind(status.st_mode):
                raise Refused(f"{name}, not a regular file")
        if not stat.S_ISREG(status.st_mode):
            raise Refused("not a regular file")
        if status.st_uid != self._owner or status.st_dev != self._device:
            raise Refused("not the run's own file")
        if status.st_nlink != 1:
            raise Refused("a file with a second name (a hard link)")

    @contextlib.contextmanager
    def _probed(self, path: str) -> Iterator[int]:
        *folders, name = path.split("/")
        with contextlib.ExitStack() as stack:
            parent = self._top
            for part in folders:
                parent = stack.enter_context(self._inside(parent, part))
            probe = os.open(name, _PROBE, dir_fd=parent)
            stack.callback(os.close, probe)
            yield probe

    @contextlib.contextmanager
    def _inside(self, parent: int, name: str) -> Iterator[int]:
        probe = os.open(name, _PROBE, dir_fd=parent)
        try:
            status = os.fstat(probe)
            if stat.S_ISLNK(status.st_mode):
                raise Refused(f"below `{name}`, which is a symbolic link")
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(f"`{name}` is no folder")
            if status.st_uid != self._owner or status.st_dev != self._device:
                raise Refused("not in the run's own folder")
            folder = _reopened(probe, _FOLDER, 0o700)
        finally:
            os.close(probe)
        try:
            yield folder
        finally:
            os.close(folder)

    def _look(self, folder: int, prefix: str, depth: int, found: list[Entry]) -> bool:
        inner: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                self._left -= 1
                if self._left < 0:
                    return False
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    size = entry.stat(follow_symlinks=False).st_size
                    found.append(Entry(path=prefix + entry.name, size_bytes=size))
        if inner and depth == _DEEPEST:
            return False
        is_all = True
        for name in inner:
            with self._inside(folder, name) as below:
                is_all = self._look(below, f"{prefix}{name}/", depth + 1, found) and is_all
        return is_all


def _reopened(probe: int, flags: int, mode: int) -> int:
    """What the probe is, opened; a file that its maker locked even itself out of is unlocked."""
    path = f"/proc/self/fd/{probe}"
    try:
        return os.open(path, flags)
    except PermissionError:
        Path(path).chmod(mode)
        return os.open(path, flags)
