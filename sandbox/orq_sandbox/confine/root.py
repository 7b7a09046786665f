"""The root file system of a zygote: a small memory file system that holds only what was granted.

::

    /dev        null zero full random urandom, granted devices; fd stdin stdout stderr; shm
    /etc        passwd, group, hosts, nsswitch.conf of our own making, and what was granted there
    /proc       the zygote's processes; a run mounts its own over it
    /run /tmp   empty; a run mounts its own over them
    ...         what the policy grants, each at its target

Rules of this file:

1. Nothing of the host is seen unless it was granted by its path.
2. Folders that are there only to lead to a grant can be walked and not listed: what lies beside a
   granted interpreter in somebody's home stays unsaid.
3. The root is read-only when a guest first runs; only a run's own mounts can be written to.
"""

from __future__ import annotations

import os
import stat
import typing

from orq_sandbox.confine import mounts
from orq_sandbox.confine.namespaces import INNER_ID

__all__ = ["DEVICES", "LINKS", "build", "seal"]

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
_FOLDERS = ("/dev", "/dev/shm", "/etc", "/proc", "/run", "/tmp", "/usr")
_FILES = {
    "/etc/passwd": "step:x:%d:%d::/tmp:/bin/sh\n" % (INNER_ID, INNER_ID),
    "/etc/group": "step:x:%d:\n" % INNER_ID,
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_BYTES = 4 << 20
_INODES = 4096
_LISTABLE = 0o755
_WALKABLE = 0o111

Grants = typing.Sequence[typing.Sequence[str]]


class _Root:
    """A root under construction at `base`. What leads to a grant is remembered for `seal`."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._leading: typing.List[str] = []

    def at(self, path: str) -> str:
        return self._base + os.path.normpath(path)

    def lead_to(self, path: str) -> None:
        """Make the folders above `path` that are not there."""
        missing = []
        parent = os.path.dirname(os.path.normpath(path))
        while not os.path.lexists(self.at(parent)):
            missing.append(parent)
            parent = os.path.dirname(parent)
        for folder in reversed(missing):
            os.mkdir(self.at(folder), _LISTABLE)
            self._leading.append(folder)

    def place(self, source: str, path: str) -> typing.Optional[str]:
        """Where to mount `source`; None where a copy of a symbolic link was all it took."""
        target = self.at(path)
        self.lead_to(path)
        if os.path.islink(source) and not os.path.lexists(target):
            os.symlink(os.readlink(source), target)
            return None
        if os.path.islink(target):  # an earlier grant's; its own target was granted or is not
            return None
        if stat.S_ISDIR(os.stat(source).st_mode):
            if not os.path.isdir(target):
                os.mkdir(target, _LISTABLE)
        elif not os.path.lexists(target):
            self.write(path, "")
        return target

    def write(self, path: str, words: str) -> None:
        with open(self.at(path), "w", encoding="ascii") as file:
            file.write(words)
        os.chmod(self.at(path), 0o644)

    def hide_leading(self) -> None:
        for folder in self._leading:
            os.chmod(self.at(folder), _WALKABLE)


def build(base: str, policy: typing.Mapping[str, typing.Any]) -> None:
    """Make the root at `base`, an existing folder. Raises OSError."""
    mounts.make_private()
    mounts.tmpfs(base, size=_BYTES, inodes=_INODES, mode=_LISTABLE)
    root = _Root(base)
    for folder in _FOLDERS:
        os.mkdir(root.at(folder), _LISTABLE)
    for path, words in _FILES.items():
        root.write(path, words)
    for device in (*DEVICES, *policy.get("devices", ())):
        target = root.place(os.path.realpath(device), device)
        if target is not None:
            mounts.bind(device, target)
            mounts.protect(target, devices=True)
    for path, goal in LINKS.items():
        os.symlink(goal, root.at(path))
    for source, path in _shallow_first(policy.get("read_only", ())):
        target = root.place(source, path)
        if target is not None:
            mounts.bind_read_only(source, target)
    for source, path in _shallow_first(policy.get("writable", ())):
        target = root.place(source, path)
        if target is not None:
            mounts.bind(source, target)
            mounts.protect(target, read_only=False)
    root.hide_leading()


def _shallow_first(grants: Grants) -> typing.List[typing.Tuple[str, str]]:
    """A grant inside another comes after it, or it would be covered."""
    return sorted(((source, path) for source, path in grants), key=lambda pair: pair[1].count("/"))


def seal() -> None:
    """Let nothing be changed in the root any more. The mounts in it keep what they may."""
    mounts.protect_root()
