"""Numbers of bytes as people read them."""

from __future__ import annotations

__all__ = ["as_size"]

_UNITS = ("KiB", "MiB", "GiB")


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
