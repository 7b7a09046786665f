"""numpy values, for steps whose environment has numpy.

| type | in JSON |
|---|---|
| numpy.ndarray | nested lists; complex numbers as pairs, datetime64 as ISO 8601 text |
| a numpy scalar | the number, truth value or text |

Rules of this file:

1. A list becomes an array only if no element changes: no text becomes a number, no number a truth
   value, no fraction is cut off, no integer wraps round.
2. What JSON would drop in silence is refused: a mask, the names of a structured array.
"""

from __future__ import annotations

import sys
import typing

from orq_sandbox import forms
from orq_sandbox.mismatch import Unmade, mismatch

__all__ = ["NO_FORM", "checker", "converter", "plain"]

NO_FORM = object()
"""What `plain` gives for numpy's other classes."""

_EXACT_FLOATS = 1 << 53
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
        return isinstance(value, self._kind) and not self._misfit(value)

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
        if not isinstance(value, self._kind):
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
    if sort == "M":
        return _moments(leaves, dtype)
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
    whole = [item for item in leaves if type(item) is int and abs(item) > _EXACT_FLOATS]
    if any(float(item) != item for item in whole):
        raise ValueError("an integer is too large for a floating-point number")
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


def _moments(leaves: list, dtype: typing.Any) -> typing.Any:
    if not _are(leaves, (str,)):
        raise ValueError("times are ISO 8601 text")
    unit = "datetime64[us]" if dtype == "datetime64" else dtype
    return _loaded("numpy").array(leaves, dtype=unit)


def _scalar(kind: type) -> typing.Any:
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
    if sort == "M":
        if numpy.isnat(value).any():
            raise ValueError("holds NaT")
        return numpy.datetime_as_string(value).tolist()
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
    if value.dtype.kind in "mM":
        return _plain_array(_loaded("numpy").asarray(value))
    made = value.item()
    if type(made) is type(value):  # longdouble
        made = float(value)
        if made != value:
            raise ValueError("has more digits than JSON's readers keep")
    return made
