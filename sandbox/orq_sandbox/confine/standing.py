"""What the kernel lets a user change of its other processes: read, so that a change is noticed.

An init that goes on to another run hands all of it down to the next step. The lock forbids a step
to name its init in such calls; but some name all processes of a user, `setpriority` for one.
"""

from __future__ import annotations

import os
import typing

from orq_sandbox.confine.syscalls import Picture, call, make, ready
from orq_sandbox.kernel import Call

__all__ = ["Standing"]

_LIMITS = 16
_LIMIT_BYTES = 16
_PARAMETER_BYTES = 8
_MASK_BYTES = 1024  # for as many processors as Linux can be built for
_OF_A_PROCESS = 1  # IOPRIO_WHO_PROCESS


class Standing:
    """This process's limits, priorities and processors, as they are when this is made."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._seen = Picture(_LIMITS * _LIMIT_BYTES + _PARAMETER_BYTES + _MASK_BYTES)
        self._calls = list(self._reading())
        make(self._calls)
        self._seen.keep()

    def has_changed(self) -> bool:
        """Whether anything of that is otherwise in this process, a child's child. Raises OSError
        where it can be neither read nor be the same.
        """
        make(self._calls)
        return self._seen.has_changed()

    def _reading(self) -> typing.Iterator[Call]:
        yield ready(
            "getpriority", os.PRIO_PROCESS, 0, gives=call("getpriority", os.PRIO_PROCESS, 0)
        )
        yield ready("ioprio_get", _OF_A_PROCESS, 0, gives=call("ioprio_get", _OF_A_PROCESS, 0))
        yield ready("sched_getscheduler", 0, gives=call("sched_getscheduler", 0))
        place = self._seen.place
        for number in range(_LIMITS):
            yield ready("prlimit64", 0, number, None, place)
            place += _LIMIT_BYTES
        yield ready("sched_getparam", 0, place)
        place += _PARAMETER_BYTES
        yield ready("sched_getaffinity", 0, _MASK_BYTES, place, gives=None)  # how many bytes it is
