"""Single values that JSON writes as text or numbers: how each is read, and how it is written.

| type | in JSON |
|---|---|
| bytes | base64 text |
| datetime, date, time | ISO 8601 text |
| timedelta | ISO 8601 duration text: `P1DT2.5S` |
| Decimal, UUID, Path | their text; a Decimal may come as a whole number |
| complex | `[real, imaginary]` |
| Enum | the member's value |

A class can only be one of these when its module is loaded, so none is loaded here to find out.
"""

from __future__ import annotations

import binascii
import re
import sys
import typing

__all__ = ["converter", "plain"]

_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?")


def converter(kind: type) -> typing.Optional[typing.Callable[[typing.Any], typing.Any]]:
    """The converter of a class from JSON; None for those that JSON has, or that have no reading.

    What cannot be read is given back as it came.
    """
    if _is_of(kind, "enum", "Enum"):
        return _enum(kind)
    for module, name, read, sources in _READERS:
        base = _loaded(module, name)
        if kind is base or (name == "PurePath" and base is not None and issubclass(kind, base)):
            return _reader(kind, read, sources)
    return None


def _loaded(module: str, name: str) -> typing.Any:
    return getattr(sys.modules.get(module), name, None)


def _is_of(kind: type, module: str, name: str) -> bool:
    base = _loaded(module, name)
    return base is not None and issubclass(kind, base)


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


def _duration(kind: typing.Any, text: str) -> object:
    match = _DURATION.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise ValueError(text)
    sign, days, hours, minutes, seconds, fraction = match.groups()
    length = kind(
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


def _bytes(_kind: type, text: str) -> bytes:
    if not text.isascii():
        raise ValueError(text)
    made = binascii.a2b_base64(text)
    if binascii.b2a_base64(made, newline=False).decode("ascii") != text:
        raise ValueError(text)  # what is not base64 is skipped over in silence
    return made


def _made(kind: typing.Callable, value: object) -> object:
    return kind(value)


_READERS: typing.Tuple[typing.Tuple[str, str, typing.Callable, tuple], ...] = (
    ("builtins", "bytes", _bytes, (str,)),
    ("datetime", "datetime", _moment, (str,)),
    ("datetime", "date", _moment, (str,)),
    ("datetime", "time", _moment, (str,)),
    ("datetime", "timedelta", _duration, (str,)),
    ("decimal", "Decimal", _made, (str, int)),
    ("uuid", "UUID", _made, (str,)),
    ("pathlib", "PurePath", _made, (str,)),
    ("builtins", "complex", _complex, (list,)),
)


def plain(value: typing.Any) -> typing.Any:
    """The JSON value of one of these types. Raises TypeError for any other."""
    kind = type(value)
    if _is_of(kind, "enum", "Enum"):
        return value.value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return binascii.b2a_base64(value, newline=False).decode("ascii")
    if any(_is_of(kind, "datetime", name) for name in ("date", "time")):
        return value.isoformat()
    if _is_of(kind, "datetime", "timedelta"):
        return _written(value)
    if any(_is_of(kind, *names) for names in _AS_TEXT):
        return str(value)
    if isinstance(value, complex):
        return [value.real, value.imag]
    raise TypeError(kind.__qualname__)


_AS_TEXT = (("decimal", "Decimal"), ("uuid", "UUID"), ("pathlib", "PurePath"))


def _written(length: typing.Any) -> str:
    sign, length = ("-", -length) if length.days < 0 else ("", length)
    seconds = "%d" % length.seconds
    if length.microseconds:
        seconds += (".%06d" % length.microseconds).rstrip("0")
    return "%sP%dDT%sS" % (sign, length.days, seconds)
