"""The short way: inputs that plainly are what a plain function's annotations name.

Rules of this file:

1. What is accepted here, binding in full (`bind`) accepts as well, and passes on unchanged. What is
   not decided here goes there: nothing is refused.
2. Only annotations that stand for exactly one class of JSON's own, and lists, dicts and unions of
   such, are looked at. None of them converts anything.
"""

from __future__ import annotations

import types
import typing

__all__ = ["fits", "is_result"]

_PLAIN = frozenset((int, str, bool, float, type(None)))
_WHOLE = frozenset((list, dict))
_ANYTHING: typing.Any = typing.Any
_UNION: typing.Any = typing.Union
_ALIAS = getattr(types, "GenericAlias", None)  # of `list[int]`, since 3.9
_UNNAMED = 0x04 | 0x08  # CO_VARARGS, CO_VARKEYWORDS
_DEEPEST = 4
_MISSING = object()


def fits(function: typing.Any, inputs: typing.Dict[str, typing.Any]) -> bool:
    """Whether the function may be called with the inputs as they are, by keyword."""
    if type(function) is not types.FunctionType or function.__dict__:
        return False  # a decorator may have left its mark
    code = function.__code__
    if code.co_flags & _UNNAMED or getattr(code, "co_posonlyargcount", 0):
        return False
    count = code.co_argcount
    names = code.co_varnames[: count + code.co_kwonlyargcount]
    defaults, named = function.__defaults__ or (), function.__kwdefaults__ or {}
    annotations = function.__annotations__
    returns = annotations.get("return", _ANYTHING)
    if not (type(returns) is type and returns in _PLAIN) and not _is_known(returns, 0):
        return False
    given = 0
    for place, name in enumerate(names):
        value = inputs.get(name, _MISSING)
        if value is not _MISSING:
            given += 1
        elif place < count:
            if place < count - len(defaults):
                return False
            value = defaults[place - count]
        elif name in named:
            value = named[name]
        else:
            return False
        annotation = annotations.get(name, _ANYTHING)
        is_plainly = annotation is type(value) and annotation in _PLAIN
        if not is_plainly and not _is(annotation, value, 0):
            return False
    return given == len(inputs)


def is_result(function: typing.Any, value: object) -> bool:
    """Whether what a function that `fits` gave is plainly of the type it names."""
    returns = function.__annotations__.get("return", _ANYTHING)
    return (returns is type(value) and returns in _PLAIN) or _is(returns, value, 0)


def _is_known(annotation: typing.Any, depth: int) -> bool:
    """Whether an annotation is one of those that are decided here."""
    if annotation is _ANYTHING or annotation is None:
        return True
    if isinstance(annotation, type) and (annotation in _PLAIN or annotation in _WHOLE):
        return True
    origin, args = _parts(annotation)
    if depth == _DEEPEST or not args:
        return False
    if origin is list and len(args) == 1:
        return _is_known(args[0], depth + 1)
    if origin is dict and len(args) == 2 and args[0] is str:
        return _is_known(args[1], depth + 1)
    return origin is _UNION and all(member in _PLAIN for member in args)


def _is(annotation: typing.Any, value: typing.Any, depth: int) -> bool:
    if annotation is _ANYTHING:
        return True
    kind = type(value)
    if annotation is None:
        return value is None
    if annotation is kind:
        return kind in _PLAIN or kind in _WHOLE
    origin, args = _parts(annotation)
    if origin is list and len(args) == 1 and type(args[0]) is type and args[0] in _PLAIN:
        return kind is list and set(map(type, value)) <= {args[0]}
    if not _is_known(annotation, depth):
        return False
    if origin is list:
        return kind is list and _all_are(args[0], value, depth)
    if origin is dict:
        return (
            kind is dict
            and set(map(type, value)) <= {str}
            and _all_are(args[1], value.values(), depth)
        )
    return origin is _UNION and kind in args


def _all_are(annotation: typing.Any, values: typing.Iterable, depth: int) -> bool:
    if annotation in _PLAIN:
        return set(map(type, values)) <= {annotation}
    return all(_is(annotation, value, depth + 1) for value in values)


def _parts(annotation: typing.Any) -> typing.Tuple[typing.Any, tuple]:
    if type(annotation) is _ALIAS:
        return annotation.__origin__, annotation.__args__
    if hasattr(annotation, "__metadata__"):  # Annotated: there may be bounds
        return None, ()
    return getattr(annotation, "__origin__", None), getattr(annotation, "__args__", ())
