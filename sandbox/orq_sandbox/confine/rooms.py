"""What a run gets for itself: a folder to work in, one for temporary files, /dev/shm and /proc."""

from __future__ import annotations

import os
import typing

__all__ = ["OWN", "ROOM", "SHARED", "TEMPORARY", "Rooms", "are_full", "make"]

SHARED = "/dev/shm"
ROOM = "/run"
"""Where a file system of the run's own goes, with both of its rooms in it."""
TEMPORARY = ROOM + "/tmp"
OWN = (ROOM + "/work", "/tmp")
"""The run's own rooms, by the names it knows: what is in the second is in `TEMPORARY`."""


class Rooms(tuple):
    """The run's own folders: `work` is where it starts, `temporary` what TMPDIR should name."""

    __slots__ = ()  # not a NamedTuple: each costs every start a compilation

    def __new__(cls, work: str, temporary: str) -> Rooms:
        return super().__new__(cls, (work, temporary))

    @property
    def work(self) -> str:
        return str(self[0])

    @property
    def temporary(self) -> str:
        return str(self[1])


def are_full() -> bool:
    """Whether no byte or no file more goes into one of the file systems that are mounted for it."""
    found = [os.statvfs(place) for place in (ROOM, SHARED)]
    return any(one.f_bavail == 0 or one.f_favail == 0 for one in found)


def make(scratch: str, folder: typing.Optional[str]) -> Rooms:
    """Make them below `folder`, or a fresh one below `scratch`, and go there. Raises OSError.

    Whoever made `folder` or `scratch` takes them away: nothing here is gone with the run.
    """
    if folder is None:
        folder = os.path.join(scratch, "run-" + os.urandom(8).hex())
        os.mkdir(folder, 0o700)
    rooms = _below(folder)
    os.chdir(rooms.work)
    return rooms


def _below(folder: str) -> Rooms:
    rooms = Rooms(os.path.join(folder, "work"), os.path.join(folder, "tmp"))
    for path in rooms:
        os.mkdir(path, 0o700)
    return rooms
