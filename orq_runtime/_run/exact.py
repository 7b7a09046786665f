"""JSON with integers of any size, and with NaN where it is allowed: slower than orjson, and exact.

The interpreter refuses to read or write integers of more than 4300 digits, for the whole process.
Longer ones are read and written in parts here, up to a bound that keeps a hostile one harmless.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Final

__all__ = ["MOST_DIGITS", "dumps", "loads", "read_integer"]

MOST_DIGITS: Final = 100_000
_DIRECT: Final = 4_000
_DIRECT_BITS: Final = 13_000  # fewer than `_DIRECT` digits


def loads(text: str, *, allow_nan: bool = False) -> object:
    """The value of a document. Raises ValueError on all that is no JSON, RecursionError if deep."""
    return json.loads(
        text, parse_int=read_integer, parse_constant=None if allow_nan else _no_constant
    )


def dumps(value: object, *, allow_nan: bool = False) -> bytes:
    """The document of a value made of JSON's own types. Raises ValueError or TypeError."""
    long: list[int] = []
    mark = os.urandom(16).hex()  # nobody can write it into a text
    text = json.dumps(
        _marked(value, mark, long), ensure_ascii=False, separators=(",", ":"), allow_nan=allow_nan
    )
    if long:
        text = re.sub(f'"{mark}(\\d+)"', lambda match: _write(long[int(match[1])]), text)
    return text.encode()


def _marked(value: object, mark: str, long: list[int]) -> object:
    """The value with a text in place of each integer that is too long to be written at once."""
    if isinstance(value, int) and value.bit_length() > _DIRECT_BITS:
        long.append(int(value))
        return f"{mark}{len(long) - 1}"
    if isinstance(value, dict):
        return {key: _marked(item, mark, long) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item, mark, long) for item in value]
    return value


def read_integer(text: str) -> int:
    """The integer of its digits. Raises ValueError beyond `MOST_DIGITS` of them."""
    if len(text) <= _DIRECT:
        return int(text)
    digits = text.removeprefix("-")
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits, over {MOST_DIGITS}")
    found = _whole(digits)
    return found if digits == text else -found


def _whole(digits: str) -> int:
    if len(digits) <= _DIRECT:
        return int(digits)
    half = len(digits) // 2
    return _whole(digits[:-half]) * _power(half) + _whole(digits[-half:])


def _write(value: int) -> str:
    if value.bit_length() > 4 * MOST_DIGITS:
        raise ValueError(f"an integer of more than {MOST_DIGITS} digits")
    return "-" + _digits(-value) if value < 0 else _digits(value)


def _digits(value: int) -> str:
    parts: list[str] = []
    while value.bit_length() > _DIRECT_BITS:
        value, rest = divmod(value, _CHUNK)
        parts.append(str(rest).rjust(_CHUNK_DIGITS, "0"))
    parts.append(str(value))
    return "".join(reversed(parts))


_CHUNK_DIGITS: Final = 3_900
_CHUNK: Final = 10**_CHUNK_DIGITS
_power: Callable[[int], int] = (10).__pow__


def _no_constant(name: str) -> object:
    raise ValueError(f"`{name}` is no JSON")
