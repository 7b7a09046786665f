"""Whether a null in a document was one: orjson writes NaN as null, in silence."""

from __future__ import annotations

import gc
import itertools
import math
import typing

__all__ = ["are_true", "may_hold_nan"]

_KNOWN = {int, str, bool, type(None), float, list, tuple, dict}
_AT_ONCE = 1 << 14
_MANY = 1 << 20
_READ_BACK = 32 << 20


def are_true(json: typing.Any, text: bytes, value: typing.Any) -> bool:
    """Whether each null of the value's text was one; False where that cannot be said."""
    if not may_hold_nan(value):
        return True
    if len(text) > _READ_BACK:
        return False
    was_on = gc.isenabled()
    try:
        gc.disable()  # all that is made here is kept to the end: four times as fast
        return (json.loads(text) == value) is True  # NaN is not equal to what is read back
    except Exception:  # what compares with the step's own classes is the step's own code
        return False
    finally:
        if was_on:
            gc.enable()


def may_hold_nan(value: object) -> bool:
    """Whether it may hold a number that is not finite; looks at items by the million.

    Only lists, tuples, dicts and single values of JSON's own are known not to.
    """
    lists: typing.List[typing.Any] = [[value]]
    dicts: typing.List[typing.Any] = []
    while lists or dicts:
        nodes = _some(lists) if lists else map(dict.values, _some(dicts))
        items = [*itertools.chain.from_iterable(nodes)]
        kinds = set(map(type, items))
        if not kinds <= _KNOWN:
            return True
        if float in kinds:
            numbers = items if len(kinds) == 1 else [n for n in items if type(n) is float]
            if not all(map(math.isfinite, numbers)):
                return True
        if list in kinds or tuple in kinds:
            lists += [item for item in items if type(item) is list or type(item) is tuple]
        if dict in kinds:
            dicts += [item for item in items if type(item) is dict]
    return False


def _some(nodes: list) -> list:
    """The last of them, taken out: many small ones, or one that is large."""
    count = _AT_ONCE
    while count > 1 and sum(map(len, nodes[-count:])) > _MANY:
        count >>= 2
    found = nodes[-count:]
    del nodes[-count:]
    return found
