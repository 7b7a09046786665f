"""A zygote's heap on large pages: each fork copies one entry for each, in place of 512.

Children share them as they are. One that writes to a large page gets a small page of its own, as
from any other. Measured with numpy and scikit-learn: a fifth of what a run costs.
"""

from __future__ import annotations

import ctypes
import typing

__all__ = ["collapse"]

_MADV_COLLAPSE = 25  # since Linux 6.1; before that, and where it does not fit, nothing happens
_LARGE = 1 << 21


def collapse() -> int:
    """Put the heap on large pages, where that is possible; how many there are now."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    try:
        heap = list(_heap())
    except OSError:  # a wall that does not show it
        return 0
    done = 0
    for start, end in heap:
        place = -(-start // _LARGE) * _LARGE
        while place + _LARGE <= end:
            done += madvise(place, _LARGE, _MADV_COLLAPSE) == 0
            place += _LARGE
    return done


def _heap() -> typing.Iterator[typing.Tuple[int, int]]:
    """Where memory is that no file is behind and that is ours to write to."""
    with open("/proc/self/maps") as file:
        lines = [line.split() for line in file]
    for words in lines:
        if words[1] == "rw-p" and (len(words) < 6 or words[5] == "[heap]"):
            start, _, end = words[0].partition("-")
            yield int(start, 16), int(end, 16)
