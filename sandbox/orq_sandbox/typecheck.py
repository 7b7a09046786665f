"""Whether a value is of an annotated type: `compile(annotation, scope)` gives the checker.

Rules of this file:

1. Every element of every collection counts. `True` is no int and no float; `1` is a float. A text
   is no sequence of texts.
2. What the forms here do not know is typeguard's to judge (`Foreign`). What they do know they judge
   themselves, and never accept what typeguard would refuse.
3. `accepts` is the fast question, `explain` the slow answer: only a refused value pays for it.
   `kinds` are classes whose every instance is accepted, where there are such.
4. What few steps use is imported when an annotation needs it.
"""

from __future__ import annotations

import collections
import collections.abc
import typing

from orq_sandbox import checkers, forms, hints, later
from orq_sandbox.checkers import (
    Anything,
    Choice,
    Exactly,
    Foreign,
    Function,
    Items,
    Later,
    Nothing,
    OneOf,
    OpenTuple,
    Pairs,
    Positions,
)

__all__ = ["compile"]

_abc = collections.abc
_LIBRARIES = ("numpy", "pandas", "pyarrow")
_NOTHING = ("Never", "NoReturn")
_NO_TYPES = (list, tuple, dict, set, int, float, complex, bytes)
_FUNCTIONS = ("function", "builtin_function_or_method")


def compile(annotation: typing.Any, scope: hints.Scope) -> typing.Any:
    """The checker of an annotation: `accepts(value)`, and `explain(value, path)` -> mismatches.

    Raises NameError, TypeError or SyntaxError, or `modern.Unresolved` for a field's, when it has no
    meaning.
    """
    if forms.is_reference(annotation) or forms.is_alias(annotation):
        return _by_name(annotation, scope)
    if hasattr(annotation, "__metadata__"):
        return _annotated(annotation, scope)
    below = forms.layer(annotation)
    if below is not annotation:
        return compile(below, scope)
    if annotation is forms.ANYTHING or annotation is object:
        return Anything()
    if forms.is_union(annotation):
        members = [compile(member, scope) for member in forms.args_of(annotation)]
        return OneOf(annotation, members)
    origin = forms.origin_of(annotation)
    if origin is None:
        return _of_class(annotation, annotation, scope)
    if forms.name_of(origin) == "Literal":
        return Choice(annotation, checkers.choices(annotation))
    if origin is _abc.Callable:
        return Function(annotation)
    if not isinstance(origin, type):
        return Foreign(annotation)
    return _of_generic(annotation, origin, forms.args_of(annotation), scope)


def _by_name(annotation: typing.Any, scope: hints.Scope) -> typing.Any:
    """A type that may hold itself: where it does, it is met again while it is being made."""
    origin = forms.origin_of(annotation) or annotation
    key = (id(origin), repr(forms.args_of(annotation)))
    if forms.is_reference(annotation):
        key = ("name", str(getattr(annotation, "__forward_arg__", annotation)))
    known = scope.checkers.get(key)
    if known is None:
        known = scope.checkers[key] = Later()
        if forms.is_reference(annotation):
            known.checker = compile(scope.look_up(annotation), scope)
        else:
            known.checker = compile(forms.layer(annotation), scope)
    return known.checker or known


def _annotated(annotation: typing.Any, scope: hints.Scope) -> typing.Any:
    inner = compile(annotation.__origin__, scope)
    bounds = later.part("bounds")  # only where something is annotated

    found = bounds.conditions_of(annotation.__metadata__)
    return bounds.Bounded(inner, found, annotation) if found else inner


def _of_class(annotation: typing.Any, kind: typing.Any, scope: hints.Scope) -> typing.Any:
    if not isinstance(kind, type):
        return _of_form(annotation, kind, scope)
    if kind.__module__.partition(".")[0] == "numpy":
        arrays = later.part("arrays")  # only steps that have numpy

        found = arrays.checker(annotation, kind)
        if found is not None:
            return found
    if getattr(kind, "_is_protocol", False) and kind.__module__ != "collections.abc":
        return Foreign(annotation)
    if forms.is_record(kind):
        return _fields(annotation, kind, scope)
    if kind is _abc.Callable:
        return Function(annotation)
    if kind.__module__ == "collections.abc" and issubclass(kind, (_abc.Iterable, _abc.Container)):
        if kind.__name__ in ("ByteString", "Buffer"):
            return Exactly(kind)
        return Items(annotation, kind, Anything(), scope.most)
    return Exactly(kind)


_callable: typing.Any = typing.Callable


def _of_form(annotation: typing.Any, kind: typing.Any, scope: hints.Scope) -> typing.Any:
    if forms.name_of(kind) in _NOTHING:
        return Nothing(annotation)
    if forms.name_of(kind) == "Self":
        return Anything() if scope.owner is None else compile(scope.owner, scope)
    if kind is _callable:
        return Function(annotation)
    if type(kind).__name__ in _FUNCTIONS:
        return Anything()  # a note for people: `x: any`, `x: numpy.array`
    if isinstance(kind, _NO_TYPES):
        raise TypeError("it is no type")
    return Foreign(annotation)


def _fields(annotation: typing.Any, kind: type, scope: hints.Scope) -> typing.Any:
    key = ("fields", annotation if forms.origin_of(annotation) is None else repr(annotation))
    known = scope.checkers.get(key)
    if known is None:
        fields = later.part("fields")  # only where a class has fields

        inner = scope.of(kind)
        known = scope.checkers[key] = fields.Fields(annotation, kind)
        known.fill([(one, compile(one.hint, inner)) for one in fields.of(annotation, kind)])
    return known


def _of_generic(
    annotation: typing.Any, origin: typing.Any, args: tuple, scope: hints.Scope
) -> typing.Any:
    if origin is tuple:
        return _tuple(annotation, args, scope)
    if not args:
        return _of_class(annotation, origin, scope)  # `typing.List` without its item type
    if forms.is_record(origin) or origin.__module__.partition(".")[0] in _LIBRARIES:
        return _of_class(annotation, origin, scope)
    if getattr(origin, "_is_protocol", False) and origin.__module__ != "collections.abc":
        return Foreign(annotation)
    if issubclass(origin, collections.Counter):
        return Pairs(annotation, origin, compile(args[0], scope), Exactly(int), scope.most)
    if issubclass(origin, _abc.Mapping):
        key, item = args if len(args) == 2 else (typing.Any, typing.Any)
        return Pairs(annotation, origin, compile(key, scope), compile(item, scope), scope.most)
    is_items = issubclass(origin, (_abc.Iterable, _abc.Container)) and not issubclass(origin, type)
    if is_items and len(args) == 1:
        return Items(annotation, origin, compile(args[0], scope), scope.most)
    return Foreign(annotation)


def _tuple(annotation: typing.Any, args: tuple, scope: hints.Scope) -> typing.Any:
    if annotation is typing.Tuple:
        return Exactly(tuple)
    if len(args) == 2 and args[1] is Ellipsis:
        return Items(annotation, tuple, compile(args[0], scope), scope.most)
    open_at = [index for index, arg in enumerate(args) if forms.is_unpacked(arg)]
    if len(open_at) == 1:
        return _open_tuple(annotation, args, open_at[0], scope)
    return Positions(annotation, [compile(arg, scope) for arg in args if arg != ()])


def _open_tuple(annotation: typing.Any, args: tuple, place: int, scope: hints.Scope) -> typing.Any:
    """A tuple with a part of any length inside: `tuple[int, *tuple[str, ...]]`."""
    before = [compile(arg, scope) for arg in args[:place]]
    after = [compile(arg, scope) for arg in args[place + 1 :]]
    item = forms.item_of_unpacked(args[place])
    return OpenTuple(annotation, before, compile(item, scope), after)
