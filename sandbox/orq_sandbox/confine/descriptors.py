"""Descriptors by their numbers: which are a step's, which are held for it, and which are closed."""

from __future__ import annotations

import errno
import os
import typing

from orq_sandbox.confine.syscalls import call, make, ready
from orq_sandbox.kernel import LOWEST_HELD

__all__ = ["aside", "close_all_but", "closing", "held"]

_LAST = 0xFFFFFFFF
_F_DUPFD_CLOEXEC = 1030


def held(path: str, flags: int) -> int:
    """An open descriptor out of the way of the low numbers, which are a step's. Raises OSError."""
    return aside(os.open(path, flags | os.O_CLOEXEC))


def aside(low: int) -> int:
    """The same descriptor under such a number; -1 for none. Raises OSError."""
    if low < 0:
        return low
    try:
        return call("fcntl", low, _F_DUPFD_CLOEXEC, LOWEST_HELD)
    finally:
        os.close(low)


def close_all_but(keep: typing.Iterable[int]) -> None:
    """Close every descriptor that is not in `keep`."""
    lowest = 0
    for number in sorted(set(keep)):
        if number > lowest:
            _close_range(lowest, number - 1)
        lowest = number + 1
    _close_range(lowest, _LAST)


def closing(
    ranges: typing.Sequence[typing.Tuple[int, int]],
) -> typing.Tuple[typing.Callable[[typing.Any], None], typing.Any]:
    """What closes these descriptors, both ends included, and what it must be called with."""
    try:
        call("close_range", _LAST, _LAST, 0)
    except OSError:  # Linux 5.9
        return _close_ranges, ranges
    return make, [ready("close_range", lowest, highest, 0) for lowest, highest in ranges]


def _close_ranges(ranges: typing.Sequence[typing.Tuple[int, int]]) -> None:
    for lowest, highest in ranges:
        _close_range(lowest, highest)


def _close_range(lowest: int, highest: int) -> None:
    try:
        call("close_range", lowest, highest, 0)
    except OSError as error:
        if error.errno != errno.ENOSYS:  # Linux 5.9
            raise
        os.closerange(lowest, min(highest, os.sysconf("SC_OPEN_MAX")) + 1)
