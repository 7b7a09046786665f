"""How a zygote's heap is made cheap to fork.

Rules of this file:

1. A child that finds room in what its zygote left free takes a copy of each page that it finds some
   in. So nothing is left free: what a child makes lies side by side, where nothing was before.
   (Measured: a tenth of the pages that a child writes to.)
2. With a preload the heap lies on large pages: each fork copies one entry for each, in place of
   512. Children share them as they are; one that writes to such a page gets a small page of its
   own, as from any other. (Measured with numpy and scikit-learn: a fifth of what a run costs.)
"""

from __future__ import annotations

import ctypes
import sys
import typing

__all__ = ["collapse", "leave_no_room"]

_MADV_COLLAPSE = 25  # since Linux 6.1; before that, and where it does not fit, nothing happens
_LARGE = 1 << 21
_POOL = 1 << 14 if sys.version_info >= (3, 10) else 1 << 12  # of the interpreter's own allocator
_HEAD_OF_POOL = 48
_GRAIN = 16
_LARGEST_OF_POOLS = 512
_BEFORE_BYTES = 33
_LARGEST_BLOCK = 1 << 16
_MOST = 4 << 20

_kept: list = []


def leave_no_room() -> None:
    """Take all that is free between what is in use, for good."""
    _fill_heap()
    left = _MOST  # with another allocator there may be no end
    for size in range(_GRAIN, _LARGEST_OF_POOLS + 1, _GRAIN):
        left -= _fill_pools(size, left)


def _fill_pools(size: int, most: int) -> int:
    """Objects of that size, until a pool has room for as many as fit: one that was empty.

    How many bytes were taken.
    """
    capacity = (_POOL - _HEAD_OF_POOL) // size
    capacity -= max(2, capacity // 16)  # a list and numbers of this loop may be in it, too
    pool, taken = 0, 0
    made: list = []
    while len(made) < capacity and taken < most:
        one = _object(size)
        if id(one) // _POOL != pool:
            pool = id(one) // _POOL
            _kept.extend(made)
            made.clear()
        made.append(one)
        taken += size
        del one
    while len(made) > 1:  # the one that was made first is gone last, and its place is taken first
        made.pop()
    _kept.extend(made)  # a pool with nothing in it is given back, and each child takes it anew
    return taken


def _object(size: int) -> object:
    if size == _GRAIN:
        return object()
    if size == 2 * _GRAIN:
        return float(len(_kept))
    return bytes(size - _BEFORE_BYTES)


class _Usage(ctypes.Structure):
    """What `mallinfo2(3)` tells; `top` is the room behind all that is in use."""

    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghi"] + [("top", ctypes.c_size_t)]


def _fill_heap() -> None:
    """Blocks of the C library's, ever smaller ones, as long as they fit in between."""
    libc: typing.Any = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):  # before glibc 2.33, or another library
        return
    libc.mallinfo2.restype = _Usage
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    libc.malloc.argtypes, libc.free.argtypes = (ctypes.c_size_t,), (ctypes.c_void_p,)
    libc.malloc_trim(0)
    behind = libc.sbrk(0) - libc.mallinfo2().top
    size, left = _LARGEST_BLOCK, _MOST
    while size >= _GRAIN and left > 0:
        block = libc.malloc(size)
        if block < behind:
            left -= size
        else:  # there is no room for one in between; what was taken from behind goes back there
            libc.free(block)
            size = size // 2 if size > 2 * _LARGEST_OF_POOLS else size - _GRAIN


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
