"""Whether a value nests deeper than a guest of ours would have it.

Whoever digs deeper means the recursion of those who show or copy the value. Nearly all documents
are told by their brackets alone, at the speed of a copy: the innermost pairs are taken out in turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

__all__ = ["MOST_LEVELS", "SHALLOW_BYTES", "is_too_deep"]

MOST_LEVELS: Final = 252
"""250 of a value, and the message around it."""

SHALLOW_BYTES: Final = 2 * MOST_LEVELS
"""A text as short as that is not too deep."""

_TELLING: Final = b'[]{}"'
_OTHERS: Final = bytes(set(range(256)) - set(_TELLING))
_AT_A_GLANCE: Final = 12


def is_too_deep(value: object, text: bytes) -> bool:
    """For the value of a JSON text."""
    if len(text) <= SHALLOW_BYTES or text.count(b"[") + text.count(b"{") <= MOST_LEVELS:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    left = text.translate(None, _OTHERS).replace(b'""', b"")
    if b'"' not in left:  # no bracket of a text can lose the quote before it
        for _ in range(_AT_A_GLANCE):
            left = left.replace(b"[]", b"").replace(b"{}", b"")
            if not left:
                return False
    return _is_deeper(value)


def _is_deeper(value: object) -> bool:
    """By looking at all of it, generation by generation."""
    generation: list[Any] = [value]
    for _ in range(MOST_LEVELS):
        generation = [
            item
            for node in generation
            for item in _members(node)
            if type(item) is list or type(item) is dict
        ]
        if not generation:
            return False
    return True


def _members(node: Any) -> Iterable[object]:
    return node.values() if type(node) is dict else node
