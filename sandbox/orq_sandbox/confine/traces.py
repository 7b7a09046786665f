"""Whether a run has left anything in the file systems that were mounted for it.

Most runs write no file. What they have not touched the next run may have as it is: mounting it anew
would be a tenth of what a run costs.

Rules of this file:

1. What says that nothing was touched is the kernel's, and no process can set it: how much is free,
   the moment of the last change (ctime) of each folder, and the number that the next file gets.
2. A change in the same tick of the clock as the one before it must show. It does where the kernel
   gives finer moments to what was asked about, since Linux 6.13: that is tried out. Elsewhere, and
   whenever a question cannot be answered, there is something left. (Attributes that a user may set
   there came with 6.6, and count as changes.)
"""

from __future__ import annotations

import os
import time
import typing

from orq_sandbox.confine.rooms import ROOM, SHARED
from orq_sandbox.confine.syscalls import Picture, make, ready
from orq_sandbox.kernel import Call

__all__ = ["Traces"]

_TICKS = 5  # CLOCK_REALTIME_COARSE
_HERE = -100
_NO_FOLLOW = 0x100
_ALL_THERE_IS = 0xFFF
_STATX_BYTES = 256
_STATFS_BYTES = 128


class Traces:
    """What can be seen of the rooms of a run, for one init and the runs it serves."""

    def __init__(self, folders: typing.Sequence[str]) -> None:
        """`folders` are all that the run's file systems hold, by paths that no mount hides."""
        size = len(folders) * _STATX_BYTES + 2 * _STATFS_BYTES
        self._folders = folders
        self._seen = Picture(size)
        self._calls = list(self._looking())
        self._is_known = False
        self._numbers: typing.List[int] = []
        self._is_fine = False

    def note(self) -> None:
        """All is as new: remember how that looks."""
        try:
            self._is_fine = self._is_fine or self._shows_each_change()
            self._numbers = [_next_number(place) for place in (ROOM, SHARED)]
            make(self._calls)
            self._seen.keep()
            self._is_known = self._is_fine
        except OSError:  # a kernel that does not tell
            self._is_known = False

    def are_left(self) -> bool:
        """Whether it may look otherwise now."""
        if not self._is_known:
            return True
        try:
            for place, number in enumerate(self._numbers):
                self._numbers[place] = number + 1
                if _next_number((ROOM, SHARED)[place]) != number + 1:
                    return True
            make(self._calls)
            return self._seen.has_changed()
        except OSError:
            return True

    def _looking(self) -> typing.Iterator[Call]:
        place = self._seen.place
        for folder in self._folders:
            name = os.fsencode(folder)
            yield ready("statx", _HERE, name, _NO_FOLLOW, _ALL_THERE_IS, place)
            place += _STATX_BYTES
        for mount in (ROOM, SHARED):
            yield ready("statfs", os.fsencode(mount), place)
            place += _STATFS_BYTES

    def _shows_each_change(self) -> bool:
        """Whether two changes within one tick can be told apart."""
        before = time.clock_gettime(_TICKS)
        moments = set()
        for _ in range(3):
            os.chmod(ROOM, os.stat(ROOM).st_mode & 0o7777)
            moments.add(os.stat(ROOM).st_ctime_ns)
        is_one_tick = time.clock_gettime(_TICKS) == before
        return is_one_tick and len(moments) == 3


def _next_number(mount: str) -> int:
    """The number of a file that was made there just now, and is gone."""
    descriptor = os.open(mount, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        return os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
