"""Whether a value is of an annotated type: `compile(annotation)` gives the checker.

Rules of this file:

1. Every element of every collection counts. `True` is no int and no float; `1` is a float.
2. What the forms here do not know is typeguard's to judge (`Foreign`). What they do know they judge
   themselves, and never accept what typeguard would refuse.
3. `accepts` is the fast question, `explain` the slow answer: only a refused value pays for it.
"""

from __future__ import annotations

import collections
import collections.abc
import typing

from orq_sandbox import forms, support
from orq_sandbox.failure import shown

__all__ = ["Mismatch", "compile"]

Mismatch = collections.namedtuple("Mismatch", "path expected got value message")

_MOST_MISMATCHES = 20
_NUMBERS = {int: (int,), float: (int, float), complex: (int, float, complex)}


def _mismatch(path: str, expected: str, value: object, message: str = "") -> Mismatch:
    kind = type(value)
    plain = kind.__module__ in ("builtins", "__main__") or kind is type(None)
    got = "None" if value is None else kind.__qualname__
    return Mismatch(
        path, expected, got if plain else kind.__module__ + "." + got, shown(value), message
    )


class Anything:
    """Accepts every value."""

    def accepts(self, _value: object) -> bool:
        return True

    def explain(self, _value: object, _path: str) -> list:
        return []


class Exactly:
    """A plain class: numbers by the tower of PEP 484 with bool left out, others by isinstance."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._kinds = _NUMBERS.get(kind, (kind,))
        self._is_number = kind in _NUMBERS
        self.kinds = frozenset(self._kinds)

    def accepts(self, value: object) -> bool:
        if type(value) in self.kinds:
            return True
        return isinstance(value, self._kinds) and not (self._is_number and isinstance(value, bool))

    def explain(self, value: object, path: str) -> list:
        return [] if self.accepts(value) else [_mismatch(path, forms.shown_type(self._kind), value)]


class Items:
    """A collection of one item type: list, set, deque, Sequence, Iterable and their kin."""

    def __init__(self, annotation: object, kind: type, item: typing.Any) -> None:
        self._shown = forms.shown_type(annotation)
        self._kind = kind
        self._item = item

    def accepts(self, value: object) -> bool:
        if not isinstance(value, self._kind):
            return False
        if not isinstance(value, collections.abc.Collection):
            return True  # an iterator: looking at its items would use them up
        kinds = getattr(self._item, "kinds", None)
        if kinds is not None and kinds.issuperset(map(type, value)):
            return True
        return all(map(self._item.accepts, value))

    def explain(self, value: object, path: str) -> list:
        if not isinstance(value, self._kind):
            return [_mismatch(path, self._shown, value)]
        found: list = []
        if isinstance(value, collections.abc.Collection):
            for index, item in enumerate(value):
                if not self._item.accepts(item):
                    found += self._item.explain(item, "%s[%d]" % (path, index))
                if len(found) >= _MOST_MISMATCHES:
                    break
        return found


class Pairs:
    """A mapping of one key type and one value type."""

    def __init__(self, annotation: object, kind: type, key: typing.Any, item: typing.Any) -> None:
        self._shown = forms.shown_type(annotation)
        self._kind = kind
        self._keys = Items(annotation, collections.abc.Collection, key)
        self._items = Items(annotation, collections.abc.Collection, item)
        self._key, self._item = key, item

    def accepts(self, value: object) -> bool:
        if not isinstance(value, self._kind):
            return False
        pairs = typing.cast("dict", value)
        return self._keys.accepts(pairs.keys()) and self._items.accepts(pairs.values())

    def explain(self, value: object, path: str) -> list:
        if not isinstance(value, self._kind):
            return [_mismatch(path, self._shown, value)]
        found: list = []
        for key, item in typing.cast("dict", value).items():
            if not self._key.accepts(key):
                found += self._key.explain(key, "%s.keys()[%s]" % (path, shown(key)))
            if not self._item.accepts(item):
                found += self._item.explain(item, "%s[%s]" % (path, shown(key)))
            if len(found) >= _MOST_MISMATCHES:
                break
        return found


class Positions:
    """A tuple whose places have types of their own; a NamedTuple too."""

    def __init__(self, annotation: object, kind: type, places: list, names: tuple = ()) -> None:
        self._shown = forms.shown_type(annotation)
        self._kind = kind
        self._places = places
        self._names = names

    def _fits(self, value: object) -> bool:
        return isinstance(value, self._kind) and len(typing.cast("tuple", value)) == len(
            self._places
        )

    def accepts(self, value: object) -> bool:
        if not self._fits(value):
            return False
        items = typing.cast("tuple", value)
        return all(place.accepts(item) for place, item in zip(self._places, items))

    def explain(self, value: object, path: str) -> list:
        if not self._fits(value):
            return [_mismatch(path, self._shown, value)]
        found: list = []
        for index, item in enumerate(typing.cast("tuple", value)):
            where = path + ("." + self._names[index] if self._names else "[%d]" % index)
            found += self._places[index].explain(item, where)
        return found


class OneOf:
    """A union: any member will do. The mismatch named is that of the member that got furthest."""

    def __init__(self, annotation: object, members: list) -> None:
        self._shown = forms.shown_type(annotation)
        self.members = members
        if all(hasattr(member, "kinds") for member in members):
            self.kinds = frozenset(kind for member in members for kind in member.kinds)

    def accepts(self, value: object) -> bool:
        return any(member.accepts(value) for member in self.members)

    def explain(self, value: object, path: str) -> list:
        if self.accepts(value):
            return []
        for member in self.members:
            found = member.explain(value, path)
            if found and all(one.path != path for one in found):
                return found  # right container, wrong inside
        return [_mismatch(path, self._shown, value)]


class Choice:
    """A Literal: equal to one of the values and of the same type, so that True is not 1."""

    def __init__(self, annotation: object, values: tuple) -> None:
        self._shown = forms.shown_type(annotation)
        self._values = [(type(value), value) for value in values]

    def accepts(self, value: object) -> bool:
        return any(type(value) is kind and value == one for kind, one in self._values)

    def explain(self, value: object, path: str) -> list:
        return [] if self.accepts(value) else [_mismatch(path, self._shown, value)]


class Fields:
    """A TypedDict or a dataclass: named fields, each with its type; resolved at first use.

    Late, because such a class may hold itself.
    """

    def __init__(self, kind: typing.Any) -> None:
        self._kind = kind
        self._is_dict = forms.is_typed_dict(kind)
        self._checkers: dict = {}
        self._required: frozenset = frozenset()

    def _resolve(self) -> dict:
        if not self._checkers:
            hints = forms.field_hints(self._kind)
            names = hints if self._is_dict else self._kind.__dataclass_fields__
            self._required = forms.required_keys(self._kind) if self._is_dict else frozenset()
            self._checkers = {name: compile(hints.get(name, typing.Any)) for name in names}
        return self._checkers

    def accepts(self, value: object) -> bool:
        checkers = self._resolve()
        if self._is_dict:
            if not isinstance(value, dict) or not self._required <= value.keys() <= checkers.keys():
                return False
            return all(checkers[name].accepts(item) for name, item in value.items())
        if not isinstance(value, self._kind):
            return False
        missing = object()
        held = ((name, getattr(value, name, missing)) for name in checkers)
        return all(item is missing or checkers[name].accepts(item) for name, item in held)

    def explain(self, value: object, path: str) -> list:
        checkers = self._resolve()
        if not isinstance(value, dict if self._is_dict else (self._kind, dict)):
            return [_mismatch(path, forms.shown_type(self._kind), value)]
        if isinstance(value, dict):
            held, required = value, self._required if self._is_dict else self._without_default()
        else:
            held, required = (
                {name: getattr(value, name) for name in checkers if hasattr(value, name)},
                (),
            )
        found = [
            _mismatch("%s.%s" % (path, name), forms.shown_type(self._kind), value, "missing key")
            for name in sorted(required)
            if name not in held
        ]
        for name, item in held.items():
            where = "%s.%s" % (path, name)
            if name not in checkers:
                found.append(_mismatch(where, forms.shown_type(self._kind), item, "unknown key"))
            elif not checkers[name].accepts(item):
                found += checkers[name].explain(item, where)
        if found or self.accepts(value):
            return found
        return [_mismatch(path, forms.shown_type(self._kind), value)]

    def _without_default(self) -> list:
        from dataclasses import MISSING  # only a step that has dataclasses comes here

        return [
            name
            for name, field in self._kind.__dataclass_fields__.items()
            if field.init and field.default is MISSING and field.default_factory is MISSING
        ]


class Foreign:
    """Every other form: typeguard says."""

    def __init__(self, annotation: object) -> None:
        support.load_typeguard()
        self._annotation = annotation

    def accepts(self, value: object) -> bool:
        return not support.check_by_typeguard(value, self._annotation)

    def explain(self, value: object, path: str) -> list:
        reason = support.check_by_typeguard(value, self._annotation)
        return (
            [_mismatch(path, forms.shown_type(self._annotation), value, reason)] if reason else []
        )


def compile(annotation: object) -> typing.Any:
    """The checker of an annotation: `accepts(value)`, and `explain(value, path)` -> mismatches.

    Raises NameError, TypeError or SyntaxError when the annotation cannot be resolved.
    """
    annotation = forms.bare(annotation)
    if annotation in (typing.Any, object):
        return Anything()
    if isinstance(annotation, (str, typing.ForwardRef)):
        name = getattr(annotation, "__forward_arg__", annotation)
        raise NameError("name %r is not defined" % name)
    if forms.is_union(annotation):
        return OneOf(annotation, [compile(member) for member in forms.args_of(annotation)])
    origin, args = forms.origin_of(annotation), forms.args_of(annotation)
    if origin is None:
        return _of_class(annotation)
    if forms.name_of(origin) == "Literal":
        return Choice(annotation, args)
    if not isinstance(origin, type):
        return Foreign(annotation)
    return _of_generic(annotation, origin, args)


def _of_class(annotation: typing.Any) -> typing.Any:
    if not isinstance(annotation, type) or getattr(annotation, "_is_protocol", False):
        return Foreign(annotation)
    if forms.is_typed_dict(annotation) or hasattr(annotation, "__dataclass_fields__"):
        return Fields(annotation)
    if forms.is_named_tuple(annotation):
        hints, names = forms.field_hints(annotation), vars(annotation)["_fields"]
        places = [compile(hints.get(name, typing.Any)) for name in names]
        return Positions(annotation, annotation, places, names)
    return Exactly(annotation)


def _of_generic(annotation: object, origin: type, args: tuple) -> typing.Any:
    if not args and (origin is not tuple or annotation is typing.Tuple):
        return _of_class(origin)  # `typing.List` without its item type
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return Items(annotation, tuple, compile(args[0]))
        return Positions(annotation, tuple, [compile(arg) for arg in args if arg != ()])
    if getattr(origin, "_is_protocol", False) and origin.__module__ != "collections.abc":
        return Foreign(annotation)
    if hasattr(origin, "__dataclass_fields__"):
        return Fields(origin)
    if issubclass(origin, collections.Counter):
        return Pairs(annotation, origin, compile(args[0] if args else typing.Any), Exactly(int))
    if issubclass(origin, collections.abc.Mapping):
        key, item = args if len(args) == 2 else (typing.Any, typing.Any)
        return Pairs(annotation, origin, compile(key), compile(item))
    is_items = issubclass(origin, collections.abc.Iterable) and not issubclass(origin, type)
    if is_items and len(args) == 1 and not hasattr(origin, "__array__"):
        return Items(annotation, origin, compile(args[0]))
    return Foreign(annotation)
