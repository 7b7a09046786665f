"""Headers of .npy files: numpy reads what is written here, and the other way round."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orq_runtime.model.npy import Order, item_bytes, read_header, written_header

numpy = pytest.importorskip("numpy")

_NUMBERS = ("|b1", "|i1", "|u1", "<i2", ">i4", "<i8", ">u8", "<f2", ">f4", "<f8", ">f8", "<f16")
_OTHERS = ("<c8", ">c16", "<M8[ns]", ">m8[25s]", "<M8", "|S0", "|S7", "<U3", ">U12")
_DTYPES = st.sampled_from((*_NUMBERS, *_OTHERS))
_SHAPES = st.lists(st.integers(0, 9), max_size=6).map(tuple)


@given(_DTYPES, _SHAPES, st.sampled_from(("C", "F")))
@example("<f8", (), "C")
@example("<f8", (0, 1 << 49), "C")
def test_numpy_reads_a_header_of_ours(dtype: str, shape: tuple[int, ...], order: Order) -> None:
    """Shape, order and dtype are what they were, and the elements start on a round address."""
    header = written_header(dtype, shape, order)

    stream = io.BytesIO(header)
    assert (1, 0) == numpy.lib.format.read_magic(stream)
    found = numpy.lib.format.read_array_header_1_0(stream)
    assert (shape, order == "F", numpy.dtype(dtype)) == found
    assert len(header) == stream.tell()
    assert 0 == len(header) % 64
    assert (dtype, shape, order, len(header)) == read_header(header + b"elements")


@given(_DTYPES, _SHAPES, st.booleans())
def test_a_header_of_numpys_is_read(dtype: str, shape: tuple[int, ...], is_fortran: bool) -> None:
    """Whatever padding numpy writes."""
    stream = io.BytesIO()
    about = {"descr": dtype, "fortran_order": is_fortran, "shape": shape}
    numpy.lib.format.write_array_header_1_0(stream, about)

    header = read_header(stream.getvalue())

    assert (dtype, shape, "F" if is_fortran else "C", stream.tell()) == header
    assert item_bytes(dtype) == numpy.dtype(dtype).itemsize
    assert header.nbytes == numpy.dtype(dtype).itemsize * int(numpy.prod(shape, dtype=object))


@given(st.binary(max_size=300), st.integers(0, 200))
def test_garbage_is_one_kind_of_error(garbage: bytes, at: int) -> None:
    """A header with other bytes somewhere in it is read exactly or refused."""
    header = bytearray(written_header("<f8", (3, 4)))
    header[at : at + len(garbage)] = garbage
    for text in (garbage, bytes(header)):
        try:
            found = read_header(text)
        except ValueError:
            continue
        assert found.length <= len(text)


@pytest.mark.parametrize(
    "dtype", ["|O", "|O8", "|V8", "<f7", "f8", "<f8,<i4", "__import__", "<M8[x]"]
)
def test_what_needs_a_pickle_has_no_header(dtype: str) -> None:
    """Objects, structures and anything that is no dtype."""
    with pytest.raises(ValueError, match="without pickles"):
        written_header(dtype, (1,))


@pytest.mark.parametrize("shape", [(1,) * 33, (1 << 60,), (1 << 30, 1 << 30), (0, 1 << 60)])
def test_a_shape_that_nothing_can_have_is_refused(shape: tuple[int, ...]) -> None:
    """Too many dimensions, or too many elements, even if there are none in the end."""
    with pytest.raises(ValueError, match="of shape"):
        written_header("|b1", shape)
