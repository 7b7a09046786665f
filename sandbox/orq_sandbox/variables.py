"""The local variables of a frame as clipped text, for who asked to see them."""

from __future__ import annotations

import reprlib
import typing

from orq_sandbox import failure

__all__ = ["shown_locals"]

_MOST = 24
_LONGEST_NAME = 100
_LONGEST_VALUE = 200
_NOT_VALUES = (type(reprlib), type(failure.clip), type)  # modules, functions, classes


def shown_locals(variables: typing.Mapping[str, typing.Any]) -> typing.Dict[str, str]:
    """Name and clipped value of each, the first two dozen, without modules and definitions."""
    found: typing.Dict[str, str] = {}
    for name, value in list(variables.items()):
        if name.startswith("__") or isinstance(value, _NOT_VALUES):
            continue
        if len(found) == _MOST:
            break
        found[failure.clip(name, _LONGEST_NAME)] = _shown(value)
    return found


def _shown(value: object) -> str:
    brief = reprlib.Repr()  # of large collections only some members are looked at
    brief.maxlist = brief.maxtuple = brief.maxset = brief.maxfrozenset = brief.maxdict = 8
    brief.maxdeque = brief.maxarray = 8
    brief.maxstring = brief.maxother = brief.maxlong = _LONGEST_VALUE
    try:
        return failure.clip(brief.repr(value), _LONGEST_VALUE)
    except BaseException as error:  # the step's own code runs here
        return "<%s whose repr raised %s>" % (type(value).__name__, type(error).__name__)
