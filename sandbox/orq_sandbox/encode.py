"""Results to JSON: the bytes, or the reason and the place where a value has no form in it.

Rules of this file:

1. orjson writes what it can. It turns NaN into null in silence, so a document with a null in it is
   looked over; it refuses integers beyond 64 bits, which the standard library then writes.
2. A document starts with a mark: `J` when any parser reads it right, `B` when it holds integers
   that only an exact parser reads right.
3. Sets come out as lists in a stable order; two keys that would be one in JSON are refused.
"""

from __future__ import annotations

import collections
import itertools
import math
import sys
import typing

from orq_sandbox import scalars
from orq_sandbox.failure import Refusal, shown

__all__ = ["BIG", "PLAIN", "decode", "encode"]

PLAIN = b"J"
BIG = b"B"

_LARGEST = 1 << 63
_LONG_TEXT = 4 << 20
_LOOKED_AT = 1000
_DEEPEST = 250  # orjson's own bound is 254


def decode(json: typing.Any, document: bytes) -> typing.Any:
    """The value of a marked document from the host."""
    if document[:1] == BIG:
        import json as exact

        return exact.loads(document[1:].decode())
    return json.loads(memoryview(document)[1:])


def encode(json: typing.Any, value: object) -> bytes:
    """The marked JSON of a value. Raises `Refusal` (`not_encodable`) naming the place."""
    is_long = _holds_long_text(value)
    text = None
    if not is_long:
        try:
            text = json.dumps(value, default=_simpler, option=json.OPT_PASSTHROUGH_DATETIME)
        except (TypeError, ValueError, RecursionError):
            pass
    if text is not None and b"null" not in text:
        return PLAIN + text
    walk = _Walk()
    made = walk.plain(value, "return")
    if walk.has_big or is_long:
        import json as exact

        written = exact.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()
        return (BIG if walk.has_big else PLAIN) + written
    return PLAIN + json.dumps(made)


def _holds_long_text(value: object) -> bool:
    """Whether the value is, or holds near its top, a text too long for orjson.

    It asks for eight bytes per character at once, and dies of a segmentation fault where a memory
    limit does not give them.
    """
    if isinstance(value, str):
        return len(value) > _LONG_TEXT
    if isinstance(value, dict):
        members = iter(value.values())
    elif isinstance(value, (list, tuple)):
        members = iter(value)
    else:
        return False
    some = itertools.islice(members, _LOOKED_AT)
    return any(isinstance(member, str) and len(member) > _LONG_TEXT for member in some)


def _simpler(value: typing.Any) -> typing.Any:
    """One step towards JSON for a value that is not JSON's own. Raises TypeError for no way."""
    if isinstance(value, (set, frozenset)):
        return _stable(value)
    if isinstance(value, (tuple, collections.deque)):
        return list(value)
    if isinstance(value, (dict, collections.abc.Mapping)):
        return dict(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return value.tolist()
    return scalars.plain(value)


def _stable(members: typing.Any) -> list:
    try:
        return sorted(members)
    except TypeError:  # of several types
        return sorted(members, key=lambda member: (type(member).__qualname__, repr(member)))


class _Walk:
    """Rebuilds a value from JSON's own types, naming the place of what has none."""

    def __init__(self) -> None:
        self.has_big = False

    def plain(self, value: typing.Any, path: str, depth: int = 0) -> typing.Any:
        if depth > _DEEPEST:
            raise _refused(path, value, "is nested deeper than %d levels" % _DEEPEST)
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return self._text(value, path)
        if kind is int:
            self.has_big = self.has_big or not -_LARGEST <= value < 2 * _LARGEST
            return value
        if kind is float:
            if not math.isfinite(value):
                raise _refused(path, value, "is not finite, and JSON has no such number")
            return value
        if kind is dict:
            return self._pairs(value, path, depth)
        if kind is list:
            return [
                self.plain(item, "%s[%d]" % (path, i), depth + 1) for i, item in enumerate(value)
            ]
        return self.plain(self._next(value, path), path, depth + 1)

    def _next(self, value: typing.Any, path: str) -> typing.Any:
        if hasattr(type(value), "__dataclass_fields__"):
            return {name: getattr(value, name) for name in value.__dataclass_fields__}
        for base in (str, int, float):  # subclasses, Enum members with a mixed-in type included
            if isinstance(value, base):
                return base(value.value if hasattr(value, "_value_") else value)
        try:
            return _simpler(value)
        except TypeError:
            raise _refused(path, value, "has no form in JSON") from None

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
        if hasattr(key, "_value_"):  # an Enum member stands for its value
            key = key.value
        if isinstance(key, str):
            return self._text(str(key), path)
        if type(key) is int:
            return str(key)
        raise _refused(path, key, "is a key that is neither text nor a whole number")


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
