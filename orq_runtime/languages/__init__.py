"""Languages: each says what a step needs and how it is run, as data. Drivers do the I/O."""

from __future__ import annotations

from orq_runtime.errors import RequestError
from orq_runtime.languages.python3 import Python3

__all__ = ["Python3", "language"]

_KNOWN = {"python3": Python3()}


def language(name: str) -> Python3:
    """The language by its name. Raises `RequestError` naming those that are known."""
    if name not in _KNOWN:
        known = ", ".join(f"`{known}`" for known in _KNOWN)
        raise RequestError(f"unknown language: `{name}`", hint=f"known are: {known}")
    return _KNOWN[name]
