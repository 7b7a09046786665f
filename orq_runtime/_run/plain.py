"""A caller's Python values as JSON's own types, by the table of docs/types.md.

orjson writes most of them by itself; this is for what it refuses or would write as something else,
and for naming the input that has no form in JSON.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Final

from orq_runtime._run import libraries
from orq_runtime._run.exact import MOST_DIGITS
from orq_runtime._run.packing import Packing
from orq_runtime.errors import BadCall
from orq_runtime.model.artifact import Artifact

__all__ = ["Simpler", "Walk", "simpler_with"]

Simpler = Callable[[object], object]

_LARGEST: Final = 1 << 63
_MOST_BITS: Final = 332_192  # of MOST_DIGITS digits
_MOST_BITS_OF_KEYS: Final = 13_200  # what the guest reads: 4000 digits, or fewer by some
_MOST_FORMS: Final = 3  # a member of an Enum whose value is a number of numpy's
_DEEPEST: Final = 250  # orjson's own bound is 254
_HINT: Final = "inputs are JSON, or values of the types in docs/types.md"


def simpler_with(packing: Packing) -> Simpler:
    """One step towards JSON; an artifact becomes a path of the run, what is large is packed."""

    def simpler(value: object) -> object:
        if isinstance(value, Artifact):
            return packing.hand(value)
        if isinstance(value, decimal.Decimal) and not (packing.allow_nan or value.is_finite()):
            raise ValueError("is not finite, and JSON has no such number")
        placed = packing.placed(value)
        return _simpler(value) if placed is None else placed

    return simpler


def _simpler(value: object) -> object:
    """One step towards JSON for a value that is not JSON's own. Raises TypeError for no way."""
    if isinstance(value, set | frozenset):
        return _stable(value)
    if isinstance(value, tuple | deque):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if hasattr(type(value), "__attrs_attrs__"):
        return _attributes(value)
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas"):
        made = libraries.plain(value)
        if made is not libraries.NO_FORM:
            return made
    return _single(value)


def _attributes(value: Any) -> dict[str, object]:
    """An attrs object, by the names that its class is made with."""
    return {
        getattr(item, "alias", None) or item.name.lstrip("_"): getattr(value, item.name)
        for item in type(value).__attrs_attrs__
    }


def _single(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dt.date | dt.time):
        return _moment(value)
    if isinstance(value, dt.timedelta):
        return _duration(value)
    if isinstance(value, decimal.Decimal | uuid.UUID | PurePath):
        return str(value)
    if isinstance(value, complex):
        return [value.real, value.imag]
    raise TypeError(type(value).__qualname__)


def _moment(value: dt.date | dt.time) -> str:
    if isinstance(value, dt.datetime | dt.time):
        if value.tzinfo is not None and value.utcoffset() is None:
            raise ValueError("has a time zone without an offset, which ISO 8601 cannot say")
        if value.tzinfo is None and value.fold:
            raise ValueError("has a fold and no time zone, which ISO 8601 cannot say")
    return value.isoformat()


def _stable(members: set[object] | frozenset[object]) -> list[object]:
    return sorted(members, key=lambda member: (type(member).__qualname__, _rank(member)))


def _rank(member: object) -> tuple[float, str]:
    return (member, "") if isinstance(member, int | float) else (0.0, str(member))


def _duration(length: dt.timedelta) -> str:
    sign, length = ("-", -length) if length.days < 0 else ("", length)
    fraction = f".{length.microseconds:06d}".rstrip("0") if length.microseconds else ""
    return f"{sign}P{length.days}DT{length.seconds}{fraction}S"


class Walk:
    """Rebuilds inputs from JSON's own types. Raises `BadCall` naming the place that has none."""

    def __init__(self, simpler: Simpler, *, allow_nan: bool) -> None:
        self._simpler = simpler
        self.has_big = False
        self.has_nan = False
        self._allow_nan = allow_nan

    def inputs(self, inputs: Mapping[str, object]) -> dict[str, object]:
        """The inputs, plain."""
        return {_name(name): self._plain(value, name, 0) for name, value in inputs.items()}

    def _plain(self, value: object, path: str, depth: int) -> object:
        if depth > _DEEPEST:
            raise _refused(path, "is nested too deeply")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str | int | float) and not isinstance(value, enum.Enum):
            return self._single(value, path)
        if isinstance(value, dict):
            return self._pairs(value, path, depth)
        if isinstance(value, list):
            return [self._plain(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
        try:
            nearer = self._simpler(value)
        except ValueError as error:
            raise _refused(path, str(error)) from error
        except TypeError:
            raise _refused(
                path, f"cannot be sent as JSON: a value of type `{type(value).__qualname__}`"
            ) from None
        return self._plain(nearer, path, depth + 1)

    def _single(self, value: str | float, path: str) -> object:
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _refused(path, "holds half of a surrogate pair") from None
            return str(value)
        if isinstance(value, int):
            if value.bit_length() > _MOST_BITS:
                raise _refused(path, f"has more than {MOST_DIGITS} digits")
            self.has_big = self.has_big or not -_LARGEST <= value < 2 * _LARGEST
            return int(value)
        if not math.isfinite(value):
            if not self._allow_nan:
                raise _refused(
                    path, "is not finite, and JSON has no such number", 'nan="allow" lets it pass'
                )
            self.has_nan = True
        return float(value)

    def _pairs(self, pairs: dict[object, object], path: str, depth: int) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, item in pairs.items():
            name = self._key(key, path)
            if name in made:
                raise _refused(path, f"has a second key that is written `{name}`: `{key!r}`")
            made[name] = self._plain(item, f"{path}[{key!r}]", depth + 1)
        return made

    def _key(self, key: object, path: str) -> str:
        """As the guest writes keys, so that it reads them."""
        form = key
        for _ in range(_MOST_FORMS):
            if isinstance(form, str) and not isinstance(form, enum.Enum):
                return _name(form)
            if type(form) is int and form.bit_length() > _MOST_BITS_OF_KEYS:
                raise _refused(path, "has a key of more than 4000 digits")
            if type(form) is int or (type(form) is float and math.isfinite(form)):
                return repr(form)
            if form is None or isinstance(form, bool | tuple | frozenset | complex):
                break
            try:
                form = self._simpler(form)
            except (TypeError, ValueError):
                break
        raise _refused(path, f"has a key that is neither text nor a number: `{key!r}`")


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise BadCall(f"an input's name is no text: `{key!r}`")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise _refused(ascii(key), "has a name with half of a surrogate pair") from None
    return str(key)


def _refused(path: str, reason: str, hint: str = _HINT) -> BadCall:
    return BadCall(f"input `{path}` {reason}", hint=hint)
