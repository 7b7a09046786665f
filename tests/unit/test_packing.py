"""Large values of a request: where they are written, and which numbers are refused."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime import Blob, Limits
from orq_runtime._run.finite import LOOKED_AT, are_finite
from orq_runtime._run.packing import Packing
from orq_runtime._run.shelf import Shelf
from orq_runtime.errors import BadCall
from orq_runtime.model.checks import Checks

_LARGE = 2 << 20
_WRITABLE = (os.O_RDWR, os.O_WRONLY)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """A folder on a disk will do for one."""
    made = Shelf(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY))
    yield made
    made.close()


def _packing(content: object, *, nan: Any = "error") -> Packing:
    packing = Packing(Limits(), Checks(nan=nan), str)
    assert packing.placed(content) is not None
    assert packing.about() is not None
    return packing


def _content(descriptor: int) -> bytes:
    try:
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("size", [_LARGE - 64, _LARGE, _LARGE + 1])
def test_what_is_written_is_the_same_anywhere(shelf: Shelf, size: int) -> None:
    """On the shelf and in a memory file, below the size from which it is shelved and above."""
    content = os.urandom(size)

    shelved = _content(_packing(content).written(shelf))

    assert content + bytes(-size % 64) == shelved
    assert shelved == _content(_packing(content).written(None))


def test_a_shelved_file_can_only_be_read(shelf: Shelf, tmp_path: Path) -> None:
    """By whoever gets its descriptor; it has no name, so nobody else finds it."""
    descriptor = _packing(bytes(_LARGE)).written(shelf)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
        assert (0, 0o400) == (os.fstat(descriptor).st_nlink, os.fstat(descriptor).st_mode & 0o777)
    finally:
        os.close(descriptor)

    assert [] == list(tmp_path.iterdir())


def test_without_its_shelf_a_request_has_a_memory_file(shelf: Shelf) -> None:
    """The zygote may be gone by then: that is no reason to fail."""
    shelf.close()
    with pytest.raises(OSError, match="closed"):
        shelf.file()

    assert bytes(_LARGE) == _content(_packing(bytes(_LARGE)).written(shelf))


def test_a_shelf_that_is_none_is_done_without() -> None:
    """What a guest handed over may be anything: a pipe, a file, a folder that takes no files."""
    read, write = os.pipe()
    os.close(write)
    for folder in (read, os.open("/dev/null", os.O_RDONLY), os.open("/proc", os.O_RDONLY)):
        false = Shelf(folder)
        assert bytes(_LARGE) == _content(_packing(bytes(_LARGE)).written(false))
        false.close()


# -- numbers that are none -------------------------------------------------------------------------

_BAD = [float("nan"), float("inf"), float("-inf")]
_CODES = {"<f2": "e", "<f4": "f", ">f4": "f", "<f8": "d", ">f8": "d", "<c8": "f", ">c16": "d"}


@given(
    dtype=st.sampled_from(sorted(_CODES)),
    numbers=st.lists(st.floats(-6e4, 6e4, width=16), min_size=1, max_size=40),
    bad=st.sampled_from(_BAD),
    data=st.data(),
)
def test_a_number_that_is_none_is_found(
    dtype: str, numbers: list[float], bad: float, data: st.DataObject
) -> None:
    """Wherever it is, of whatever kind, with numpy and without; and no other is taken for one."""
    numpy = pytest.importorskip("numpy")
    code = _CODES[dtype]
    numbers = numbers * 2 if dtype[1] == "c" else numbers

    def bytes_of(some: list[float]) -> memoryview:
        return memoryview(struct.pack(f"{dtype[0]}{len(some)}{code}", *some))

    place = data.draw(st.integers(0, len(numbers) - 1))
    spoiled = [*numbers[:place], bad, *numbers[place + 1 :]]
    for library in (None, numpy):
        assert are_finite(bytes_of(numbers), dtype, library)
        assert not are_finite(bytes_of(spoiled), dtype, library)


def test_a_sum_that_overflows_is_no_number_that_is_none() -> None:
    """The short cut is only believed where it says that all is well."""
    largest = struct.pack("<4d", *[1.7e308] * 4)

    assert are_finite(memoryview(largest), "<f8", None)


@pytest.mark.parametrize("bad", _BAD)
@pytest.mark.parametrize(
    "place", [0, LOOKED_AT // 8 - 1, LOOKED_AT // 8, 2 * LOOKED_AT // 8, LOOKED_AT // 4 + 6]
)
@pytest.mark.parametrize("is_shelved", [True, False])
def test_numbers_are_looked_at_before_they_are_sent(
    shelf: Shelf, place: int, bad: float, *, is_shelved: bool
) -> None:
    """At every edge of what is looked at at once; an array as well as a blob of the caller's."""
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros(LOOKED_AT // 4 + 7)
    array[place] = bad
    for value in (array, Blob.of(array), array[::-1], array.reshape(1, -1, 1)):
        packing = _packing(value)
        with pytest.raises(BadCall, match="NaN or infinities"):
            packing.written(shelf if is_shelved else None)
        os.close(_packing(value, nan="allow").written(shelf))
    array[place] = 1.0

    assert array.tobytes() == _content(_packing(array).written(shelf))[-array.nbytes - 8 : -8]


def test_a_small_array_is_refused_at_once() -> None:
    """Before a child is claimed."""
    numpy = pytest.importorskip("numpy")

    with pytest.raises(BadCall, match="NaN"):
        Packing(Limits(), Checks(), str).placed(numpy.full(20_000, numpy.nan))
