"""A caller's numpy and pandas values, one step nearer to JSON; the guest writes the same.

Rules of this file:

1. No library is imported to find out what a value is: who has one has done so.
2. What JSON would drop in silence is refused, with the reason: a mask, names, an index, NaT.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["NO_FORM", "is_finite_table", "plain", "plain_index"]

NO_FORM: Final = object()
"""What `plain` gives for everything else."""

Values = Any  # of libraries that no import of ours names


def plain(value: Values) -> object:
    """One step towards JSON, or `NO_FORM`. Raises ValueError with the reason for a refusal."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if pandas is not None:
        if value is pandas.NaT or value is pandas.NA:
            return None
        if isinstance(value, pandas.DataFrame):
            return _frame(value)
        if isinstance(value, pandas.Series | pandas.Index):
            return _column(value)
        if isinstance(value, pandas.Timedelta) and value.nanoseconds:
            raise ValueError("has parts of a microsecond")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return _array(numpy, value)
        if isinstance(value, numpy.generic):
            return _single(numpy, value)
    return NO_FORM


def plain_index(value: Values) -> bool:
    """Whether the rows of a table or series are just numbered."""
    index, pandas = value.index, sys.modules["pandas"]
    return index.name is None and bool(index.equals(pandas.RangeIndex(len(index))))


def is_finite_table(value: Values) -> bool:
    """Whether no column of a DataFrame or Arrow table holds NaN or infinities; nulls may be."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(value, arrow.Table):
        compute = importlib.import_module("pyarrow.compute")
        chunks = [chunk for column in value.columns for chunk in column.chunks]
        floats = [numbers for chunk in chunks for numbers in _floats(arrow, chunk)]
        return all(compute.all(compute.is_finite(column)).as_py() is not False for column in floats)
    numpy = sys.modules["numpy"]
    for place in range(value.shape[1]):
        column = value.iloc[:, place]
        if column.dtype == object and any(map(_is_no_number, column.tolist())):
            return False  # Arrow would make a null of it
        if column.dtype.kind not in "fc":
            continue
        if not isinstance(column.dtype, numpy.dtype):
            column = column.dropna().astype("float64")
        if not numpy.isfinite(column.to_numpy()).all():
            return False
    return True


def _floats(arrow: Values, column: Values) -> Iterator[Values]:
    """The arrays of floating-point numbers that a column is made of."""
    kind = column.type
    if arrow.types.is_floating(kind):
        yield column
    elif hasattr(kind, "run_end_type"):
        yield from _floats(arrow, column.values)
    elif arrow.types.is_nested(kind) or hasattr(column, "dictionary"):
        parts: list[Values]
        if arrow.types.is_map(kind):
            parts = [column.keys, column.items]
        elif arrow.types.is_struct(kind):
            parts = column.flatten()
        elif arrow.types.is_union(kind):
            parts = [column.field(place) for place in range(kind.num_fields)]
        elif hasattr(column, "dictionary"):
            parts = [column.dictionary]
        else:
            parts = [column.flatten()]
        for part in parts:
            yield from _floats(arrow, part)
    elif hasattr(column, "storage"):
        yield from _floats(arrow, column.storage)


def _is_no_number(value: object) -> bool:
    return type(value) is float and not math.isfinite(value)


def _array(numpy: Values, value: Values) -> object:
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray) and masked.is_masked(value):
        raise ValueError("is an array with a mask: fill it first")
    if value.dtype.names or value.dtype.kind == "V":
        raise ValueError("is a structured array: give its columns by name")
    if 0 in value.shape[:-1]:
        raise ValueError(f"is an array of shape {value.shape}: lists drop all but the first zero")
    if value.dtype.kind in "mM" and numpy.isnat(value).any():
        raise ValueError("holds NaT")
    if value.dtype.kind == "M":
        unit = {"Y": "D", "M": "D", "W": "D", "h": "m"}.get(numpy.datetime_data(value.dtype)[0])
        return numpy.datetime_as_string(value, unit=unit).tolist()
    if value.dtype.kind == "m":
        lengths = value.astype("m8[us]")
        if (lengths != value).any():
            raise ValueError("holds parts of a microsecond")
        return lengths.tolist()
    return value.tolist()


def _single(numpy: Values, value: Values) -> object:
    if value.dtype.kind in "mM" or value.dtype.names:
        return _array(numpy, numpy.asarray(value))
    made = value.item()
    if type(made) is not type(value):
        return made
    plain = complex(made) if value.dtype.kind == "c" else float(made)
    if plain != made:  # a long double
        raise ValueError("has more digits than JSON's readers keep")
    return plain


def _frame(value: Values) -> object:
    if not plain_index(value):
        raise ValueError("has an index of its own: make it a column first (reset_index)")
    if not value.columns.is_unique:
        raise ValueError("has two columns of one name")
    return {name: _items(value[name]) for name in value.columns}


def _column(value: Values) -> object:
    pandas = sys.modules["pandas"]
    if isinstance(value, pandas.Series) and not plain_index(value):
        raise ValueError("has an index of its own: make it a column first (reset_index)")
    if isinstance(value, pandas.MultiIndex):
        raise ValueError("is an index of several levels")
    return _items(value)


def _items(column: Values) -> list[object]:
    items: list[object] = column.tolist()
    if column.dtype.kind in "biufc":
        return items
    # missing is null, but for NaN in a column of floats
    missing: list[bool] = column.isna().tolist()
    return [None if gone else item for item, gone in zip(items, missing, strict=True)]
