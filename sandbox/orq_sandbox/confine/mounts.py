"""Mounting: binds that can only be read, fresh file systems, and a change of root.

Linux 5.12 has one call that adds flags to a whole tree of mounts; before it, each mount under a
target is remounted with the flags that it has and must keep.
"""

from __future__ import annotations

import errno
import os
import struct
import typing

from orq_sandbox.confine.syscalls import call, make, ready, text
from orq_sandbox.kernel import Call

__all__ = [
    "RUN_MOUNT_FLAGS",
    "bind",
    "bind_read_only",
    "change_root",
    "make_private",
    "protect",
    "protect_one_by_one",
    "protect_root",
    "run_bind",
    "run_mount",
    "run_proc",
    "shelf",
    "tmpfs",
    "zygote_proc",
]

_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8  # the same in mount(2) and mount_setattr(2)
_REMOUNT, _BIND, _REC, _PRIVATE = 32, 4096, 16384, 1 << 18
_DETACH = 2
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
# statvfs(2) flags that a remount in a user namespace must not lose, and their mount(2) flags
_KEPT = ((1, 1), (2, 2), (4, 4), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21))
_RUN_TMPFS = _NOSUID | _NODEV
_LARGE_PAGES = ",huge=within_size"
_RUN_PROC = _NOSUID | _NODEV | _NOEXEC | _RDONLY

RUN_MOUNT_FLAGS = (_BIND, _BIND | _REC, _RUN_TMPFS, _RUN_TMPFS | _NOEXEC, _RUN_PROC)
"""The flags of every mount that a run's set-up makes: the seal lets no others through."""


def _mount(
    source: str,
    target: str,
    kind: typing.Optional[str] = None,
    flags: int = 0,
    options: typing.Optional[str] = None,
) -> None:
    make([_mounting(source, target, kind, flags, options)])


def _mounting(
    source: str,
    target: str,
    kind: typing.Optional[str],
    flags: int,
    options: typing.Optional[str] = None,
) -> Call:
    return ready("mount", text(source), text(target), text(kind), flags, text(options))


def make_private() -> None:
    """Let no mount of ours show elsewhere, and none of elsewhere here."""
    _mount("none", "/", None, _REC | _PRIVATE)


def bind(source: str, target: str) -> None:
    """Show the tree at `source` at `target`, with all that is mounted in it."""
    _mount(source, target, None, _BIND | _REC)


def bind_read_only(source: str, target: str) -> None:
    """`bind`, without writing, set-id programs or devices."""
    bind(source, target)
    protect(target)


def protect(target: str, *, read_only: bool = True, devices: bool = False) -> None:
    """Take writing, set-id programs and device nodes away from all mounts from `target` down.

    `devices` leaves the nodes usable: one can be written to on a read-only mount.
    """
    flags = _NOSUID | (_RDONLY if read_only else 0) | (_NOEXEC if devices else _NODEV)
    attributes = struct.pack("=QQQQ", flags, 0, 0, 0)
    try:
        call(
            "mount_setattr",
            _AT_FDCWD,
            text(target),
            _AT_RECURSIVE,
            attributes,
            len(attributes),
        )
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        protect_one_by_one(target, flags)


def protect_one_by_one(target: str, flags: int) -> None:
    """What `protect` does on Linux before 5.12."""
    for point in _mount_points(target):
        found = os.statvfs(point).f_flag
        kept = sum(ours for theirs, ours in _KEPT if found & theirs)
        _mount("none", point, None, _REMOUNT | _BIND | flags | kept)


def _mount_points(target: str) -> typing.List[str]:
    points = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            point = _unescape(line.split(" ")[4])
            if point == target or point.startswith(target.rstrip("/") + "/"):
                points.append(point)
    return points


def _unescape(word: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        word = word.replace(code, character)
    return word


def tmpfs(target: str, *, size: int, inodes: int, mode: int) -> None:
    """A fresh file system in memory, for a root that is still being built."""
    options = "size=%d,nr_inodes=%d,mode=%04o" % (size, inodes, mode)
    _mount("tmpfs", target, "tmpfs", _NOSUID | _NODEV, options)


def shelf(place: str) -> typing.Tuple[int, bool]:
    """A file system in memory that is in no tree: a descriptor of its folder is all there is of it.

    Also whether the kernel gives large files in memory large pages, which cost a hundredth.
    """
    has_large_pages = True
    try:
        _mount("tmpfs", place, "tmpfs", _RUN_TMPFS | _NOEXEC, "mode=0700" + _LARGE_PAGES)
    except OSError:  # a kernel built without them
        has_large_pages = False
        _mount("tmpfs", place, "tmpfs", _RUN_TMPFS | _NOEXEC, "mode=0700")
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    call("umount2", text(place), _DETACH)
    return folder, has_large_pages


def run_mount(
    target: str,
    *,
    size: int,
    inodes: int,
    mode: int,
    executable: bool,
    has_large_pages: bool = False,
) -> Call:
    """What mounts a run's own file system in memory."""
    options = "size=%d,nr_inodes=%d,mode=%04o" % (size, inodes, mode)
    if has_large_pages:
        options += _LARGE_PAGES
    return _mounting("tmpfs", target, "tmpfs", _RUN_TMPFS | (0 if executable else _NOEXEC), options)


def run_bind(source: str, target: str, *, whole: bool = False) -> Call:
    """What shows at one place of a run what is at another; `whole`: with all that is mounted in it.

    What the zygote has mounted in it the kernel lets nobody leave out.
    """
    return _mounting(source, target, None, _BIND | (_REC if whole else 0))


def run_proc(target: str) -> Call:
    """What shows the processes of a pid namespace that may be looked into; none can be changed."""
    return _mounting("proc", target, "proc", _RUN_PROC, "hidepid=2")


def zygote_proc(target: str) -> None:
    """The same, writable: a step's ids are mapped through it."""
    _mount("proc", target, "proc", _NOSUID | _NODEV | _NOEXEC, "hidepid=2")


def change_root(root: str) -> None:
    """Make `root`, a mount, the root of this process and let go of the old one. Raises OSError."""
    os.chdir(root)
    call("pivot_root", text("."), text("."))
    call("umount2", text("."), _DETACH)
    os.chdir("/")


def protect_root() -> None:
    """Make the root mount itself read-only, without what is mounted in it."""
    _mount("none", "/", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
