"""Large values of a result, as the step packs them: numbers that JSON has no form for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orq_sandbox import parcel
from orq_sandbox.failure import Refusal

np = pytest.importorskip("numpy")

_AT_ONCE = 3 << 19
_SIZE = 2 * _AT_ONCE // 4 + 3


def _written(value: object, folder: str, *, looks_first: bool = False) -> bytes:
    packing = parcel.Packing(allow_nan=False)
    packing.looks_first = looks_first
    assert packing.placed(value) is not None
    descriptor = packing.written(folder)
    try:
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(["<f4", ">f8", "<f8", "<c8", "<c16", "<f2"]),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    place=st.one_of(
        st.integers(0, _SIZE - 1),
        st.sampled_from([0, _SIZE - 1, _AT_ONCE // 8, _AT_ONCE // 8 - 1, _AT_ONCE // 4 - 1]),
    ),
    order=st.sampled_from(["C", "F", "reversed"]),
)
def test_one_number_among_a_million_is_found(dtype: str, bad: Any, place: int, order: str) -> None:
    """Wherever it is: while the file is written, and before where the place is asked for."""
    array = np.ones(_SIZE, dtype=dtype)
    if order == "F":
        array = np.ones((_SIZE // 3, 3), dtype=dtype, order="F")
    array.flat[place % array.size] = bad
    value = array[::-1] if order == "reversed" else array

    for looks_first in (False, True):
        with pytest.raises(ValueError, match="not finite"):
            _written(value, "/tmp", looks_first=looks_first)


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<c16", "<i8"])
def test_what_is_finite_is_written_whole(dtype: str, tmp_path: Path) -> None:
    """Each element once, whatever is looked at on the way."""
    array = np.arange(_SIZE).astype(dtype)

    assert array.tobytes() in _written(array, str(tmp_path))


def test_the_place_is_named_in_a_large_result(tmp_path: Path) -> None:
    """It is found while the file is written, when nobody knows any more what it was of."""
    orjson = pytest.importorskip("orjson")
    from orq_sandbox import encode

    array = np.ones(_SIZE)
    array[7] = np.nan
    value = {"deep": [np.ones(_SIZE), array]}
    beside = encode.Beside()

    def encoded() -> bytes:
        return encode.encode(orjson, value, beside=beside)

    encoded()
    with pytest.raises(Refusal, match=r"return\['deep'\]\[1\]` holds a number that is not finite"):
        beside.written(str(tmp_path), encoded)


@pytest.mark.parametrize("length", [100, (8 << 20) - 1, 8 << 20, (9 << 20) + 5])
def test_bytes_of_any_size_are_what_was_sent(length: int) -> None:
    """Small ones are read, large ones filled in large pages; the ones before them are not in it."""
    content = os.urandom(1 << 10) * (length // (1 << 10) + 1)
    descriptor = os.memfd_create("blobs")
    try:
        os.write(descriptor, b"before" + content[:length] + b"after")
        inputs = {"x": {"K": 0}, "y": [{"K": 0}]}
        about = {"key": "K", "parts": [["bytes", 6, length]]}

        found = parcel.unpacked(inputs, about, descriptor)
    finally:
        os.close(descriptor)

    assert {"x": content[:length], "y": [content[:length]]} == found
    assert type(found["x"]) is bytes
    assert hash(found["x"]) == hash(content[:length])


def test_a_file_that_is_too_short_gives_no_bytes() -> None:
    """Not even those that are there."""
    descriptor = os.memfd_create("blobs")
    try:
        os.write(descriptor, bytes(9 << 20))
        about = {"key": "K", "parts": [["bytes", 0, 10 << 20]]}

        with pytest.raises(EOFError):
            parcel.unpacked({"x": {"K": 0}}, about, descriptor)
    finally:
        os.close(descriptor)
