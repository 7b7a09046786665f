"""Numbers of bytes and spans of time, as people read and write them."""

from __future__ import annotations

import re

__all__ = ["as_size", "read_age", "read_size"]

_UNITS = ("KiB", "MiB", "GiB")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_FACTORS = {"": 1, "b": 1} | {
    f"{letter}{end}": base**power
    for power, letter in enumerate("kmgt", 1)
    for end, base in (("", 1024), ("b", 1000), ("ib", 1024))
}
_SPANS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def as_size(count: int) -> str:
    """For example `15.2 MiB`."""
    if count < 1024:
        return f"{count} B"
    size = count / 1024
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def read_size(text: str) -> int:
    """Bytes of a text such as `2GiB`, `500MB` or `1024`. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2].lower() not in _FACTORS:
        raise ValueError(f"not a size: `{text}` (as 500MB or 2GiB)")
    return int(float(found[1]) * _FACTORS[found[2].lower()])


def read_age(text: str) -> float:
    """Seconds of a text such as `30d`, `12h`, `90min` or `2w`. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2].lower() not in _SPANS:
        raise ValueError(f"not an age: `{text}` (as 30d, 12h or 90min)")
    return float(found[1]) * _SPANS[found[2].lower()]
