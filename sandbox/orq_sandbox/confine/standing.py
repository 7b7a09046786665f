"""What the kernel lets a user change of its other processes: read, so that a change is noticed.

An init that goes on to another run hands all of it down to the next step. The lock forbids a step
to name its init in such calls; but some name all processes of a user, `setpriority` for one.
"""

from __future__ import annotations

import os
import typing

from orq_sandbox.confine.syscalls import call

__all__ = ["read"]

_LONGEST = 1 << 14
_OF_A_PROCESS = 1  # IOPRIO_WHO_PROCESS
_OF_SCHEDULER = (15, 16, 37, 38)  # words after the name: priority, nice, real-time, policy


def read(proc: int) -> typing.Tuple[bytes, ...]:
    """This process's limits, priorities and processors. `proc`: a /proc in which it is.

    Raises OSError.
    """
    fields = _content(proc, "self/stat").rpartition(b")")[2].split()
    return (
        _content(proc, "self/limits"),
        b" ".join(fields[index] for index in _OF_SCHEDULER),
        b"%d" % call("ioprio_get", _OF_A_PROCESS, 0),
        repr(sorted(os.sched_getaffinity(0))).encode("ascii"),
    )


def _content(proc: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        return os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)
