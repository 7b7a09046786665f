"""What the kernel lets a user change of its other processes: read, so that a change is noticed.

An init that goes on to another run hands all of it down to the next step. The lock forbids a step
to name its init in such calls; but some name all processes of a user, `setpriority` for one.
"""

from __future__ import annotations

import os
import typing

from orq_sandbox.confine.syscalls import call

__all__ = ["Standing", "read"]

_LONGEST = 1 << 14
_OF_A_PROCESS = 1  # IOPRIO_WHO_PROCESS

Standing = typing.Tuple[object, ...]


def read(proc: int) -> Standing:
    """This process's limits, priorities and processors. `proc`: a /proc in which it is.

    Raises OSError.
    """
    descriptor = os.open("self/limits", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        limits = os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)
    return (
        limits,
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getscheduler(0),
        os.sched_getparam(0).sched_priority,
        call("ioprio_get", _OF_A_PROCESS, 0),
        os.sched_getaffinity(0),
    )
