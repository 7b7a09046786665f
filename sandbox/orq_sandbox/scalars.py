"""Single values that JSON writes as text or numbers: how each is read, and how it is written.

| type | in JSON |
|---|---|
| bytes | base64 text |
| datetime, date, time | ISO 8601 text |
| timedelta | ISO 8601 duration text: `P1DT2.5S` |
| Decimal, UUID, Path | their text; a Decimal may come as a whole number |
| complex | `[real, imaginary]` |
| Enum | the member's value |
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import enum
import pathlib
import re
import typing
import uuid

__all__ = ["converter", "plain"]

_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?")


def converter(kind: type) -> typing.Optional[typing.Callable[[typing.Any], typing.Any]]:
    """The converter of a class from JSON; None for those that JSON has, or that have no reading.

    What cannot be read is given back as it came.
    """
    if issubclass(kind, enum.Enum):
        return _enum(kind)
    for base, read, sources in _READERS:
        if kind is base or (base is pathlib.PurePath and issubclass(kind, base)):
            return _reader(kind, read, sources)
    return None


def _reader(kind: type, read: typing.Callable, sources: tuple) -> typing.Callable:
    def convert(value: typing.Any) -> typing.Any:
        if type(value) not in sources:
            return value
        try:
            return read(kind, value)
        except (ValueError, ArithmeticError, binascii.Error):
            return value

    return convert


def _enum(kind: typing.Any) -> typing.Callable:
    members = {
        (type(member.value), member.value): member for member in kind if _is_hashable(member.value)
    }

    def convert(value: typing.Any) -> typing.Any:
        return members.get((type(value), value), value) if _is_hashable(value) else value

    return convert


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _moment(kind: typing.Any, text: str) -> object:
    # until 3.11 fromisoformat does not read the Z of UTC
    return kind.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)


def _duration(_kind: type, text: str) -> datetime.timedelta:
    match = _DURATION.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise ValueError(text)
    sign, days, hours, minutes, seconds, fraction = match.groups()
    length = datetime.timedelta(
        days=int(days or 0),
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "").ljust(6, "0") or 0),
    )
    return -length if sign else length


def _complex(_kind: type, parts: list) -> complex:
    if len(parts) != 2 or any(type(part) not in (int, float) for part in parts):
        raise ValueError(parts)
    return complex(parts[0], parts[1])


_READERS: typing.Tuple[typing.Tuple[type, typing.Callable, tuple], ...] = (
    (bytes, lambda _, text: base64.b64decode(text, validate=True), (str,)),
    (datetime.datetime, _moment, (str,)),
    (datetime.date, _moment, (str,)),
    (datetime.time, _moment, (str,)),
    (datetime.timedelta, _duration, (str,)),
    (decimal.Decimal, lambda kind, value: kind(value), (str, int)),
    (uuid.UUID, lambda kind, text: kind(text), (str,)),
    (pathlib.PurePath, lambda kind, text: kind(text), (str,)),
    (complex, _complex, (list,)),
)


def plain(value: typing.Any) -> typing.Any:
    """The JSON value of one of these types. Raises TypeError for any other."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _written(value)
    if isinstance(value, (decimal.Decimal, uuid.UUID, pathlib.PurePath)):
        return str(value)
    if isinstance(value, complex):
        return [value.real, value.imag]
    raise TypeError(type(value).__qualname__)


def _written(length: datetime.timedelta) -> str:
    sign, length = ("-", -length) if length < datetime.timedelta(0) else ("", length)
    seconds = "%d" % length.seconds
    if length.microseconds:
        seconds += (".%06d" % length.microseconds).rstrip("0")
    return "%sP%dDT%sS" % (sign, length.days, seconds)
