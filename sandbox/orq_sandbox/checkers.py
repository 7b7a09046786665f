"""The checkers of single values, collections and choices. How they are asked: see `typecheck`."""

from __future__ import annotations

import collections
import collections.abc
import itertools
import typing

from orq_sandbox import forms, later, support
from orq_sandbox.failure import shown
from orq_sandbox.mismatch import Unmade, mismatch
from orq_sandbox.nature import held, is_a

__all__ = [
    "Anything",
    "Choice",
    "Exactly",
    "Foreign",
    "Function",
    "Items",
    "Later",
    "Nothing",
    "OneOf",
    "OpenTuple",
    "Pairs",
    "Positions",
    "choices",
]

_MOST_MISMATCHES = 20
_NUMBERS = {int: (int,), float: (int, float), complex: (int, float, complex)}
_MANY = 256  # items from which on a checker is worth generating
_TEXTS = (str, bytes, bytearray, memoryview)


class Anything:
    """Accepts every value."""

    sort = "anything"

    def accepts(self, _value: object) -> bool:
        return True

    def explain(self, _value: object, _path: str) -> list:
        return []


class Nothing:
    """Accepts no value: `Never`."""

    sort = "nothing"

    def __init__(self, annotation: object) -> None:
        self._shown = forms.shown_type(annotation)

    def accepts(self, _value: object) -> bool:
        return False

    def explain(self, value: object, path: str) -> list:
        return [mismatch(path, self._shown, value)]


class Later:
    """Stands for a checker that is being made and holds itself."""

    sort = "later"

    def __init__(self) -> None:
        self.checker: typing.Any = None

    def accepts(self, value: object) -> bool:
        return self.checker.accepts(value)

    def explain(self, value: object, path: str) -> list:
        return self.checker.explain(value, path)


class Exactly:
    """A plain class: numbers by the tower of PEP 484 with bool left out, others by isinstance."""

    sort = "exactly"

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._kinds = _NUMBERS.get(kind, (kind,))
        self._is_number = kind in _NUMBERS
        self._is_moment = kind.__module__ == "datetime"
        self.kinds = frozenset(self._kinds)

    def accepts(self, value: object) -> bool:
        if type(value) in self.kinds:
            return True
        if not is_a(value, self._kinds) or (self._is_number and isinstance(value, bool)):
            return False
        return not self._is_moment or value == value  # pandas' NaT is a datetime, and no moment

    def explain(self, value: object, path: str) -> list:
        if self.accepts(value):
            return []
        if isinstance(value, Unmade):
            return value.explain(path, forms.shown_type(self._kind))
        return [mismatch(path, forms.shown_type(self._kind), value)]


class Items:
    """A collection of one item type: list, set, deque, Sequence, Iterable and their kin.

    A text is a sequence of texts to Python, and to nobody who wrote `Sequence[str]`.
    """

    sort = "items"

    def __init__(self, annotation: object, kind: type, item: typing.Any, most: int) -> None:
        self._shown = forms.shown_type(annotation)
        self.kind = kind
        self.item = item
        self._refused = () if kind in _TEXTS else _TEXTS
        self._most = most

    def _fits(self, value: object) -> bool:
        return is_a(value, self.kind) and not isinstance(value, self._refused)

    def accepts(self, value: typing.Any) -> bool:
        if not self._fits(value):
            return False
        if not isinstance(value, collections.abc.Collection):
            return True  # an iterator: looking at its items would use them up
        item = self.item
        items = held(value)
        looked_at = _sample(items, self._most) if self._most else items
        kinds = getattr(item, "kinds", None)
        if kinds is not None and kinds.issuperset(map(type, looked_at)):
            return True
        accepts = item.accepts
        if len(looked_at) > _MANY and hasattr(item, "parts"):
            fast = later.part("fast")  # only where there is much to do

            accepts = fast.checker(item)
        return all(map(accepts, looked_at))

    def explain(self, value: object, path: str) -> list:
        if not self._fits(value):
            return [mismatch(path, self._shown, value)]
        found: list = []
        if isinstance(value, collections.abc.Collection):
            for index, item in enumerate(held(value)):
                if not self.item.accepts(item):
                    found += self.item.explain(item, "%s[%d]" % (path, index))
                if len(found) >= _MOST_MISMATCHES:
                    break
        return found


def _sample(value: typing.Any, most: int) -> typing.Any:
    """A few of the items: from all over a list, the first of any other collection."""
    if len(value) <= most:
        return value
    if isinstance(value, (list, tuple)):
        return [*value[:: len(value) // most], value[-1]]
    return list(itertools.islice(value, most))


class Pairs:
    """A mapping of one key type and one value type."""

    sort = "pairs"

    def __init__(
        self, annotation: object, kind: type, key: typing.Any, item: typing.Any, most: int
    ) -> None:
        self._shown = forms.shown_type(annotation)
        self._kind = kind
        self._keys = Items(annotation, collections.abc.Collection, key, most)
        self._items = Items(annotation, collections.abc.Collection, item, most)
        self._key, self._item = key, item

    def accepts(self, value: object) -> bool:
        if not is_a(value, self._kind):
            return False
        pairs = held(value)
        return self._keys.accepts(pairs.keys()) and self._items.accepts(pairs.values())

    def explain(self, value: object, path: str) -> list:
        if not is_a(value, self._kind):
            return [mismatch(path, self._shown, value)]
        found: list = []
        for key, item in held(value).items():
            if not self._key.accepts(key):
                found += self._key.explain(key, "%s.keys()[%s]" % (path, shown(key)))
            if not self._item.accepts(item):
                found += self._item.explain(item, "%s[%s]" % (path, shown(key)))
            if len(found) >= _MOST_MISMATCHES:
                break
        return found


class Positions:
    """A tuple whose places have types of their own."""

    sort = "positions"

    def __init__(self, annotation: object, places: list) -> None:
        self._shown = forms.shown_type(annotation)
        self._places = places

    def accepts(self, value: object) -> bool:
        items = held(value) if is_a(value, tuple) else ()
        if not is_a(value, tuple) or len(items) != len(self._places):
            return False
        return all(place.accepts(item) for place, item in zip(self._places, items))

    def explain(self, value: object, path: str) -> list:
        if not is_a(value, tuple):
            return [mismatch(path, self._shown, value)]
        items = held(value)
        if len(items) != len(self._places):
            counted = "1 item" if len(items) == 1 else "%d items" % len(items)
            message = "expected %s, got %s" % (self._shown, counted)
            return [mismatch(path, self._shown, value, message)]
        found: list = []
        for index, item in enumerate(items):
            found += self._places[index].explain(item, "%s[%d]" % (path, index))
        return found


class OpenTuple:
    """A tuple that begins and ends with types of their own, and has any number of one between."""

    sort = "opentuple"

    def __init__(self, annotation: object, before: list, item: typing.Any, after: list) -> None:
        self._shown = forms.shown_type(annotation)
        self._before, self._item, self._after = before, item, after

    def _of_length(self, length: int) -> typing.Optional[Positions]:
        between = length - len(self._before) - len(self._after)
        if between < 0:
            return None
        return Positions(self._shown, [*self._before, *[self._item] * between, *self._after])

    def accepts(self, value: object) -> bool:
        fixed = self._of_length(len(held(value))) if is_a(value, tuple) else None
        return fixed is not None and fixed.accepts(value)

    def explain(self, value: object, path: str) -> list:
        fixed = self._of_length(len(held(value))) if is_a(value, tuple) else None
        if fixed is None:
            return [mismatch(path, self._shown, value)]
        return fixed.explain(value, path)


class OneOf:
    """A union: any member will do. The mismatch named is that of the member that got furthest."""

    sort = "oneof"

    def __init__(self, annotation: object, members: list) -> None:
        self._shown = forms.shown_type(annotation)
        self.members = members
        plain = [member.kinds for member in members if hasattr(member, "kinds")]
        self._quick = frozenset(kind for kinds in plain for kind in kinds)
        if len(plain) == len(members):
            self.kinds = self._quick

    def accepts(self, value: object) -> bool:
        if type(value) in self._quick:
            return True  # before a member is asked that would need typeguard
        return any(member.accepts(value) for member in self.members)

    def explain(self, value: object, path: str) -> list:
        if self.accepts(value):
            return []
        if isinstance(value, Unmade):
            return value.explain(path, self._shown)
        for member in self.members:
            found = member.explain(value, path)
            is_inside = found and all(one.path != path for one in found)
            if is_inside or (member.sort == "bounded" and member.is_of_type(value)):
                return found  # right container, wrong inside; right type, out of bounds
        return [mismatch(path, self._shown, value)]


class Choice:
    """A Literal: equal to one of the values and of the same type, so that True is not 1."""

    sort = "choice"

    def __init__(self, annotation: object, values: tuple) -> None:
        self._shown = forms.shown_type(annotation)
        self.values = values

    def accepts(self, value: object) -> bool:
        return any(type(value) is type(one) and value == one for one in self.values)

    def explain(self, value: object, path: str) -> list:
        return [] if self.accepts(value) else [mismatch(path, self._shown, value)]


def choices(annotation: object) -> tuple:
    """The values of a Literal, those of Literals inside it too."""
    found: list = []
    for value in forms.args_of(annotation):
        is_literal = forms.name_of(forms.origin_of(value)) == "Literal"
        found += choices(value) if is_literal else [value]
    return tuple(found)


class Foreign:
    """Every other form: typeguard says."""

    sort = "foreign"

    def __init__(self, annotation: object) -> None:
        self._annotation = annotation

    def accepts(self, value: object) -> bool:
        return not support.check_by_typeguard(value, self._annotation)

    def explain(self, value: object, path: str) -> list:
        reason = support.check_by_typeguard(value, self._annotation)
        if not reason:
            return []
        return [mismatch(path, forms.shown_type(self._annotation), value, reason)]


class Function:
    """A Callable: what comes from JSON is none. Its parameters are typeguard's to judge."""

    sort = "function"

    def __init__(self, annotation: object) -> None:
        self._annotation = annotation

    def accepts(self, value: object) -> bool:
        if not callable(value) or not forms.args_of(self._annotation):
            return callable(value)
        return Foreign(self._annotation).accepts(value)

    def explain(self, value: object, path: str) -> list:
        if callable(value):
            return Foreign(self._annotation).explain(value, path)
        expected = forms.shown_type(self._annotation)
        message = "expected %s, which no JSON value can be; only its default can be used" % expected
        return [mismatch(path, expected, value, message)]
