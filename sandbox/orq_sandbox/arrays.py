"""numpy values, for steps whose environment has numpy.

| type | in JSON |
|---|---|
| numpy.ndarray | nested lists; complex numbers as pairs, times and durations as ISO 8601 text |
| a numpy scalar | the number, truth value or text |

Rules of this file:

1. A list becomes an array only if no element changes: no text becomes a number, no number a truth
   value, no fraction is cut off, no integer wraps round.
2. What JSON would drop in silence is refused: a mask, the names of a structured array, the shape of
   one without elements.
"""

from __future__ import annotations

import re
import sys
import typing

from orq_sandbox import forms, scalars
from orq_sandbox.mismatch import Unmade, mismatch
from orq_sandbox.nature import is_a

__all__ = ["NO_FORM", "checker", "converter", "plain"]

NO_FORM = object()
"""What `plain` gives for numpy's other classes."""

_EXACT = {2: 1 << 11, 4: 1 << 24}  # up to which integers are floats of so many bytes
_EXACT_FLOATS = 1 << 53
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.([0-9]{1,9}))?)?)?"
_FIRST_AND_LAST = ("1678", "2261")  # years of nanoseconds
_INT64 = (-(1 << 63), (1 << 63) - 1)


def _loaded(name: str) -> typing.Any:
    return sys.modules.get(name)


def _family(kind: type) -> str:
    for name in ("ndarray", "generic"):
        base = getattr(_loaded("numpy"), name, None)
        if base is not None and issubclass(kind, base):
            return name
    return ""


# -- checks --------------------------------------------------------------------------------------


def checker(annotation: typing.Any, kind: type) -> typing.Any:
    """The checker of one of these types, or None for numpy's other classes."""
    if _family(kind) == "ndarray":
        return Array(annotation, kind)
    return None


class Array:
    """An ndarray with its dtype and shape, where the annotation has them."""

    sort = "array"

    def __init__(self, annotation: typing.Any, kind: type) -> None:
        self._kind = kind
        self._shown = forms.shown_type(annotation)
        args = forms.args_of(annotation)
        self._kinds = _dtypes(args[1]) if len(args) == 2 else ()
        self._shape = _shape_asked(args[0]) if len(args) == 2 else None

    def accepts(self, value: typing.Any) -> bool:
        return is_a(value, self._kind) and not self._misfit(value)

    def _misfit(self, value: typing.Any) -> str:
        if self._kinds and not issubclass(value.dtype.type, self._kinds):
            return "an array of %s" % value.dtype
        if self._shape is not None:
            sizes = zip(self._shape, value.shape)
            if len(self._shape) != value.ndim or any(w not in (None, n) for w, n in sizes):
                return "an array of shape %s" % (value.shape,)
        return ""

    def explain(self, value: typing.Any, path: str) -> list:
        if isinstance(value, Unmade):
            return value.explain(path, self._shown)
        if not is_a(value, self._kind):
            return [mismatch(path, self._shown, value)]
        misfit = self._misfit(value)
        if not misfit:
            return []
        message = "expected %s, got %s" % (self._shown, misfit)
        return [mismatch(path, self._shown, value, message)]


def _dtypes(asked: typing.Any) -> tuple:
    """The scalar classes that `numpy.dtype[...]` names; none for any."""
    inner = forms.args_of(asked)
    if not inner:
        return ()
    members = forms.args_of(inner[0]) if forms.is_union(inner[0]) else inner[:1]
    generic = _loaded("numpy").generic
    known = tuple(one for one in members if isinstance(one, type) and issubclass(one, generic))
    return known if len(known) == len(members) and generic not in known else ()


def _shape_asked(asked: typing.Any) -> typing.Optional[tuple]:
    """The size of each dimension, None where any will do; None for any shape."""
    args = forms.args_of(asked)
    if forms.origin_of(asked) is not tuple or Ellipsis in args:
        return None
    sizes = []
    for arg in args:
        choices = forms.args_of(arg) if forms.name_of(forms.origin_of(arg)) == "Literal" else ()
        sizes.append(choices[0] if len(choices) == 1 else None)
    return tuple(sizes)


# -- in ------------------------------------------------------------------------------------------


def converter(annotation: typing.Any, kind: type) -> typing.Any:
    """The converter from JSON, or None for numpy's other classes."""
    family = _family(kind)
    if family == "ndarray":
        args = forms.args_of(annotation)
        kinds = _dtypes(args[1]) if len(args) == 2 else ()
        return _guarded(list, lambda value: _array(value, kinds))
    return _scalar(kind) if family == "generic" else None


def _guarded(source: type, make: typing.Callable) -> typing.Callable:
    def convert(value: typing.Any) -> typing.Any:
        if type(value) is not source:
            return value
        try:
            return make(value)
        except Exception as error:  # numpy's own refusal, or ours
            return Unmade(value, str(error) or type(error).__name__)

    return convert


def _array(value: list, kinds: tuple) -> typing.Any:
    shape, leaves = _flat(value)
    numpy = _loaded("numpy")
    if any(issubclass(one, numpy.complexfloating) for one in kinds):
        if not shape or shape[-1] != 2 or not _are(leaves, (int, float)):
            raise ValueError("complex numbers are pairs: [real, imaginary]")
        pairs = zip(leaves[::2], leaves[1::2])
        made = numpy.array([complex(*pair) for pair in pairs], dtype=_concrete(kinds[0]))
        return made.reshape(shape[:-1])
    reasons = []
    for one in kinds or (numpy.generic,):
        try:
            return _leaves(leaves, one).reshape(shape)
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError(reasons[0])


def _flat(value: list) -> typing.Tuple[tuple, list]:
    """The shape of nested lists and what is in them. Raises ValueError where they are ragged."""
    shape, level = [], [value]
    while level and type(level[0]) is list:
        if set(map(type, level)) != {list} or len(set(map(len, level))) != 1:
            raise ValueError("the nested lists are not all of one length")
        shape.append(len(level[0]))
        level = [item for part in level for item in part]
    if any(type(item) is list for item in level):
        raise ValueError("the nested lists are not all of one depth")
    return tuple(shape), level


def _are(leaves: list, kinds: tuple) -> bool:
    return set(map(type, leaves)) <= set(kinds)


def _concrete(kind: type) -> typing.Any:
    """The dtype that is made for a scalar class; None where the values decide."""
    numpy = _loaded("numpy")
    for abstract, name in (
        ("signedinteger", "int64"),
        ("integer", "int64"),
        ("unsignedinteger", "uint64"),
        ("floating", "float64"),
        ("inexact", "float64"),
        ("complexfloating", "complex128"),
    ):
        if kind is getattr(numpy, abstract):
            return numpy.dtype(name)
    return None if kind in (numpy.generic, numpy.number) else numpy.dtype(kind)


def _leaves(leaves: list, kind: type) -> typing.Any:
    numpy = _loaded("numpy")
    dtype = _concrete(kind) or _natural(leaves)
    sort = dtype.kind
    if sort == "O":
        made = numpy.empty(len(leaves), dtype=object)
        made[:] = leaves
        return made
    if sort in "MmS":
        return {"M": _moments, "m": _lengths, "S": _bytes}[sort](leaves)
    wanted = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float), "U": (str,)}.get(sort)
    if wanted is None:
        raise ValueError("JSON has no form for an array of %s" % dtype)
    for item in leaves:
        if type(item) not in wanted:
            raise ValueError("an element is no %s: %.100r" % (dtype.name, item))
    if sort in "iu" and leaves:
        low, high = numpy.iinfo(dtype).min, numpy.iinfo(dtype).max
        if min(leaves) < low or max(leaves) > high:
            raise ValueError("an element does not fit into %s" % dtype.name)
    if sort == "U" and any(item.endswith("\0") for item in leaves):
        raise ValueError("numpy drops the NUL at the end of a text")
    with numpy.errstate(over="ignore"):  # looked for below
        made = numpy.array(leaves, dtype=dtype)
    if sort == "f":
        _confirm_floats(leaves, made)
    return made


def _confirm_floats(leaves: list, made: typing.Any) -> None:
    exact = _EXACT.get(made.dtype.itemsize, _EXACT_FLOATS)
    pairs = zip(leaves, made.tolist())
    if any(abs(item) > exact and type(item) is int and item != one for item, one in pairs):
        raise ValueError("an integer is too large for %s" % made.dtype.name)
    if any(one == 0 != item for item, one in zip(leaves, made.tolist())):
        raise ValueError("an element is too small for %s" % made.dtype.name)
    numpy = _loaded("numpy")
    if numpy.isinf(made).sum() != sum(1 for item in leaves if item in (1e999, -1e999)):
        raise ValueError("an element is too large for %s" % made.dtype.name)


def _natural(leaves: list) -> typing.Any:
    numpy = _loaded("numpy")
    kinds = set(map(type, leaves))
    if kinds == {bool}:
        return numpy.dtype(bool)
    if kinds == {int}:
        fits = _INT64[0] <= min(leaves) and max(leaves) <= _INT64[1]
        return numpy.dtype("int64" if fits or min(leaves) < 0 else "uint64")
    if kinds <= {int, float}:
        return numpy.dtype("float64")
    if kinds == {str}:
        return numpy.dtype(str)
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ValueError("an array has elements of one type, not of %s" % names)


def _moments(leaves: list) -> typing.Any:
    """Without a zone, which numpy has none of; numpy itself reads `today` as well."""
    found = [re.fullmatch(_TIME, leaf) if type(leaf) is str else None for leaf in leaves]
    if None in found:
        raise ValueError("times are ISO 8601 text without a zone, such as 2022-07-01T10:00:00")
    is_fine = any(len((match[1] or "").rstrip("0")) > 6 for match in found if match)
    years = sorted(leaf[:4] for leaf in leaves)
    if is_fine and not (_FIRST_AND_LAST[0] <= years[0] and years[-1] <= _FIRST_AND_LAST[1]):
        raise ValueError("times have parts of a microsecond from 1678 to 2261 only")
    return _loaded("numpy").array(leaves, dtype="M8[ns]" if is_fine else "M8[us]")


def _lengths(leaves: list) -> typing.Any:
    made = [scalars.read_length(leaf) if type(leaf) is str else None for leaf in leaves]
    if None in made:
        raise ValueError("lengths of time are ISO 8601 text, such as P1DT2.5S")
    return _loaded("numpy").array(made, dtype="m8[us]")


def _bytes(leaves: list) -> typing.Any:
    read = scalars.converter(bytes)
    made = [read(leaf) if read else leaf for leaf in leaves]
    if not _are(made, (bytes,)) or any(item.endswith(b"\0") for item in made):
        raise ValueError("bytes are base64 text, and numpy drops the NUL at their end")
    return _loaded("numpy").array(made, dtype="S")


def _scalar(kind: type) -> typing.Any:
    numpy = _loaded("numpy")
    if issubclass(kind, numpy.complexfloating):
        read = scalars.converter(complex)
        number = _guarded(list, lambda value: _concrete(kind).type(read(value) if read else value))
        return lambda value: number([value, 0.0] if type(value) in (int, float) else value)

    def convert(value: typing.Any) -> typing.Any:
        if type(value) not in (bool, int, float, str):
            return value
        try:
            return _leaves([value], kind)[0]
        except ValueError as error:
            return Unmade(value, str(error))

    return convert


# -- out -----------------------------------------------------------------------------------------


def plain(value: typing.Any) -> typing.Any:
    """One step towards JSON, or `NO_FORM`. Raises ValueError with the reason for a refusal."""
    family = _family(type(value))
    if family == "ndarray":
        return _plain_array(value)
    if family == "generic":
        return _plain_scalar(value)
    return NO_FORM


def _plain_array(value: typing.Any) -> typing.Any:
    numpy = _loaded("numpy")
    masked = _loaded("numpy.ma")  # not by its name: numpy would import it then
    if masked is not None and isinstance(value, masked.MaskedArray) and masked.is_masked(value):
        raise ValueError("is an array with a mask: fill it first")
    if value.dtype.names:
        raise ValueError("is a structured array: return its columns by name")
    sort = value.dtype.kind
    if sort == "V":
        raise ValueError("is an array of %s" % value.dtype)
    if 0 in value.shape[:-1]:
        raise ValueError(
            "is an array of shape %s: lists drop all but the first zero" % (value.shape,)
        )
    if sort == "M":
        if numpy.isnat(value).any():
            raise ValueError("holds NaT")
        unit = {"Y": "D", "M": "D", "W": "D", "h": "m"}.get(numpy.datetime_data(value.dtype)[0])
        return numpy.datetime_as_string(value, unit=unit).tolist()
    if sort == "m":
        return _plain_lengths(value)
    return value.tolist()


def _plain_lengths(value: typing.Any) -> typing.Any:
    numpy = _loaded("numpy")
    made = value.astype("timedelta64[us]")
    if numpy.isnat(value).any() or (made != value).any():
        raise ValueError("holds NaT, or parts of a microsecond")
    return made.tolist()


def _plain_scalar(value: typing.Any) -> typing.Any:
    if value.dtype.kind in "mM" or value.dtype.names:
        return _plain_array(_loaded("numpy").asarray(value))
    made = value.item()
    if type(made) is type(value):  # longdouble
        made = complex(value) if value.dtype.kind == "c" else float(value)
        if made != value:
            raise ValueError("has more digits than JSON's readers keep")
    return made
