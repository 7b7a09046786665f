"""pandas and pyarrow values, for steps whose environment has them.

| type | in JSON |
|---|---|
| pandas.DataFrame, pyarrow.Table | an object of columns: `{"a": [1, 2], "b": ["x", null]}` |
| pandas.Series | a list |
| pandas.Timestamp | ISO 8601 text |

Rules of this file:

1. What JSON would drop in silence is refused: an index, a second column of a name.
2. A missing value (NA, NaT, null) is null, and a column with one has a type that has one. NaN in a
   column of floats is a NaN.
"""

from __future__ import annotations

import collections
import importlib
import math
import sys
import typing

from orq_sandbox import scalars
from orq_sandbox.mismatch import Unmade

__all__ = ["NO_FORM", "converter", "is_finite", "is_numbered", "is_row_of_numbers", "plain"]

_EXACT_FLOATS = 1 << 53
NO_FORM = object()
"""What `plain` gives for the libraries' other classes."""


def _loaded(name: str) -> typing.Any:
    return sys.modules.get(name)


def _family(kind: type) -> str:
    for module, name in (
        ("pandas", "DataFrame"),
        ("pandas", "Series"),
        ("pandas", "Index"),
        ("pandas", "Timestamp"),
        ("pandas", "Timedelta"),
        ("pyarrow", "Table"),
    ):
        base = getattr(_loaded(module), name, None)
        if base is not None and issubclass(kind, base):
            return name
    return ""


def converter(kind: typing.Any) -> typing.Any:
    """The converter from JSON, or None for the libraries' other classes."""
    family = _family(kind)
    if family == "DataFrame":
        return _crossing(_guarded(dict, _frame), "Table", lambda value: value.to_pandas())
    if family == "Series":
        series = _guarded(list, lambda value: _loaded("pandas").Series(_column(value)))
        return lambda value: _loaded("pandas").Series(value) if _is_row(value) else series(value)
    if family == "Timestamp":
        read = scalars.converter(sys.modules["datetime"].datetime)
        return _guarded(str, lambda value: _of_library(kind, value, read))
    if family == "Timedelta":
        return _guarded(str, lambda value: _of_library(kind, value, scalars.read_length))
    if family == "Table":
        table = _guarded(dict, lambda value: _loaded("pyarrow").table(_columns(value)))
        return _crossing(table, "DataFrame", lambda value: kind.from_pandas(value))
    return None


def _of_library(kind: typing.Any, value: str, read: typing.Any) -> typing.Any:
    found = read(value)
    return value if found is None or found is value else kind(found)


def _crossing(convert: typing.Callable, family: str, cross: typing.Callable) -> typing.Callable:
    """A table that came beside the JSON may be the other library's."""
    return lambda value: cross(value) if _family(type(value)) == family else convert(value)


def _guarded(source: type, make: typing.Callable) -> typing.Callable:
    def convert(value: typing.Any) -> typing.Any:
        if type(value) is not source:
            return value
        try:
            return make(value)
        except Exception as error:  # the library's own refusal
            return Unmade(value, str(error) or type(error).__name__)

    return convert


def _columns(value: dict) -> dict:
    for name, column in value.items():
        if type(column) is not list:
            raise ValueError("column `%s` is no list" % name)
    return value


def _frame(value: dict) -> typing.Any:
    columns = _columns(value)
    if len(set(map(len, columns.values()))) > 1:
        raise ValueError("the columns are not all of one length")
    made = {name: _column(column) for name, column in columns.items()}
    return _loaded("pandas").DataFrame(made)


def _column(values: list) -> typing.Any:
    """A column, of a type that has a null of its own where there is one."""
    pandas = _loaded("pandas")
    kinds = set(map(type, values))
    if kinds <= {int, float, type(None)} and float in kinds and not all(map(_is_float, values)):
        raise ValueError("an integer among fractions is too large for a floating-point number")
    if type(None) not in kinds:
        return values
    kinds.discard(type(None))
    name = {
        frozenset((int,)): "Int64",
        frozenset((bool,)): "boolean",
        frozenset((float,)): "Float64",
        frozenset((int, float)): "Float64",
    }.get(frozenset(kinds), "object")
    return pandas.array(values, dtype=name) if name != "object" else _objects(values)


def _is_float(value: typing.Any) -> bool:
    """Whether it is no integer that a floating-point number cannot be."""
    return type(value) is not int or (abs(value) <= _EXACT_FLOATS or _rounded(value) == value)


def _rounded(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _objects(values: list) -> typing.Any:
    made = _loaded("numpy").empty(len(values), dtype=object)
    made[:] = values
    return made


def plain(value: typing.Any) -> typing.Any:
    """One step towards JSON, or `NO_FORM`. Raises ValueError with the reason for a refusal."""
    family = _family(type(value))
    if family == "DataFrame":
        return _plain_frame(value)
    if family == "Series":
        _confirm_index(value.index)
        return _plain_column(value)
    if family == "Index":
        if value.nlevels > 1:
            raise ValueError("is an index of several levels")
        return _plain_column(value)
    if family == "Timestamp":
        return value.isoformat()
    if family == "Table":
        if len(set(value.column_names)) != len(value.column_names):
            raise ValueError("has two columns of one name")
        return value.to_pydict()
    pandas = _loaded("pandas")
    if pandas is not None and (value is pandas.NA or value is pandas.NaT):
        return None
    return NO_FORM


def _is_row(value: typing.Any) -> bool:
    """Whether it is an array that came beside the JSON and has one dimension."""
    numpy = _loaded("numpy")
    return isinstance(value, numpy.ndarray) and value.ndim == 1


def is_finite(value: typing.Any) -> bool:
    """Whether no column of a table holds NaN or infinities; nulls may be there."""
    if _family(type(value)) == "Table":
        arrow, compute = _loaded("pyarrow"), importlib.import_module("pyarrow.compute")
        chunks = [chunk for column in value.columns for chunk in column.chunks]
        floats = [numbers for chunk in chunks for numbers in _floats(arrow, chunk)]
        return all(compute.all(compute.is_finite(column)).as_py() is not False for column in floats)
    numpy = _loaded("numpy")
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


def _floats(arrow: typing.Any, column: typing.Any) -> typing.Iterator[typing.Any]:
    """The arrays of floating-point numbers that a column is made of."""
    kind = column.type
    if arrow.types.is_floating(kind):
        yield column
    elif hasattr(kind, "run_end_type"):
        yield from _floats(arrow, column.values)
    elif arrow.types.is_nested(kind) or hasattr(column, "dictionary"):
        parts: list
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


def is_numbered(index: typing.Any) -> bool:
    """Whether an index numbers its rows and no more: JSON has no form for any other."""
    return index.name is None and index.equals(_loaded("pandas").RangeIndex(len(index)))


def is_row_of_numbers(value: typing.Any) -> bool:
    """Whether it is a Series that is an array of numbers and no more."""
    if _family(type(value)) != "Series" or not isinstance(value.dtype, _loaded("numpy").dtype):
        return False
    return value.dtype.kind in "biufc" and is_numbered(value.index)


def _confirm_index(index: typing.Any) -> None:
    if not is_numbered(index):
        raise ValueError("has an index of its own: make it a column first (reset_index)")


def _plain_frame(value: typing.Any) -> typing.Any:
    _confirm_index(value.index)
    twice = [name for name, n in collections.Counter(value.columns).items() if n > 1]
    if twice:
        raise ValueError("has two columns named %r" % twice[0])
    return {name: _plain_column(value[name]) for name in value.columns}


def _plain_column(column: typing.Any) -> list:
    values = column.tolist()
    if str(column.dtype) in ("str", "string", "category") or column.dtype.kind in "mM":
        pandas = _loaded("pandas")
        return [None if pandas.isna(item) else item for item in values]
    return values
