"""What a run gets for itself: a folder to work in, one for temporary files, /dev/shm and /proc."""

from __future__ import annotations

import binascii
import os
import stat
import typing

from orq_sandbox.confine import mounts

__all__ = ["OWN", "SHARED", "Rooms", "are_full", "furnish", "make"]

SHARED = "/dev/shm"
_ROOM = "/run"
OWN = (_ROOM + "/work", "/tmp")
"""Where `furnish` puts a run's own rooms."""
_COVERING = ("/tmp/", "/run/", SHARED + "/")
_TMP_BYTES = 1 << 30
_TMP_INODES = 65536
_SHM_BYTES = 64 << 20
_SHM_INODES = 4096


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


def furnish(quantities: typing.Mapping[str, typing.Any], *, has_large_pages: bool = False) -> Rooms:
    """Mount them in this process's own mount namespace and go there. Raises OSError.

    Both are of one memory file system, so that one cap on bytes and one on files hold for both.
    """
    covered = _covered(quantities)
    size, inodes = quantities.get("tmp_bytes"), quantities.get("tmp_inodes")
    mounts.run_mount(
        _ROOM,
        size=size or _TMP_BYTES,
        inodes=inodes or _TMP_INODES,
        mode=0o755,
        executable=True,
        has_large_pages=has_large_pages,
    )
    rooms = _below(_ROOM)
    mounts.run_bind(rooms.temporary, "/tmp")
    mounts.run_mount(
        SHARED,
        size=quantities.get("shm_bytes") or _SHM_BYTES,
        inodes=_SHM_INODES,
        mode=0o1777,
        executable=False,
    )
    mounts.run_proc("/proc")
    for path, descriptor in covered:
        _uncover(path, descriptor)
    os.chdir(rooms.work)
    return Rooms(*OWN)


def are_full() -> bool:
    """Whether no byte or no file more goes into one of the file systems that `furnish` mounted."""
    found = [os.statvfs(place) for place in (_ROOM, SHARED)]
    return any(one.f_bavail == 0 or one.f_favail == 0 for one in found)


def _covered(quantities: typing.Mapping[str, typing.Any]) -> typing.List[typing.Tuple[str, int]]:
    """The grants that lie where the run's own folders will be mounted, held open."""
    paths = [
        target
        for kind in ("read_only", "writable")
        for _, target in quantities.get(kind, ())
        if target.startswith(_COVERING)
    ]
    return [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in sorted(paths)]


def _uncover(path: str, descriptor: int) -> None:
    """Show a grant at its place again, as read-only as it was: a bind keeps that."""
    if os.path.lexists(path):  # within another grant that is back already
        os.close(descriptor)
        return
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.mkdir(path, 0o755)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    mounts.run_bind("/proc/self/fd/%d" % descriptor, path)
    os.close(descriptor)


def make(scratch: str, folder: typing.Optional[str]) -> Rooms:
    """Make them below `folder`, or a fresh one below `scratch`, and go there. Raises OSError.

    Whoever made `folder` or `scratch` takes them away: nothing here is gone with the run.
    """
    if folder is None:
        folder = os.path.join(scratch, "run-" + binascii.hexlify(os.urandom(8)).decode("ascii"))
        os.mkdir(folder, 0o700)
    rooms = _below(folder)
    os.chdir(rooms.work)
    return rooms


def _below(folder: str) -> Rooms:
    rooms = Rooms(os.path.join(folder, "work"), os.path.join(folder, "tmp"))
    for path in rooms:
        os.mkdir(path, 0o700)
    return rooms
