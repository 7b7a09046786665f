"""JSON values to the annotated types: `compile(annotation, scope)` gives the converter, or None.

Rules of this file:

1. Only where JSON has no such type: tuples, sets, bytes (base64), dates, Decimal, UUID, Path,
   complex, Enum, classes with fields, mappings with other keys than text, arrays and tables.
2. Nothing is guessed. What does not fit is left as it came, for the checker to refuse.
3. A converter never raises: where a step's own class refuses to be made, `Unmade` says so.
"""

from __future__ import annotations

import collections
import collections.abc
import typing

from orq_sandbox import forms, hints, later, scalars, typecheck
from orq_sandbox.checkers import choices
from orq_sandbox.mismatch import Unmade

__all__ = ["compile"]

Converter = typing.Callable[[typing.Any], typing.Any]

_DIRECT = (int, str, float, bool, type(None))
_NOTHING: typing.Any = object()


def compile(annotation: typing.Any, scope: hints.Scope) -> typing.Optional[Converter]:
    """The converter of an annotation; None where JSON's own value is already right."""
    if annotation in _DIRECT:
        return None
    if forms.is_reference(annotation) or forms.is_alias(annotation):
        return _by_name(annotation, scope)
    below = forms.layer(annotation)
    if below is not annotation:
        return compile(below, scope)
    if forms.is_union(annotation):
        return _union(annotation, scope)
    origin, args = forms.origin_of(annotation), forms.args_of(annotation)
    if forms.name_of(origin) == "Literal":
        return _literal(annotation)
    kind = origin if isinstance(origin, type) else annotation
    if not isinstance(kind, type):
        is_self = forms.name_of(kind) == "Self" and scope.owner is not None
        return compile(scope.owner, scope) if is_self else None
    library = kind.__module__.partition(".")[0]
    if library == "numpy":
        arrays = later.part("arrays")  # only steps that have it

        return arrays.converter(annotation, kind)
    if library in ("pandas", "pyarrow"):
        tables = later.part("tables")  # only steps that have one of them

        return tables.converter(kind)
    if forms.is_record(kind) or hasattr(kind, "__validators__") or _is_model(kind):
        return _made_once(annotation, kind, scope)
    return _of_class(kind, args, scope)


def _of_class(kind: type, args: tuple, scope: hints.Scope) -> typing.Optional[Converter]:
    if kind is tuple:
        return _tuple(args, scope)
    if issubclass(kind, collections.abc.Mapping):
        return _mapping(kind, args, scope)
    is_items = issubclass(kind, (collections.abc.Iterable, collections.abc.Container))
    if is_items and not issubclass(kind, (str, bytes)) and not scalars.is_single(kind):
        return _items(kind, args, scope)
    return scalars.converter(kind, allow_nan=scope.allow_nan)


def _is_model(kind: type) -> bool:
    return hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_validate_json")


def _by_name(annotation: typing.Any, scope: hints.Scope) -> typing.Optional[Converter]:
    """A type that may hold itself: where it does, its converter is looked up when it is used."""
    origin = forms.origin_of(annotation) or annotation
    key: tuple = (id(origin), repr(forms.args_of(annotation)))
    if forms.is_reference(annotation):
        key = ("name", str(getattr(annotation, "__forward_arg__", annotation)))
        return _once(key, lambda: compile(scope.look_up(annotation), scope), scope)
    return _once(key, lambda: compile(forms.layer(annotation), scope), scope)


def _once(
    key: tuple, make: typing.Callable[[], typing.Optional[Converter]], scope: hints.Scope
) -> typing.Optional[Converter]:
    if key in scope.converters:
        return scope.converters[key]

    def later(value: typing.Any) -> typing.Any:
        made = scope.converters[key]
        return value if made is None else made(value)

    scope.converters[key] = later
    made = scope.converters[key] = make()
    return made


def _each(item: typing.Optional[Converter], values: list) -> list:
    return values if item is None else [item(value) for value in values]


def _items(kind: type, args: tuple, scope: hints.Scope) -> typing.Optional[Converter]:
    item = compile(args[0], scope) if len(args) == 1 else None
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
        items = _each(item, value)
        try:
            made = build(items)
        except TypeError:  # an item that cannot be hashed
            return Unmade(value, "an item cannot be in a set")
        if build is collections.deque:
            return made
        if len(made) != len(items) and len({(one, _sort(one)) for one in items}) != len(made):
            return Unmade(value, "a truth value and a number would be one item")
        scope.sets_made[0] += 1
        return made

    return convert


def _sort(item: typing.Any) -> typing.Any:
    """What tells equal items apart: to Python, `True` is `1`."""
    if type(item) is tuple:
        return tuple(map(_sort, item))
    return frozenset(map(_sort, item)) if type(item) is frozenset else type(item) is bool


def _tuple(args: tuple, scope: hints.Scope) -> Converter:
    if len(args) == 2 and args[1] is Ellipsis:
        item = compile(args[0], scope)
        return lambda value: tuple(_each(item, value)) if type(value) is list else value
    open_at = [index for index, arg in enumerate(args) if forms.is_unpacked(arg)]
    if len(open_at) == 1:
        return _open_tuple(args, open_at[0], scope)
    places = [compile(arg, scope) for arg in args if arg != ()]

    def convert(value: typing.Any) -> typing.Any:
        if type(value) is not list:
            return value
        if len(value) != len(places):
            return tuple(value)
        return tuple(place(item) if place else item for place, item in zip(places, value))

    return convert


def _open_tuple(args: tuple, place: int, scope: hints.Scope) -> Converter:
    before = [compile(arg, scope) for arg in args[:place]]
    after = [compile(arg, scope) for arg in args[place + 1 :]]
    item = compile(forms.item_of_unpacked(args[place]), scope)

    def convert(value: typing.Any) -> typing.Any:
        if type(value) is not list:
            return value
        between = len(value) - len(before) - len(after)
        places = [*before, *[item] * between, *after] if between >= 0 else [None] * len(value)
        return tuple(place(item) if place else item for place, item in zip(places, value))

    return convert


def _mapping(kind: type, args: tuple, scope: hints.Scope) -> typing.Optional[Converter]:
    key = compile_key(args[0], scope) if args else None
    item = compile(args[1], scope) if len(args) == 2 else None
    build = kind if kind in (collections.OrderedDict, collections.Counter) else None
    if key is None and item is None and build is None and kind is not collections.defaultdict:
        return None

    def convert(value: typing.Any) -> typing.Any:
        if type(value) is not dict:
            return value
        made = {(key(k) if key else k): (item(v) if item else v) for k, v in value.items()}
        if len(made) != len(value):
            return Unmade(value, "two keys are the same one")
        if kind is collections.defaultdict:
            return collections.defaultdict(None, made)
        return build(made) if build else made

    return convert


def compile_key(annotation: typing.Any, scope: hints.Scope) -> typing.Optional[Converter]:
    """The converter of a mapping's keys, which JSON has only as text."""
    while forms.layer(annotation) is not annotation and not forms.is_alias(annotation):
        annotation = forms.layer(annotation)
    if forms.is_union(annotation):
        return _union(annotation, scope, compile_key)
    if annotation is int or annotation is float:
        return scalars.number_key(annotation)
    if forms.name_of(forms.origin_of(annotation)) == "Literal":
        return scalars.choice_key(choices(annotation))
    if scalars.is_enum(annotation):
        return scalars.enum_key(annotation)
    return compile(annotation, scope)


def _literal(annotation: typing.Any) -> typing.Optional[Converter]:
    values = choices(annotation)
    if all(value is None or type(value) in _DIRECT for value in values):
        return None
    return scalars.choice(values)


def _union(
    annotation: typing.Any, scope: hints.Scope, make: typing.Any = compile
) -> typing.Optional[Converter]:
    found = forms.args_of(annotation)
    converters = [make(member, scope) for member in found]
    if not any(converters):
        return None
    members = list(zip(converters, [typecheck.compile(member, scope) for member in found]))

    def convert(value: typing.Any) -> typing.Any:
        for _, checker in members:
            if checker.accepts(value):
                return value  # it fits as it came
        unmade, lossy = value, _NOTHING
        for converter, checker in members:
            if converter is not None:
                before = scope.sets_made[0]
                made = converter(value)
                if checker.accepts(made):
                    if scope.sets_made[0] == before:
                        return made
                    lossy = made if lossy is _NOTHING else lossy  # another may keep the order
                elif unmade is value and made is not value:
                    unmade = made  # for the message: the member that got furthest
        return unmade if lossy is _NOTHING else lossy

    return convert


def _made_once(
    annotation: typing.Any, kind: type, scope: hints.Scope
) -> typing.Optional[Converter]:
    if forms.is_record(kind):
        key = ("fields", kind if forms.origin_of(annotation) is None else repr(annotation))
        return _once(key, lambda: _record(annotation, kind, scope), scope)
    models = later.part("models")  # only steps that have such a library

    return models.converter(annotation, kind, scope, compile, typecheck.compile)


def _record(
    annotation: typing.Any, kind: typing.Any, scope: hints.Scope
) -> typing.Optional[Converter]:
    whole = typecheck.compile(annotation, scope)
    inner = scope.of(kind)
    fields = [field for field, _ in whole.parts]
    known = {field.key: compile(field.hint, inner) for field in fields}
    if whole.is_dict and not any(known.values()):
        return None
    keys = [field.key for field in fields if field.is_given]
    is_tuple = forms.is_named_tuple(kind)

    def convert(value: typing.Any) -> typing.Any:
        given = value
        if is_tuple and type(value) is list and len(whole.required) <= len(value) <= len(keys):
            given = dict(zip(keys, value))
        if type(given) is not dict or not given.keys() <= known.keys():
            return value
        made = {k: _converted(known[k], v) for k, v in given.items()}
        if whole.is_dict or not whole.takes(made):
            return made
        try:
            return kind(**made)
        except Exception as error:  # the step's own code runs here
            return Unmade(value, "%s: %s" % (type(error).__name__, error))

    return convert


def _converted(converter: typing.Optional[Converter], value: typing.Any) -> typing.Any:
    return value if converter is None else converter(value)
