"""JSON values to the annotated types: `compile(annotation)` gives the converter, or None.

Rules of this file:

1. Only where JSON has no such type: tuples, sets, bytes (base64), dates, Decimal, UUID, Path,
   complex, Enum, dataclass, NamedTuple, TypedDict fields, mappings with other keys than text,
   ndarray.
2. Nothing is guessed. What does not fit is left as it came, for the checker to refuse.
3. A converter never raises but for what a step's own class raises while it is made.
"""

from __future__ import annotations

import collections
import collections.abc
import sys
import typing

from orq_sandbox import forms, scalars, typecheck

__all__ = ["compile"]

Converter = typing.Callable[[typing.Any], typing.Any]


def compile(annotation: object) -> typing.Optional[Converter]:
    """The converter of an annotation; None where JSON's own value is already right."""
    annotation = forms.bare(annotation)
    if forms.is_union(annotation):
        return _union(annotation)
    origin, args = forms.origin_of(annotation), forms.args_of(annotation)
    kind = origin if isinstance(origin, type) else annotation
    if not isinstance(kind, type):
        return None
    if (
        forms.is_typed_dict(kind)
        or hasattr(kind, "__dataclass_fields__")
        or forms.is_named_tuple(kind)
    ):
        return _fields(kind)
    if kind is tuple:
        return _tuple(args)
    if issubclass(kind, collections.abc.Mapping):
        return _mapping(kind, args)
    if (
        issubclass(kind, collections.abc.Iterable)
        and not issubclass(kind, (str, bytes))
        and not _is_enum(kind)
    ):
        return _items(kind, args)
    return scalars.converter(kind)


def _is_enum(kind: type) -> bool:
    enum = sys.modules.get("enum")
    return enum is not None and (issubclass(kind, enum.Enum) or isinstance(kind, enum.EnumMeta))


def _each(item: typing.Optional[Converter], values: list) -> list:
    return values if item is None else [item(value) for value in values]


def _items(kind: type, args: tuple) -> typing.Optional[Converter]:
    if hasattr(kind, "__array__"):
        return _array(kind, args)
    item = compile(args[0]) if len(args) == 1 else None
    build = {
        collections.abc.Set: frozenset,
        collections.abc.MutableSet: set,
    }.get(kind, kind if kind in (set, frozenset, collections.deque) else None)
    if build is None:
        if item is None or not issubclass(list, kind):
            return None
        return lambda value: _each(item, value) if type(value) is list else value

    def convert(value: typing.Any) -> typing.Any:
        if type(value) is not list:
            return value
        try:
            return build(_each(item, value))
        except TypeError:  # an item that cannot be hashed: the checker says so
            return value

    return convert


def _tuple(args: tuple) -> Converter:
    if len(args) == 2 and args[1] is Ellipsis:
        item = compile(args[0])
        return lambda value: tuple(_each(item, value)) if type(value) is list else value
    places = [compile(arg) for arg in args if arg != ()]

    def convert(value: typing.Any) -> typing.Any:
        if type(value) is not list:
            return value
        if len(value) != len(places):
            return tuple(value)
        return tuple(place(item) if place else item for place, item in zip(places, value))

    return convert


def _mapping(kind: type, args: tuple) -> typing.Optional[Converter]:
    key = compile_key(args[0]) if args else None
    item = compile(args[1]) if len(args) == 2 else None
    build = kind if kind in (collections.OrderedDict, collections.Counter) else None
    if key is None and item is None and build is None and kind is not collections.defaultdict:
        return None

    def convert(value: typing.Any) -> typing.Any:
        if type(value) is not dict:
            return value
        made = {(key(k) if key else k): (item(v) if item else v) for k, v in value.items()}
        if len(made) != len(value):
            return value
        if kind is collections.defaultdict:
            return collections.defaultdict(None, made)
        return build(made) if build else made

    return convert


def compile_key(annotation: object) -> typing.Optional[Converter]:
    """The converter of a mapping's keys, which JSON has only as text."""
    annotation = forms.bare(annotation)
    if annotation is int:
        return lambda key: int(key) if _is_canonical_int(key) else key
    return compile(annotation)


def _is_canonical_int(text: str) -> bool:
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 4000:
        return False
    return (digits == "0" and text == "0") or not digits.startswith("0")


def _union(annotation: object) -> typing.Optional[Converter]:
    members = [(compile(member), typecheck.compile(member)) for member in forms.args_of(annotation)]
    if all(converter is None for converter, _ in members):
        return None

    def convert(value: typing.Any) -> typing.Any:
        for _, checker in members:
            if checker.accepts(value):
                return value  # it fits as it came
        for converter, checker in members:
            if converter is not None:
                made = converter(value)
                if checker.accepts(made):
                    return made
        return value

    return convert


def _fields(kind: typing.Any) -> Converter:
    converters: dict = {}
    is_dict, is_tuple = forms.is_typed_dict(kind), forms.is_named_tuple(kind)

    def resolve() -> dict:  # late: such a class may hold itself
        if not converters:
            hints = forms.field_hints(kind)
            names = (
                kind._fields if is_tuple else kind.__dataclass_fields__ if not is_dict else hints
            )
            converters.update((name, compile(hints.get(name, typing.Any))) for name in names)
        return converters

    def convert(value: typing.Any) -> typing.Any:
        known = resolve()
        if is_tuple and type(value) is list and len(value) == len(known):
            value = dict(zip(known, value))
        if type(value) is not dict or not value.keys() <= known.keys():
            return value
        made = {k: (known[k](v) if known[k] else v) for k, v in value.items()}
        if is_dict:
            return made
        return kind(**made) if _is_complete(kind, made) else value

    return convert


def _is_complete(kind: typing.Any, values: dict) -> bool:
    if forms.is_named_tuple(kind):
        return all(name in values or name in kind._field_defaults for name in kind._fields)
    missing = sys.modules["dataclasses"].MISSING
    for name, field in kind.__dataclass_fields__.items():
        has_default = field.default is not missing or field.default_factory is not missing
        if (field.init and not has_default and name not in values) or (
            not field.init and name in values
        ):
            return False
    return True


def _array(kind: typing.Any, args: tuple) -> typing.Optional[Converter]:
    numpy = sys.modules.get("numpy")
    if numpy is None or kind is not numpy.ndarray:
        return None
    wanted = forms.args_of(args[1])[:1] if len(args) == 2 else ()
    dtype = wanted[0] if wanted and isinstance(wanted[0], type) else None

    def convert(value: typing.Any) -> typing.Any:
        if type(value) is not list:
            return value
        try:
            return numpy.array(value, dtype=dtype)
        except (TypeError, ValueError):  # ragged, or not of that dtype
            return value

    return convert
