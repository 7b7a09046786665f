"""When a run was asked for, and when all of it must be over."""

from __future__ import annotations

import time
from typing import NamedTuple

from orq_runtime.errors import RequestError

__all__ = ["When"]

_LONGEST = 1 << 31


class When(NamedTuple):
    """Moments in nanoseconds of the monotonic clock."""

    asked_ns: int
    over_ns: int | None = None

    @staticmethod
    def now(timeout: float | None = None) -> When:
        """Asked for now, with so many seconds for all of it. Raises `RequestError`."""
        now_ns = time.monotonic_ns()
        if timeout is None:
            return When(now_ns)
        if type(timeout) not in (int, float) or not 0 < timeout < _LONGEST:
            raise RequestError(f"`timeout` is a number of seconds over 0, not: `{timeout!r}`")
        return When(now_ns, now_ns + int(timeout * 1e9))

    def left_seconds(self) -> float | None:
        """What is left of the time, less than 0 when it is over; None when there is no end."""
        return None if self.over_ns is None else (self.over_ns - time.monotonic_ns()) / 1e9
