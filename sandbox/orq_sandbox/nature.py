"""What a value is, whatever it says of itself.

A class may give its objects another `__class__`, and a subclass of `list` may iterate over what it
does not hold. What is checked and what is written is what is there: both ask here.
"""

from __future__ import annotations

import collections
import collections.abc
import typing

__all__ = ["held", "is_a", "simple"]

_ALL = slice(None)
_CONTAINERS = frozenset((dict, list, tuple, set, frozenset, collections.deque))
_ASKED: typing.Tuple[typing.Any, ...] = (
    vars(type)["__instancecheck__"],
    vars(type(collections.abc.Sized))["__instancecheck__"],
)


def is_a(value: object, kind: typing.Any) -> bool:
    """`isinstance`, by the value's type: what its `__class__` says does not count."""
    if type(value) is kind:
        return True
    return isinstance(value, kind) and (issubclass(type(value), kind) or _decides(kind))


def _decides(kind: typing.Any) -> bool:
    """Whether a class says by code of its own what is an instance of it."""
    if isinstance(kind, tuple):
        return any(map(_decides, kind))
    return getattr(type(kind), "__instancecheck__", None) not in _ASKED


def held(value: typing.Any) -> typing.Any:
    """What a container holds: of a subclass of Python's own that is not always what it says."""
    kind = type(value)
    if kind in _CONTAINERS:
        return value
    if issubclass(kind, dict):
        return dict(dict.items(value))
    if issubclass(kind, list):
        return list.__getitem__(value, _ALL)
    if issubclass(kind, tuple):
        return tuple.__getitem__(value, _ALL)
    if issubclass(kind, (set, frozenset)):
        return frozenset().union(value)
    if issubclass(kind, collections.deque):
        return list(collections.deque.__iter__(value))
    return value


def simple(value: typing.Any) -> typing.Any:
    """The text or number that an object of a subclass of `str`, `int` or `float` is."""
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__int__(value)
    return float.__float__(value)
