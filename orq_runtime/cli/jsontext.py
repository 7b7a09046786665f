"""JSON as the command line reads and writes it: strict in, exact out."""

from __future__ import annotations

import json
import math

import orjson

from orq_runtime._run import exact

__all__ = ["dump", "parse"]


def parse(text: str, *, allow_nan: bool = False) -> object:
    """The value of a JSON document; integers of any size survive.

    Raises ValueError on anything else: duplicate keys too, and NaN and infinities unless allowed.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=None if allow_nan else _no_constant,
            parse_float=_finite,
            parse_int=exact.read_integer,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None  # its traceback is a thousand lines


def dump(value: object) -> bytes:
    """The value as one line of JSON with its line end; NaN is written as Python's `json` does."""
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, or half a surrogate pair
        pass
    else:
        if b"null" not in text or orjson.loads(text) == value:  # orjson writes NaN as null
            return text + b"\n"
    try:
        return exact.dumps(value, allow_nan=True) + b"\n"
    except UnicodeEncodeError:
        return (json.dumps(value, separators=(",", ":")) + "\n").encode()


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
