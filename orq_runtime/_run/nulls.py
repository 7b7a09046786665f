"""Whether a null that orjson wrote may have been a NaN: it writes one as the other, in silence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["may_hold_nan"]

_KNOWN: Final = {int, str, bool, type(None), float, list, tuple, dict}
_AT_ONCE: Final = 1 << 14
_MANY: Final = 1 << 20


def may_hold_nan(value: object) -> bool:
    """Whether it may hold a number that is not finite; looks at items by the million.

    Only lists, tuples, dicts and single values of JSON's own are known not to.
    """
    lists: list[Any] = [[value]]  # and tuples; what is in them is what their types say
    dicts: list[dict[object, object]] = []
    while lists or dicts:
        nodes: Iterable[Any] = _some(lists) if lists else map(dict.values, _some(dicts))
        items: list[object] = [*itertools.chain.from_iterable(nodes)]
        kinds = set(map(type, items))
        if not kinds <= _KNOWN:
            return True
        if not all(math.isfinite(item) for item in items if type(item) is float):
            return True
        if list in kinds or tuple in kinds:
            lists += [item for item in items if type(item) is list or type(item) is tuple]
        if dict in kinds:
            dicts += [item for item in items if type(item) is dict]
    return False


def _some(nodes: list[Any]) -> list[Any]:
    """The last of them, taken out: many small ones, or one that is large."""
    count = _AT_ONCE
    while count > 1 and sum(map(len, nodes[-count:])) > _MANY:
        count >>= 2
    found = nodes[-count:]
    del nodes[-count:]
    return found
