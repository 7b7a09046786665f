"""The two filters of a guest: the seal that a zygote gets, and the lock that a step gets on top.

Rules of this file:

1. The seal goes on before the first third-party byte and holds for everything that follows. In the
   namespaces tier it lets through, with exactly the arguments that we use, what each run's set-up
   needs; a hostile import can use those calls too, on namespaces that are its own.
2. The lock takes those calls away. Both are assembled once per zygote, in memory that nobody else
   has written to yet.
3. Filters add up: the strictest answer counts, and none can be taken off.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import os
import signal
import typing

from orq_sandbox.confine import bpf, seccomp_policy
from orq_sandbox.confine.mounts import RUN_MOUNT_FLAGS
from orq_sandbox.confine.namespaces import CLONE_NEW, NEW_NS, NEW_PID
from orq_sandbox.confine.syscalls import NUMBERS, make, ready
from orq_sandbox.kernel import Call

__all__ = ["Program", "install", "lock", "seal"]

_PERMISSION = bpf.error(errno.EPERM)
_MISSING = bpf.error(errno.ENOSYS)
_UNSUPPORTED = bpf.error(errno.ENOTSUP)
_NO_MEMORY = bpf.error(errno.ENOMEM)
_PRETEND = bpf.error(0)
_ALL = 0xFFFFFFFF
_LAST_16 = _ALL & ~0xF
_LAST_256 = _ALL & ~0xFF
_INIT = 1
_SET_ID = 0o6000
_CREATES = 0o100 | 0o20000000  # O_CREAT, the bit of O_TMPFILE that no other flag has
_PR_SET_PDEATHSIG = 1
_STREAM = 1
_SOCKET_TYPE = 0xF
_QUERY_PERSONALITY = 0xFFFFFFFF
_SECCOMP_SET_MODE_FILTER = 1


class _Words(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def install(program: bytes) -> None:
    """Put a filter on this thread for good. Raises OSError; needs no_new_privs."""
    filter_ = Program(program)
    make([filter_.call()])


class Program:
    """A filter in memory, which must be kept until its call was made."""

    def __init__(self, instructions: bytes) -> None:
        self._words = _Words(len(instructions) // 8, instructions)

    def call(self) -> Call:
        """What puts it on a thread, as `install`."""
        return ready("seccomp", _SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(self._words))


def seal(
    *,
    network: str,
    unshares: typing.Sequence[int],
    unix_sockets: bool,
    memfd: bool,
    own_files: bool = False,
    feigns_attributes: bool = False,
    sees_truncation: bool = True,
) -> bytes:
    """The zygote's filter.

    `unshares`: what a run's set-up unshares, call for call; nothing where there are no namespaces.
    `unix_sockets`: whether sockets with an address are harmless here. `own_files`: whether files
    that are not the run's belong to its user, so that their attributes need protection;
    `feigns_attributes`: whether setting them then does nothing instead of failing.
    `sees_truncation`: whether something else (Landlock, a read-only mount) does.
    """
    verdicts: typing.Dict[str, bpf.Verdict] = dict.fromkeys(seccomp_policy.ALLOWED, bpf.ALLOW)
    verdicts.update(dict.fromkeys(seccomp_policy.REFUSED, _PERMISSION))
    verdicts.update(_checked_arguments())
    verdicts.update(_sockets(network, unix_sockets=unix_sockets))
    if unshares:
        verdicts.update(_set_up(unshares))
    else:
        verdicts.update(_among_the_hosts_own())
        if network == "none":
            for first in seccomp_policy.OF_INTERFACES:
                rest = verdicts["ioctl"]
                verdicts["ioctl"] = bpf.when_masked(1, _LAST_256, first, _PERMISSION, rest)
    if not memfd:
        verdicts["memfd_create"] = _MISSING
    if own_files:
        verdicts.update(dict.fromkeys(seccomp_policy.ATTRIBUTES, _PERMISSION))
        if feigns_attributes:
            verdicts.update(dict.fromkeys(seccomp_policy.FEIGNED, _PRETEND))
    if not sees_truncation:
        verdicts.update(_no_truncation(verdicts))
    return _assemble(verdicts, _MISSING)


def lock(*, has_namespaces: bool, only_signal: typing.Optional[int] = None) -> bytes:
    """The step's filter, on top of the seal.

    `only_signal`: the one process that may be signalled, where Landlock cannot see to it.
    """
    verdicts: typing.Dict[str, bpf.Verdict] = dict.fromkeys(
        ["unshare", "setns", "mount", "capset", "seccomp"], _PERMISSION
    )
    if has_namespaces:
        verdicts.update(_not_to_init())
    else:
        verdicts.update(dict.fromkeys(seccomp_policy.KEEP_SESSION, _PERMISSION))
    if only_signal is not None:
        verdicts["kill"] = bpf.unless_in(0, [only_signal, 0], _PERMISSION)
        for name in ("tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
            verdicts[name] = bpf.unless_in(0, [only_signal], _PERMISSION)
        for name in ("tkill", "pidfd_send_signal"):
            verdicts[name] = _PERMISSION
    return _assemble(verdicts, bpf.ALLOW)


def _assemble(verdicts: typing.Mapping[str, bpf.Verdict], default: int) -> bytes:
    numbered = {NUMBERS[name]: said for name, said in verdicts.items() if name in NUMBERS}
    return bpf.assemble(numbered, default)


def _checked_arguments() -> typing.Dict[str, bpf.Verdict]:
    no_set_id = {
        name: bpf.when_bits(index, _SET_ID, _PERMISSION)
        for name, index in seccomp_policy.FILE_MODES.items()
    }
    ioctls = list(seccomp_policy.IOCTL_REFUSED.values())
    commands = list(seccomp_policy.FCNTL_REFUSED.values())
    no_huge_pages = {
        name: bpf.when_bits(index, bit, _NO_MEMORY)
        for name, (index, bit) in seccomp_policy.HUGE_PAGES.items()
    }
    return {
        **no_set_id,
        **no_huge_pages,
        # without O_CREAT the mode is whatever the register held
        "open": bpf.when_bits(1, _CREATES, bpf.when_bits(2, _SET_ID, _PERMISSION)),
        "openat": bpf.when_bits(2, _CREATES, bpf.when_bits(3, _SET_ID, _PERMISSION)),
        "clone": bpf.when_bits(0, CLONE_NEW, _PERMISSION),
        "ioctl": bpf.when_masked(
            1,
            _LAST_16,
            seccomp_policy.NAMESPACES_OF_A_PROCESS,
            _PERMISSION,
            bpf.when_in(1, ioctls, _PERMISSION, bpf.ALLOW),
        ),
        "fcntl": bpf.when_in(1, commands, _PERMISSION, bpf.ALLOW),
        "personality": bpf.unless_in(0, [0, _QUERY_PERSONALITY], _PERMISSION),
        # who could clear it would outlive the host; programs that set another signal for a child
        # of their own (torch does) go on, and lose nothing: the run's end is everybody's
        "prctl": bpf.when_in(
            0, [_PR_SET_PDEATHSIG], bpf.unless_in(1, [signal.SIGKILL], _PRETEND), bpf.ALLOW
        ),
    }


def _sockets(network: str, *, unix_sockets: bool) -> typing.Dict[str, bpf.Verdict]:
    unix, netlink = _socket.AF_UNIX, _socket.AF_NETLINK
    families = [unix] if unix_sockets else []
    if network == "full":
        families += [_socket.AF_INET, _socket.AF_INET6]
    other: bpf.Verdict = _PERMISSION
    if network == "full":  # interfaces and routes; other protocols configure the kernel
        other = bpf.both(0, netlink, 2, _ALL, 0, _PERMISSION)
    verdicts: typing.Dict[str, bpf.Verdict] = {
        "socket": bpf.when_in(0, families, bpf.ALLOW, other) if families else other,
        "socketpair": bpf.unless_in(0, [unix], _PERMISSION),
    }
    if not unix_sockets:
        # a datagram pair can still send to any path's socket; only a stream pair cannot
        verdicts["socketpair"] = bpf.both(0, unix, 1, _SOCKET_TYPE, _STREAM, _PERMISSION)
    if not families:
        verdicts.update(dict.fromkeys(seccomp_policy.SOCKET_CALLS, _PERMISSION))
    return verdicts


def _among_the_hosts_own() -> typing.Dict[str, bpf.Verdict]:
    """What has to be refused to a process that shares the host's processes, ipc and files."""
    verdicts: typing.Dict[str, bpf.Verdict] = dict.fromkeys(seccomp_policy.HOST_IPC, _MISSING)
    verdicts.update(dict.fromkeys(seccomp_policy.WATCHING, _PERMISSION))
    verdicts.update(dict.fromkeys(seccomp_policy.PATH_ATTRIBUTES, _UNSUPPORTED))
    for name, index in seccomp_policy.ONLY_ONESELF.items():
        verdicts[name] = bpf.unless_in(index, [0], _PERMISSION)
    for name, process in seccomp_policy.ONLY_OWN_PRIORITY.items():
        verdicts[name] = bpf.both(0, process, 1, _ALL, 0, _PERMISSION)
    return verdicts


def _not_to_init() -> typing.Dict[str, bpf.Verdict]:
    """What the kernel lets a step do to its init, the same user's: pid 1 of its pid namespace."""
    at = {**seccomp_policy.ONLY_ONESELF, **dict.fromkeys(seccomp_policy.ONLY_OWN_PRIORITY, 1)}
    return {name: bpf.when_in(index, [_INIT], _PERMISSION, bpf.ALLOW) for name, index in at.items()}


def _no_truncation(
    verdicts: typing.Mapping[str, bpf.Verdict],
) -> typing.Dict[str, bpf.Verdict]:
    """A file that is open for reading only, or not at all, is not cut short."""
    cut, cuts_and_reads = os.O_TRUNC, os.O_TRUNC | os.O_ACCMODE
    return {
        "truncate": _PERMISSION,
        "open": bpf.when_masked(1, cuts_and_reads, cut, _PERMISSION, verdicts["open"]),
        "openat": bpf.when_masked(2, cuts_and_reads, cut, _PERMISSION, verdicts["openat"]),
    }


def _set_up(unshares: typing.Sequence[int]) -> typing.Dict[str, bpf.Verdict]:
    """What runs are set up with, argument for argument: nothing can be remounted writable."""
    return {
        "unshare": bpf.unless_in(0, unshares, _PERMISSION),
        "setns": bpf.unless_in(1, [NEW_PID, NEW_NS], _PERMISSION),
        "mount": bpf.unless_in(3, RUN_MOUNT_FLAGS, _PERMISSION),
    }
