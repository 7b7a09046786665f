"""What a run's own mounts are made of: system calls that were made ready before the fork.

Rules of this file:

1. Grants that lie where a mount of the run's own goes are shown there again, as read-only as they
   were: a bind keeps that. One that lies in another comes back with it.
2. As for `vows`: what can be known in the zygote is worked out there.
"""

from __future__ import annotations

import os
import typing

from orq_sandbox.confine import mounts
from orq_sandbox.confine.rooms import OWN, ROOM, SHARED, TEMPORARY
from orq_sandbox.confine.stages import Stage
from orq_sandbox.confine.syscalls import make, ready
from orq_sandbox.kernel import Call

__all__ = ["Furniture"]

_COVERING = ("/tmp/", "/run/", SHARED + "/")
_TMP_BYTES = 1 << 30
_TMP_INODES = 65536
_SHM_BYTES = 64 << 20
_SHM_INODES = 4096
_PRIVATE, _PUBLIC = 0o700, 0o755
_HERE = -100

Mapping = typing.Mapping[str, typing.Any]


class Furniture:
    """A folder to work in, one for temporary files, /dev/shm and /proc, the same for all runs."""

    def __init__(self, quantities: Mapping, *, has_large_pages: bool) -> None:
        """In the zygote, below its root. Raises OSError when a grant is not there."""
        self._covered = _covered(quantities)
        size, inodes = quantities.get("tmp_bytes"), quantities.get("tmp_inodes")
        # both rooms are of one memory file system: one cap on bytes and one on files hold for both
        self._calls = [
            mounts.run_mount(
                ROOM,
                size=size or _TMP_BYTES,
                inodes=inodes or _TMP_INODES,
                mode=_PUBLIC,
                executable=True,
                has_large_pages=has_large_pages,
            ),
            *(_folder(path, _PRIVATE) for path in (OWN[0], TEMPORARY)),
            mounts.run_bind(TEMPORARY, OWN[1]),
            mounts.run_mount(
                SHARED,
                size=quantities.get("shm_bytes") or _SHM_BYTES,
                inodes=_SHM_INODES,
                mode=0o1777,
                executable=False,
            ),
            mounts.run_proc("/proc"),
            *(_folder(path, _PUBLIC) for path in _places(self._covered)),
        ]
        self._files = [path for path in self._covered if not os.path.isdir(path)]
        self._shows = [mounts.run_bind("", path, whole=True) for path in self._covered]
        self._at_last = ready("chdir", os.fsencode(OWN[0]))

    def folders(self) -> typing.List[str]:
        """All that it makes, by paths that lead there when all is mounted."""
        made = [ROOM, OWN[0], TEMPORARY, SHARED]
        for path in (*_places(self._covered), *self._files):
            if path.startswith("/tmp/"):  # where a grant may be on top of it
                made.append(TEMPORARY + path[len("/tmp") :])
            elif path not in self._covered:
                made.append(path)
        return made

    def stage(self, name: str) -> Stage:
        """In init, in a mount namespace of its own: mounts it all and goes there."""
        if self._covered:
            return name, self._set_up, None
        return name, make, [*self._calls, self._at_last]

    def _set_up(self, _: None) -> None:
        held = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in self._covered]
        make(self._calls)
        for path in self._files:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        last = []
        for descriptor, (gives, function, (number, __, *words)) in zip(held, self._shows):
            last.append((gives, function, (number, b"/proc/self/fd/%d" % descriptor, *words)))
        last.append(self._at_last)
        make(last)
        for descriptor in held:
            os.close(descriptor)


def _covered(quantities: Mapping) -> typing.List[str]:
    """The grants that lie where a run's own folders will be mounted, but for those in others."""
    paths = {
        os.path.normpath(target)
        for kind in ("read_only", "writable")
        for _, target in quantities.get(kind, ())
        if target.startswith(_COVERING)
    }
    paths -= {OWN[0], TEMPORARY}  # a run has its own there
    return [
        path for path in sorted(paths) if not any(path.startswith(other + "/") for other in paths)
    ]


def _places(covered: typing.Iterable[str]) -> typing.Iterator[str]:
    """The folders to make for them: those that lead there, and those that they are shown at."""
    made = {"/tmp", ROOM, SHARED, OWN[0], TEMPORARY}
    for path in covered:
        missing = [path] if os.path.isdir(path) else []
        above = os.path.dirname(path)
        while above not in made:
            missing.append(above)
            above = os.path.dirname(above)
        made.update(missing)
        yield from reversed(missing)


def _folder(path: str, mode: int) -> Call:
    return ready("mkdirat", _HERE, os.fsencode(path), mode)
