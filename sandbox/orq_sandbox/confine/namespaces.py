"""Namespaces of this process, and who it is in them."""

from __future__ import annotations

import os
import typing

from orq_sandbox.confine.syscalls import call, ready
from orq_sandbox.kernel import Call

__all__ = [
    "CLONE_NEW",
    "INNER_ID",
    "NEW_CGROUP",
    "NEW_IPC",
    "NEW_NET",
    "NEW_NS",
    "NEW_PID",
    "NEW_USER",
    "NEW_UTS",
    "bound_watching",
    "enter_pid_namespace",
    "leaving",
    "map_ids",
    "maps",
    "open_last_pid",
    "set_hostname",
    "set_last_pid",
    "unshare",
]

NEW_NS = 0x00020000
NEW_CGROUP = 0x02000000
NEW_UTS = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PID = 0x20000000
NEW_NET = 0x40000000
CLONE_NEW = NEW_NS | NEW_CGROUP | NEW_UTS | NEW_IPC | NEW_USER | NEW_PID | NEW_NET
"""All that `clone` can make; its flags have no room for time namespaces."""

_WATCHERS = 32

INNER_ID = 1000
"""User and group of every guest, as it sees itself."""


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones. Raises OSError."""
    call("unshare", flags)


def enter_pid_namespace(descriptor: int) -> None:
    """Have the children forked from here on live in that pid namespace."""
    call("setns", descriptor, NEW_PID)


def leaving(mount_namespace: int, anew: int) -> typing.List[Call]:
    """What leaves the namespaces of a run behind: for those that `anew` names there are new ones.

    New mounts are copies of those of `mount_namespace`, and what was mounted in a left one goes
    with it.
    """
    calls = [ready("unshare", anew)]
    if anew & NEW_NS:
        calls.insert(0, ready("setns", mount_namespace, NEW_NS))
    return calls


def set_last_pid(descriptor: int) -> typing.List[Call]:
    """What has the next process numbered as the first after this one (`open_last_pid`)."""
    return [] if descriptor < 0 else [ready("pwrite64", descriptor, b"1", 1, 0, gives=1)]


def open_last_pid() -> int:
    """Through this the last process id of whoever writes to it is set; -1 where that cannot be.

    A kernel without checkpoints has none: its numbers count on.
    """
    try:
        return os.open("/proc/sys/kernel/ns_last_pid", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def map_ids(uid: int, gid: int) -> None:
    """Name our user and group in the parent namespace `INNER_ID` in ours, and map nobody else."""
    for path, words in maps(uid, gid):
        descriptor = os.open("/proc/" + path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, words)
        finally:
            os.close(descriptor)


def maps(uid: int, gid: int) -> typing.Iterator[typing.Tuple[str, bytes]]:
    """What `map_ids` writes, and to which files in /proc."""
    yield "self/setgroups", b"deny"
    yield "self/uid_map", b"%d %d 1\n" % (INNER_ID, uid)
    yield "self/gid_map", b"%d %d 1\n" % (INNER_ID, gid)


def bound_watching() -> None:
    """Leave the host user most of the few inotify instances that it has for all its programs.

    For this user namespace with all in it; raising it again takes a capability over the namespace.
    """
    path = "/proc/sys/user/max_inotify_instances"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # a kernel without inotify, or before 4.13
        return
    try:
        os.write(descriptor, b"%d" % _WATCHERS)
    finally:
        os.close(descriptor)


def set_hostname(name: str) -> None:
    """The name of the machine that the guest sees."""
    encoded = name.encode("ascii", "replace")[:64]
    call("sethostname", encoded, len(encoded))
