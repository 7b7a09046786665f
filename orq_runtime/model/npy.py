"""The header of a `.npy` file, written and read without numpy.

Rules of this file:

1. Only what is read back without running or guessing anything: numbers, truth values, times and
   fixed-width text. No objects (a pickle), no structures.
2. A header is one exact text: it is matched, not evaluated.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Final, Literal, NamedTuple

__all__ = ["LONGEST_HEADER", "Header", "Order", "item_bytes", "read_header", "written_header"]

Order = Literal["C", "F"]

LONGEST_HEADER: Final = 1 << 12
_MAGIC: Final = b"\x93NUMPY"
_ALIGNED: Final = 64
_MOST_DIMENSIONS: Final = 32
_LARGEST: Final = 1 << 50
_UNIT: Final = r"\[[0-9]{0,6}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\]"
_DTYPE: Final = re.compile(
    r"\|b1|\|[iu]1|[<>][iu][248]|[<>]f(?:2|4|8|12|16)|[<>]c(?:8|16|24|32)"
    rf"|[<>][mM]8(?:{_UNIT})?|\|S[0-9]{{1,9}}|[<>]U[0-9]{{1,9}}"
)
_TEXT: Final = re.compile(
    r"\{'descr': '([^']{1,40})', 'fortran_order': (True|False), "
    r"'shape': \(((?:[0-9]{1,16},(?: (?=[0-9]))?)*[0-9]{0,16})\), \} *\n"
)


class Header(NamedTuple):
    """What a header says; `length` is its own, so the elements start there."""

    dtype: str
    shape: tuple[int, ...]
    order: Order
    length: int

    @property
    def nbytes(self) -> int:
        """What the elements take."""
        return item_bytes(self.dtype) * math.prod(self.shape)


def item_bytes(dtype: str) -> int:
    """The size of one element. Raises ValueError for a dtype that no blob has."""
    if _DTYPE.fullmatch(dtype) is None:
        raise ValueError(f"no array of `{dtype}` travels without pickles")
    size = int(dtype[2:].partition("[")[0])
    return 4 * size if dtype[1] == "U" else size


def written_header(dtype: str, shape: tuple[int, ...], order: Order = "C") -> bytes:
    """The bytes before the elements. Raises ValueError as `item_bytes` does."""
    _check_shape(shape)
    item_bytes(dtype)
    sizes = "".join(f"{size}, " for size in shape)
    sizes = sizes.rstrip() if len(shape) == 1 else sizes.removesuffix(", ")
    text = f"{{'descr': '{dtype}', 'fortran_order': {order == 'F'}, 'shape': ({sizes}), }}"
    before = len(_MAGIC) + 4
    padding = -(before + len(text) + 1) % _ALIGNED
    body = text.encode("ascii") + b" " * padding + b"\n"
    return _MAGIC + b"\x01\x00" + struct.pack("<H", len(body)) + body


def read_header(start: bytes) -> Header:
    """The header that `start` begins with. Raises ValueError for anything but an exact one."""
    if start[:8] != _MAGIC + b"\x01\x00" or len(start) < 10:
        raise ValueError("not the start of a .npy file of version 1.0")
    end = 10 + struct.unpack_from("<H", start, 8)[0]
    if end > min(len(start), LONGEST_HEADER):
        raise ValueError("a .npy header that is too long")
    match = _TEXT.fullmatch(start[10:end].decode("latin-1"))
    if match is None:
        raise ValueError("a .npy header that is none")
    dtype, is_fortran, sizes = match.groups()
    item_bytes(dtype)
    shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    _check_shape(shape)
    return Header(dtype, shape, "F" if is_fortran == "True" else "C", end)


def _check_shape(shape: tuple[int, ...]) -> None:
    # each by itself too: a dimension of 0 makes any product fit
    if len(shape) > _MOST_DIMENSIONS or not all(0 <= size <= _LARGEST for size in shape):
        raise ValueError(f"an array of shape {shape[:_MOST_DIMENSIONS]}")
    if math.prod(shape) > _LARGEST:
        raise ValueError(f"an array of shape {shape}")
