"""JSON as the command line reads and writes it: strict in, exact out."""

from __future__ import annotations

import json
import math

import orjson

__all__ = ["dump", "parse"]


def parse(text: str) -> object:
    """The value of a JSON document; integers of any size survive.

    Raises ValueError on anything else: NaN, infinities and duplicate keys too.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None  # its traceback is a thousand lines


def dump(value: object) -> bytes:
    """The value as one line of JSON with its line end."""
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, or half a surrogate pair
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return (text + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n").encode()


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key `{twice}` is there twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"`{name}` is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"`{text}` is too large for a number")
    return value
