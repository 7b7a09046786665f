"""Limits of one process: the kernel's rlimits, from the policy's quantities.

1. Soft equals hard, but for processor seconds: SIGXCPU first, SIGKILL one second later.
2. Memory is `RLIMIT_DATA`: an address space limit breaks thread stacks, JITs and mapped files.
   Shared mappings pass it; only a cgroup counts those.
3. What no policy names is at its safest: no core, no locked memory, no message queues.
4. A core limit of 0 does not keep a dump from a program that the kernel pipes it to, which would
   be the host's, as root; 1 does, and no file of one byte is written either.
"""

from __future__ import annotations

import resource
import struct
import typing

from orq_sandbox.confine.syscalls import ready
from orq_sandbox.kernel import Call

__all__ = ["apply", "bound_threads", "leave_descriptors", "lowering", "threads_now"]

_NAMES = {
    "memory": resource.RLIMIT_DATA,
    "processes": resource.RLIMIT_NPROC,
    "open_files": resource.RLIMIT_NOFILE,
    "file_bytes": resource.RLIMIT_FSIZE,
    "stack": resource.RLIMIT_STACK,
}
_ALWAYS = (
    (resource.RLIMIT_CORE, 1),
    (resource.RLIMIT_MEMLOCK, 0),
    (resource.RLIMIT_MSGQUEUE, 0),
    (resource.RLIMIT_SIGPENDING, 1024),
)


_LEFT_TO_THE_HOST = 1024


def leave_descriptors() -> None:
    """Have all the descriptors that a guest can have, and never as many as its host.

    The kernel measures by that limit who may still send one, when some of the same user's run keeps
    as many on their way as it may.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(soft, hard - _LEFT_TO_THE_HOST)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def threads_now() -> int:
    """How many threads the machine has, and so the most that any one user can have."""
    with open("/proc/loadavg") as file:
        return int(file.read().split()[3].partition("/")[2])


def bound_threads(there: int, more: int = 2048) -> None:
    """Have forking end somewhere where nothing else ends it, for good. Raises OSError.

    The kernel counts all that the user runs, anywhere: `there` is how much that may be by now. What
    a run may have is held by a watcher; this is for one that forks faster than anybody looks.
    """
    _lower(resource.RLIMIT_NPROC, there + more, there + more)


def apply(quantities: typing.Mapping[str, int]) -> None:
    """Set them for this process and its children, for good. Raises OSError.

    `cpu` is in seconds; `memory`, `file_bytes` and `stack` in bytes; `processes` counts threads.
    A limit above one that is in force already is lowered to it.
    """
    for wanted in _wanted(quantities):
        _lower(*wanted)


def lowering(quantities: typing.Mapping[str, int]) -> typing.List[Call]:
    """The calls of `apply`, for processes whose limits are those of this one until then."""
    return [
        ready("prlimit64", 0, number, struct.pack("=QQ", *_lowered(number, soft, hard)))
        for number, soft, hard in _wanted(quantities)
    ]


def _wanted(
    quantities: typing.Mapping[str, int],
) -> typing.Iterator[typing.Tuple[int, int, int]]:
    """Limits by their numbers, soft and hard."""
    for number, value in _ALWAYS:
        yield number, value, value
    for name, number in _NAMES.items():
        if name in quantities:
            yield number, quantities[name], quantities[name]
    if "cpu" in quantities:
        yield resource.RLIMIT_CPU, quantities["cpu"], quantities["cpu"] + 1


def _lowered(number: int, soft: int, hard: int) -> typing.Tuple[int, int]:
    ceiling = resource.getrlimit(number)[1]
    if ceiling == resource.RLIM_INFINITY:
        return soft, hard
    return min(soft, ceiling), min(hard, ceiling)


def _lower(number: int, soft: int, hard: int) -> None:
    soft, hard = _lowered(number, soft, hard)
    try:
        resource.setrlimit(number, (soft, hard))
    except ValueError as error:  # how `resource` says EINVAL and EPERM
        raise OSError("rlimit %d to %d: %s" % (number, soft, error)) from error
