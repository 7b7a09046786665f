"""Results to JSON: the bytes, or the reason and the place where a value has no form in it.

Rules of this file:

1. orjson writes what it can. It turns NaN into null in silence, so a document with a null in it is
   looked over; it refuses integers beyond 64 bits, which the standard library then writes.
2. A document starts with a mark: `J` when any parser reads it right, `B` when it holds integers
   that only an exact parser reads right, `N` when it holds NaN or infinities, which are only sent
   where the caller allowed it.
3. Sets come out as lists in a stable order; two keys that would be one in JSON are refused.
"""

from __future__ import annotations

import collections
import gc
import itertools
import math
import sys
import typing

from orq_sandbox import later, scalars
from orq_sandbox.failure import Refusal, shown
from orq_sandbox.nature import held, simple

__all__ = ["BIG", "PLAIN", "Beside", "decode", "encode", "encode_plain"]

PLAIN = b"J"
BIG = b"B"
NOT_FINITE = b"N"

_LARGEST = 1 << 63
_MOST_BITS = 332_192  # what the host reads: 100 000 digits
_MOST_BITS_OF_KEYS = 13_200  # 4000 digits or fewer by some: what is read, too
_LONG_TEXT = 4 << 20
_LOOKED_AT = 1000
_LARGE = 1 << 20
_BYTES = (bytes, bytearray, memoryview)
_LIBRARIES = ("numpy", "pandas", "pyarrow")
_MAY_BE_LARGE = 1 << 12  # items: of a memoryview they have a size of their own
_DEEPEST = 250  # orjson's own bound is 254


def decode(json: typing.Any, document: typing.Union[bytes, memoryview]) -> typing.Any:
    """The value of a marked document from the host."""
    if document[:1] == PLAIN:
        if len(document) < _LARGE:
            return json.loads(document[1:])
        text = memoryview(document)[1:]
        was_on = gc.isenabled()
        gc.disable()  # all that is made is kept: four times as fast
        try:
            return json.loads(text)
        finally:
            if was_on:
                gc.enable()
    import json as exact

    longest = _lift_limit(0)
    try:
        return exact.loads(bytes(document[1:]).decode())
    finally:
        _lift_limit(longest)


def _lift_limit(digits: int) -> int:
    """Set how long an integer's text may be, and say what it was; 0 is without a limit."""
    was = getattr(sys, "get_int_max_str_digits", int)()
    change: typing.Any = getattr(sys, "set_int_max_str_digits", None)
    if change is not None:
        change(digits)
    return was


class Beside:
    """What is large goes beside the document; `packing` is None as long as nothing has."""

    def __init__(self, *, allow_nan: bool = False) -> None:
        self.packing: typing.Any = None
        self._allow_nan = allow_nan

    def simpler(self, value: typing.Any) -> typing.Any:
        """One step towards JSON, as `_simpler`."""
        if issubclass(type(value), _BYTES):
            may_be_large = len(value) >= _MAY_BE_LARGE
        else:
            may_be_large = type(value).__module__.partition(".")[0] in _LIBRARIES
        if may_be_large:
            if self.packing is None:
                parcel = later.part("parcel")  # only for large values

                self.packing = parcel.Packing(allow_nan=self._allow_nan)
            placed = self.packing.placed(value)
            if placed is not None:
                return placed
        return _simpler(value)

    def about(self) -> typing.Optional[dict]:
        """What the message says of it; None where nothing was put aside."""
        return None if self.packing is None else self.packing.about()

    def written(self, folder: str, again: typing.Callable) -> int:
        """The file, as `parcel` writes it. Where a part may not travel, `again` is to say which."""
        try:
            return self.packing.written(folder)
        except ValueError:
            self.packing.looks_first = True
            self.clear()
            again()
            raise

    def clear(self) -> None:
        """Forget what was put aside: the value is gone through again."""
        if self.packing is not None:
            self.packing.clear()


def encode_plain(json: typing.Any, value: object) -> bytes:
    """The marked JSON of what is JSON's own already, as most results are; nothing for all else."""
    if _holds_long_text(value):
        return b""
    try:
        text = json.dumps(
            value, option=json.OPT_PASSTHROUGH_DATETIME | json.OPT_PASSTHROUGH_DATACLASS
        )
    except (TypeError, ValueError, RecursionError):
        return b""
    return PLAIN + text if text.find(b"null") < 0 else b""  # `in` asks first whether it is a number


def encode(
    json: typing.Any,
    value: object,
    *,
    allow_nan: bool = False,
    beside: typing.Optional[Beside] = None,
) -> bytes:
    """The marked JSON of a value. Raises `Refusal` (`not_encodable`) naming the place.

    What is large goes into `beside`, where there is one.
    """
    simpler = _simpler if beside is None else beside.simpler
    is_long = _holds_long_text(value)
    text = None
    if not is_long:
        options = json.OPT_PASSTHROUGH_DATETIME | json.OPT_PASSTHROUGH_DATACLASS
        try:
            text = json.dumps(value, default=simpler, option=options)
        except (TypeError, ValueError, RecursionError):
            pass
    if text is not None:
        if b"null" not in text:
            return PLAIN + text
        nulls = later.part("nulls")  # not needed by most results

        if nulls.are_true(json, text, value):
            return PLAIN + text
    if beside is not None:
        beside.clear()
    walk = _Walk(simpler, allow_nan=allow_nan)
    made = walk.plain(value, "return")
    if walk.has_big or walk.has_nan or is_long:
        import json as exact

        _lift_limit(0)
        written = exact.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()
        return (NOT_FINITE if walk.has_nan else BIG if walk.has_big else PLAIN) + written
    return PLAIN + json.dumps(made)


def _holds_long_text(value: object) -> bool:
    """Whether the value is, or holds near its top, a text too long for orjson.

    It asks for eight bytes per character at once, and dies of a segmentation fault where a memory
    limit does not give them.
    """
    kind = type(value)
    if issubclass(kind, str):
        return str.__len__(typing.cast("str", value)) > _LONG_TEXT
    if kind is dict:
        members = iter(typing.cast("dict", value).values())
    elif kind is list or kind is tuple:
        members = iter(typing.cast("list", value))
    else:
        return False
    some = itertools.islice(members, _LOOKED_AT)
    return any(type(member) is str and len(member) > _LONG_TEXT for member in some)


def _simpler(value: typing.Any) -> typing.Any:
    """One step towards JSON for a value that is not JSON's own.

    Raises TypeError for no way, and ValueError where a reason is known. What a value is counts, and
    not what it says it is.
    """
    kind = type(value)
    if issubclass(kind, collections.abc.MappingView):
        return list(value)  # some are sets, but their order is the mapping's
    if issubclass(kind, collections.abc.Set):
        return _stable(held(value))
    if issubclass(kind, collections.abc.Sequence) and not issubclass(kind, _TEXTS):
        return value.data if issubclass(kind, collections.UserString) else list(held(value))
    if issubclass(kind, collections.abc.Mapping):
        return dict(held(value))
    if hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__attrs_attrs__"):
        records = later.part("records")  # only where a class has fields

        return records.held_by(value)
    library = kind.__module__.partition(".")[0]
    if library in ("numpy", "pandas", "pyarrow"):
        found = _of_library(library, value)
        if found is not value:
            return found
    if hasattr(kind, "__pydantic_validator__") or hasattr(kind, "__validators__"):
        models = later.part("models")  # only steps that have pydantic

        if models.is_model(kind):
            return models.plain(value)
    if kind.__name__ == "Decimal" and not value.is_finite():
        raise TypeError("a number that is none")
    return scalars.plain(value)


def _of_library(library: str, value: typing.Any) -> typing.Any:
    if library == "numpy":
        arrays = later.part("arrays")  # only steps that have it

        found = arrays.plain(value)
        return value if found is arrays.NO_FORM else found
    tables = later.part("tables")  # only steps that have one of them

    found = tables.plain(value)
    return value if found is tables.NO_FORM else found


def _stable(members: typing.Any) -> list:
    kinds = set(map(type, members))
    is_ordered = len(kinds) == 1 and kinds <= _ORDERED
    if is_ordered or (kinds <= _NUMBERS and all(member == member for member in members)):
        return sorted(members)
    return sorted(members, key=_rank)


_ORDERED = {str, bytes}
_NUMBERS = {int, float, bool}
_TEXTS = (str, bytes, bytearray, memoryview)


def _rank(member: typing.Any) -> tuple:
    """A sorting key that does not depend on hashes: subsets and other half orders are none."""
    kind = type(member)
    name = "" if kind in (int, float, bool) else kind.__qualname__
    if scalars.is_enum(kind):
        return (name, 0, repr(_rank(member.value)))
    if issubclass(kind, (int, float)):
        number = simple(member)
        return (name, number, "") if number == number else (name, math.inf, "nan")
    if issubclass(kind, (tuple, list)):
        return (name, 0, repr(list(map(_rank, held(member)))))
    if issubclass(kind, (set, frozenset)):
        return (name, 0, repr(sorted(map(_rank, held(member)))))
    if hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__attrs_attrs__"):
        parts = later.part("records").held_by(member)
        return (name, 0, repr([(key, _rank(item)) for key, item in parts.items()]))
    try:
        return (name, 0, str(scalars.plain(member)))
    except (TypeError, ValueError):
        return (name, 0, repr(member))


class _Walk:
    """Rebuilds a value from JSON's own types, naming the place of what has none."""

    def __init__(self, simpler: typing.Callable, *, allow_nan: bool) -> None:
        self._simpler = simpler
        self.has_big = False
        self.has_nan = False
        self._allow_nan = allow_nan

    def plain(self, value: typing.Any, path: str, depth: int = 0) -> typing.Any:
        if depth > _DEEPEST:
            raise _refused(path, value, "is nested deeper than %d levels" % _DEEPEST)
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return self._text(value, path)
        if kind is int:
            return self._whole(value, path)
        if kind is float:
            return self._number(value, path)
        if kind is dict:
            return self._pairs(value, path, depth)
        if kind is list:
            return [
                self.plain(item, "%s[%d]" % (path, i), depth + 1) for i, item in enumerate(value)
            ]
        if hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__attrs_attrs__"):
            held = self._next(value, path)
            return {k: self.plain(v, "%s.%s" % (path, k), depth + 1) for k, v in held.items()}
        return self.plain(self._next(value, path), path, depth + 1)

    def _whole(self, value: int, path: str) -> int:
        if value.bit_length() > _MOST_BITS:
            raise _refused(path, "an integer", "has more than 100000 digits")
        self.has_big = self.has_big or not -_LARGEST <= value < 2 * _LARGEST
        return value

    def _number(self, value: float, path: str) -> float:
        if not math.isfinite(value):
            if not self._allow_nan:
                raise _refused(path, value, "is not finite, and JSON has no such number")
            self.has_nan = True
        return value

    def _next(self, value: typing.Any, path: str) -> typing.Any:
        if issubclass(type(value), (str, int, float)):  # some members of an Enum, too
            return value.value if scalars.is_enum(type(value)) else simple(value)
        try:
            return self._simpler(value)
        except TypeError as error:
            if type(value).__name__ == "Decimal":
                if self._allow_nan:
                    return str(value)
                raise _refused(path, value, "is %s" % error) from None
            raise _refused(path, value, _why_not(value)) from None
        except RecursionError:
            raise
        except Exception as error:  # a library's refusal, or the step's own code
            raise _refused(path, value, str(error)) from None

    def _text(self, value: str, path: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _refused(path, value, "holds half of a surrogate pair") from None
        return value

    def _pairs(self, pairs: dict, path: str, depth: int) -> dict:
        made: dict = {}
        for key, item in pairs.items():
            name = self._key(key, path)
            if name in made:
                raise _refused(path, key, "is a second key written %r" % name)
            made[name] = self.plain(item, "%s[%s]" % (path, shown(key)), depth + 1)
        return made

    def _key(self, key: typing.Any, path: str) -> str:
        form = key
        for _ in range(3):  # an Enum member of a number of numpy's
            kind = type(form)
            if kind is str:
                return self._text(form, path)
            if kind is int and form.bit_length() > _MOST_BITS_OF_KEYS:
                raise _refused(path, "an integer", "is a key of more than 4000 digits")
            if kind is int or (kind is float and math.isfinite(form)):
                return repr(form)
            if form is None or issubclass(kind, (bool, tuple, frozenset, complex)):
                break
            form = self._next(form, path)
        raise _refused(path, key, "is a key that is neither text nor a number")


def _why_not(value: object) -> str:
    if callable(value):
        return "is a function or class, which has no form in JSON"
    if hasattr(value, "fileno"):
        return "is an open file: return what it holds"
    if hasattr(type(value), "__next__"):
        return "is an iterator inside a value: make it a list"
    return "has no form in JSON"


def _refused(path: str, value: object, reason: str) -> Refusal:
    text = shown(value)
    message = "the result cannot be written as JSON: `%s` %s: %s" % (path, reason, text)
    problem = {
        "parameter": "return",
        "path": path,
        "message": reason,
        "got": type(value).__qualname__,
        "value": text,
    }
    return Refusal("not_encodable", message, problems=[problem])
