"""The few kernel calls that the standard library of Python 3.8 does not offer, through ctypes."""

from __future__ import annotations

import _socket
import ctypes
import os
import signal
import struct
import typing

__all__ = [
    "LOWEST_HELD",
    "Call",
    "adopt_orphans",
    "becoming",
    "children",
    "closing",
    "descendants",
    "die_with_parent",
    "has_children",
    "open_pidfd",
    "reap",
    "receive_with_descriptors",
    "rights",
    "usage",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_NR_PIDFD_OPEN = 434  # the same number on every architecture since Linux 5.3
_NUMBER = struct.Struct("i")
_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_syscall = _libc.syscall  # a library finds a function by its name each time that it is asked
_wait4, _getrusage = _libc.wait4, _libc.getrusage
_status = (ctypes.c_int * 1)()
_usage = ctypes.create_string_buffer(512)
_USAGE = struct.Struct("9l")  # of `getrusage(2)`, as far as it is asked for
_waitid = _libc.waitid
_WORD = 0xFFFFFFFF  # a negative number as C has it: else it is first tried and refused
_ANY = -1 & _WORD
_ANY_CHILD = (int(os.P_ALL), 0, None, os.WEXITED | os.WNOHANG | os.WNOWAIT)
_SIGKILL = int(signal.SIGKILL)

LOWEST_HELD = 64
"""What a zygote or an init holds open for its steps has this number or a higher one."""

Call = typing.Tuple[typing.Optional[int], typing.Callable[..., int], typing.Tuple[typing.Any, ...]]
"""What must come of it, if that matters; a function of the C library's; and its arguments."""


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, what + ": " + os.strerror(code))
    return result


def die_with_parent() -> None:
    """Have the kernel SIGKILL this process when the thread that forked it ends.

    A change of user ids undoes it; the seal forbids any other signal, so nothing else can.
    """
    _checked(_prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "PR_SET_PDEATHSIG")


def becoming(ends: typing.Sequence[int], parent: int, inherited: int) -> typing.List[Call]:
    """Calls that make a forked process one of its own, as `confine.make` takes them.

    It dies with its parent, and leads a session. It has the `ends` as its descriptors from 1 on,
    and hands down those to `inherited`.

    Numbers below `LOWEST_HELD` may be another's by then, but for the ends themselves.
    """
    calls: list = [
        (0, _prctl, (_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)),
        (parent, _libc.getppid, ()),
        (None, _libc.setsid, ()),  # an error in who leads one already
    ]
    if min(ends) <= len(ends):  # one stands where another must go
        aside = [number for number in range(len(ends) + 1, LOWEST_HELD) if number not in ends]
        calls += [(to, _libc.dup3, (end, to, os.O_CLOEXEC)) for end, to in zip(ends, aside)]
        ends = aside[: len(ends)]
    for to, end in enumerate(ends, 1):
        calls.append((to, _libc.dup3, (end, to, 0 if to <= inherited else os.O_CLOEXEC)))
    return calls


def closing(ends: typing.Iterable[int]) -> typing.List[Call]:
    """Calls that close these descriptors."""
    return [(0, _libc.close, (end,)) for end in ends]


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, daemons included."""
    _checked(_prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER")


def open_pidfd(pid: int) -> int:
    """A descriptor of a process, close-on-exec: readable when it has ended, immune to pid reuse."""
    descriptor: int = _syscall(_NR_PIDFD_OPEN, pid, 0)
    return descriptor if descriptor >= 0 else _checked(descriptor, "pidfd_open")


def has_children() -> bool:
    """Whether this process has a child, dead or alive. (`os.waitid` says no by an exception.)"""
    return int(_waitid(*_ANY_CHILD)) == 0


def reap() -> typing.Tuple[int, int, int, int]:
    """A child that has ended, if there is one: its process id, how it ended as `wait(2)` says it,
    microseconds and KiB at its peak, both with its own children's. Else 0 where there are others
    alive, -1 where there are none.

    (`os.wait4` says that by an exception, and makes much of what it tells.)
    """
    pid: int = _wait4(_ANY, _status, os.WNOHANG, _usage)
    if pid <= 0:
        return pid, 0, 0, 0
    user, user_rest, system, system_rest, peak, *_ = _USAGE.unpack_from(_usage)
    return pid, _status[0], (user + system) * 1000000 + user_rest + system_rest, peak


def usage(whose: int) -> typing.Tuple[int, int, int]:
    """Microseconds of processor time, KiB at the peak, and pages that were had without reading.

    `whose`: RUSAGE_SELF or RUSAGE_CHILDREN. (`resource` makes sixteen numbers of it.)
    """
    _getrusage(whose & _WORD, _usage)
    user, user_rest, system, system_rest, peak, _, _, _, faults = _USAGE.unpack_from(_usage)
    return (user + system) * 1000000 + user_rest + system_rest, peak, faults


def children() -> list[int]:
    """The process ids of this process's children, adopted ones included."""
    mine = os.getpid()
    try:
        with open("/proc/self/task/%d/children" % mine) as listing:
            return [int(word) for word in listing.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in _processes() if _parent_of(pid) == mine]


def descendants() -> list[int]:
    """The process ids of all that came from this process and still is below it."""
    families: dict = {}
    for pid in _processes():
        families.setdefault(_parent_of(pid), []).append(pid)
    found: list = []
    generation = [os.getpid()]
    while generation:
        generation = [pid for parent in generation for pid in families.pop(parent, ())]
        found += generation
    return found


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent_of(pid: int) -> int:
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            # the name in parentheses may hold anything; the parent is the second word after it
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return -1


def receive_with_descriptors(
    line: _socket.socket, longest: int, most: int
) -> typing.Tuple[bytes, typing.List[int]]:
    """The next bytes and the descriptors with them, close-on-exec. `socket.recv_fds` since 3.9."""
    numbers: list = []
    space = _socket.CMSG_SPACE(most * _NUMBER.size)
    message, ancillary, _, _ = line.recvmsg(longest, space, _socket.MSG_CMSG_CLOEXEC)
    for level, kind, body in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            whole = len(body) - len(body) % _NUMBER.size
            numbers += memoryview(body)[:whole].cast("i")
    return message, numbers


def rights(descriptor: int) -> list:
    """What goes along with a message for a descriptor to go along with it."""
    return [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _NUMBER.pack(descriptor))]
