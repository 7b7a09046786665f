"""Single values that JSON writes as text or numbers: how each is read, and how it is written.

| type | in JSON |
|---|---|
| bytes, bytearray, memoryview | base64 text |
| datetime, date, time | ISO 8601 text: `2022-07-01T10:00:00+00:00`, `2022-07-01`, `10:00:00` |
| timedelta | ISO 8601 duration text: `P1DT2.5S` |
| Decimal, UUID, Path | their text; a Decimal may come as a whole number |
| complex | `[real, imaginary]` |
| Enum | the member's value |

Every interpreter reads the same texts: what its own parsers accept beside them differs by version.
A class can only be one of these when its module is loaded, so none is loaded here to find out.
"""

from __future__ import annotations

import importlib
import re
import sys
import typing

__all__ = [
    "choice",
    "choice_key",
    "converter",
    "enum_key",
    "is_enum",
    "is_single",
    "number_key",
    "plain",
    "read_length",
]

Converter = typing.Callable[[typing.Any], typing.Any]

_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_TIME = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6})0*)?)?"
_ZONE = r"(Z|[+-][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{6})?)?)?"
_DURATION = (
    r"(-?)P(?:([0-9]{1,9})W)?(?:([0-9]{1,9})D)?"
    r"(?:T(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,14})(?:\.([0-9]{1,6})0*)?S)?)?"
)
_DECIMAL = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?"
_NO_NUMBER = r"[+-]?(?:s?NaN[0-9]{0,28}|Infinity)"
_UUID = r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_LONGEST_KEY = 4000
_INFINITY = float("inf")
_BYTES = (bytes, bytearray, memoryview)


def converter(kind: type, *, allow_nan: bool = False) -> typing.Optional[Converter]:
    """The converter of a class from JSON; None for those that JSON has, or that have no reading.

    What cannot be read is given back as it came.
    """
    if is_enum(kind):
        return _enum(kind)
    for module, name, read, sources in _READERS:
        base = _loaded(module, name)
        if kind is base or (name == "PurePath" and base is not None and issubclass(kind, base)):
            if allow_nan and name == "Decimal":
                read = _any_decimal
            return _reader(kind, read, sources)
    return None


def is_enum(kind: object) -> bool:
    """Whether it is an Enum class."""
    return isinstance(kind, type) and _is_of(kind, "enum", "Enum")


def is_single(kind: type) -> bool:
    """Whether its values are single ones, even where Python can iterate over them."""
    return kind in _BYTES or is_enum(kind) or _is_of(kind, "enum", "EnumMeta")


def _loaded(module: str, name: str) -> typing.Any:
    return getattr(sys.modules.get(module), name, None)


def _is_of(kind: type, module: str, name: str) -> bool:
    base = _loaded(module, name)
    return base is not None and issubclass(kind, base)


def _reader(kind: type, read: typing.Callable, sources: tuple) -> Converter:
    def convert(value: typing.Any) -> typing.Any:
        if type(value) not in sources:
            return value
        try:
            return read(kind, value)
        except Exception:  # out of range, or no class of this platform: it stays what it was
            return value

    return convert


def _groups(pattern: str, text: str) -> tuple:
    match = re.fullmatch(pattern, text)
    if match is None:
        raise ValueError(text)
    return match.groups()


def _date(kind: typing.Any, text: str) -> object:
    return kind(*map(int, _groups(_DATE, text)))


def _moment(kind: typing.Any, text: str) -> typing.Any:
    """The datetime of an ISO 8601 text. Raises ValueError."""
    year, month, day, *rest = _groups(_DATE + "[T ]" + _TIME + _ZONE, text)
    return kind(int(year), int(month), int(day), *_clock(*rest))


def read_length(text: str) -> typing.Any:
    """The timedelta of an ISO 8601 text; None where it is none."""
    importlib.import_module("datetime")
    read = converter(sys.modules["datetime"].timedelta)
    found = text if read is None else read(text)
    return None if found is text else found


def _time(kind: typing.Any, text: str) -> object:
    return kind(*_clock(*_groups(_TIME + _ZONE, text)))


def _clock(hour: str, minute: str, second: str, fraction: str, zone: str) -> tuple:
    micro = (fraction or "").ljust(6, "0")
    return int(hour), int(minute), int(second or 0), int(micro), _zone(zone)


def _zone(text: typing.Optional[str]) -> typing.Any:
    if text is None:
        return None
    datetime = sys.modules["datetime"]
    if text == "Z":
        return datetime.timezone.utc
    parts = [float(part) for part in text[1:].split(":")]
    seconds = parts[0] * 3600 + parts[1] * 60 + (parts[2] if len(parts) > 2 else 0)
    offset = datetime.timedelta(seconds=-seconds if text[0] == "-" else seconds)
    return datetime.timezone(offset) if offset else datetime.timezone.utc


def _duration(kind: typing.Any, text: str) -> object:
    if text.endswith(("P", "T")):
        raise ValueError(text)
    sign, weeks, days, hours, minutes, seconds, fraction = _groups(_DURATION, text)
    length = kind(
        days=7 * int(weeks or 0) + int(days or 0),
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "").ljust(6, "0")),
    )
    return -length if sign else length


def _decimal(kind: typing.Any, given: object) -> object:
    if isinstance(given, str):
        _groups(_DECIMAL, given)  # the class itself reads underscores, spaces and NaN
    return kind(given)


def _any_decimal(kind: typing.Any, given: object) -> object:
    if isinstance(given, str) and re.fullmatch(_NO_NUMBER, given):
        return kind(given)
    return _decimal(kind, given)


def _uuid(kind: typing.Any, text: str) -> object:
    _groups(_UUID, text)  # the class itself reads braces, and hyphens anywhere
    return kind(text)


def _complex(_kind: type, parts: list) -> complex:
    if len(parts) != 2 or any(type(part) not in (int, float) for part in parts):
        raise ValueError(parts)
    made = complex(parts[0], parts[1])
    if any(type(part) is int and part != int(half) for part, half in zip(parts, _halves(made))):
        raise ValueError(parts)  # an integer that no such number is
    return made


def _halves(number: complex) -> typing.Tuple[float, float]:
    return number.real, number.imag


def _bytes(kind: typing.Any, text: typing.Any) -> typing.Any:
    if isinstance(text, bytes):  # it came beside the JSON
        return kind(text)
    import binascii  # two libraries, of which each fork copies the mappings

    made = binascii.a2b_base64(text.encode("ascii"))
    if binascii.b2a_base64(made, newline=False).decode("ascii") != text:
        raise ValueError(text)  # what is not base64 is skipped over in silence
    return kind(made)


def _made(kind: typing.Callable, value: object) -> object:
    return kind(value)


_READERS: typing.Tuple[typing.Tuple[str, str, typing.Callable, tuple], ...] = (
    ("builtins", "bytes", _bytes, (str,)),
    ("builtins", "bytearray", _bytes, (str, bytes)),
    ("builtins", "memoryview", _bytes, (str, bytes)),
    ("datetime", "datetime", _moment, (str,)),
    ("datetime", "date", _date, (str,)),
    ("datetime", "time", _time, (str,)),
    ("datetime", "timedelta", _duration, (str,)),
    ("decimal", "Decimal", _decimal, (str, int)),
    ("uuid", "UUID", _uuid, (str,)),
    ("pathlib", "PurePath", _made, (str,)),
    ("builtins", "complex", _complex, (list,)),
)


# -- values out of a closed set ------------------------------------------------------------------


def _enum(kind: typing.Any) -> Converter:
    known = choice(tuple(kind.__members__.values()))
    is_flag = _is_of(kind, "enum", "Flag")
    own_hook = vars(kind).get("_missing_")

    def convert(value: typing.Any) -> typing.Any:
        found = known(value)
        if found is not value:
            return found
        if is_flag:
            return _flags(kind, value)
        if own_hook is not None:  # its author says what else is a member
            found = _asked(kind, value)
        return found

    return convert


def _asked(kind: typing.Any, value: object) -> object:
    try:
        found = kind._missing_(value)
    except Exception:  # the step's own code runs here
        return value
    return found if isinstance(found, kind) else value


def _flags(kind: typing.Any, value: typing.Any) -> typing.Any:
    if type(value) is not int or value < 0:
        return value
    every = 0
    for member in kind.__members__.values():
        every |= member.value
    return value if value & ~every else kind(value)


def choice(values: tuple) -> Converter:
    """The converter of a Literal or an Enum: from a member's JSON form to the member."""
    found: dict = {}
    others = []
    for value in values:
        form = _form(value)
        if isinstance(form, (list, dict)):
            others.append((form, value))
        else:
            found.setdefault((type(form), form), value)
    for (kind, form), value in list(found.items()):
        if kind is float and form.is_integer():
            found.setdefault((int, int(form)), value)  # JSON may write 1.0 as 1

    def convert(value: typing.Any) -> typing.Any:
        if isinstance(value, (list, dict)):
            return next((one for form, one in others if repr(form) == repr(value)), value)
        return found.get((type(value), value), value)

    return convert


def choice_key(values: tuple) -> Converter:
    """The same for keys, which JSON has only as text; one that two values share means neither."""
    found: dict = {}
    for value in values:
        form = _form(value)
        texts = {str: [form], int: [repr(form)], float: [repr(form)]}.get(type(form), [])
        for text in texts:
            found[text] = text if found.get(text, value) is not value else value
    return lambda key: found.get(key, key)


def flag_key(kind: typing.Any) -> Converter:
    """The same for a Flag: the number of its bits."""
    number, member = number_key(int), _enum(kind)
    return lambda key: key if type(number(key)) is str else _given(member(number(key)), key, kind)


def _given(made: object, key: object, kind: type) -> object:
    return made if isinstance(made, kind) else key


def enum_key(kind: typing.Any) -> Converter:
    """The converter of a mapping's keys that are members of an Enum."""
    if _is_of(kind, "enum", "Flag"):
        return flag_key(kind)
    return choice_key(tuple(kind.__members__.values()))


def _form(value: typing.Any) -> typing.Any:
    """The JSON form of a member's value, as far as it has one."""
    if _is_of(type(value), "enum", "Enum"):
        value = value.value
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (list, tuple)):
        return [_form(item) for item in value]
    if isinstance(value, dict):
        return {key: _form(item) for key, item in value.items()}
    try:
        return plain(value)
    except TypeError:
        return object()  # equal to nothing


def number_key(kind: type) -> Converter:
    """The converter of a mapping's keys that are numbers."""

    def convert(key: typing.Any) -> typing.Any:
        if type(key) is not str or len(key) > _LONGEST_KEY or not re.fullmatch(_NUMBER, key):
            return key
        if kind is float:
            made = float(key)
            return key if made in (_INFINITY, -_INFINITY) else made
        return int(key) if key.lstrip("-").isdigit() and key != "-0" else key

    return convert


# -- out -----------------------------------------------------------------------------------------


def plain(value: typing.Any) -> typing.Any:
    """The JSON value of one of these types. Raises TypeError for any other."""
    kind = type(value)
    if _is_of(kind, "enum", "Enum"):
        return value.value
    if issubclass(kind, _BYTES):
        import binascii  # as above

        return binascii.b2a_base64(bytes(value), newline=False).decode("ascii")
    if any(_is_of(kind, "datetime", name) for name in ("date", "time")):
        _confirm_zone(value)
        return value.isoformat()
    if _is_of(kind, "datetime", "timedelta"):
        if getattr(value, "nanoseconds", 0):  # pandas has them
            raise ValueError("has parts of a microsecond")
        return _written(value)
    if any(_is_of(kind, *names) for names in _AS_TEXT):
        return str(value)
    if issubclass(kind, complex):
        return [value.real, value.imag]
    raise TypeError(kind.__qualname__)


def _confirm_zone(value: typing.Any) -> None:
    """Raises ValueError where ISO 8601 cannot say which moment it is."""
    zone = getattr(value, "tzinfo", None)
    if zone is not None and value.utcoffset() is None:
        raise ValueError("has a time zone without an offset, which ISO 8601 cannot say")
    if zone is None and getattr(value, "fold", 0):
        raise ValueError("has a fold and no time zone, which ISO 8601 cannot say")


_AS_TEXT = (("decimal", "Decimal"), ("uuid", "UUID"), ("pathlib", "PurePath"))


def _written(length: typing.Any) -> str:
    sign, length = ("-", -length) if length.days < 0 else ("", length)
    seconds = "%d" % length.seconds
    if length.microseconds:
        seconds += (".%06d" % length.microseconds).rstrip("0")
    return "%sP%dDT%sS" % (sign, length.days, seconds)
