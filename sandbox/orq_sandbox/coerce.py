"""Old habits of callers, made into what they mean: only where asked for, only what did not fit.

| given | wanted | becomes |
|---|---|---|
| JSON text | an object, list or class with fields, and no text | its value |
| `"None"`, `"null"` | null, and no text | null |
| a number as text | a number, and no text | the number |
| `"true"`, `"false"`, in any case | a truth value, and no text | the truth value |
| a whole number with a fraction of zero | an int, and no float | the int |

Inside lists, objects and fields as well, and nowhere that fits as it is. Nothing else is changed.
"""

from __future__ import annotations

import collections.abc
import json
import re
import typing

from orq_sandbox import convert, forms, hints, records, scalars, typecheck
from orq_sandbox.failure import shown

__all__ = ["coerced"]

_abc = collections.abc
_WHOLE = r"\s*[+-]?[0-9]{1,4000}\s*"
_NUMBER = r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\s*"
_TRUTHS = {"true": True, "false": False}
_DEEPEST = 100
_INFINITY = float("inf")
_NOTHING = (None, "")


def coerced(
    value: typing.Any, annotation: typing.Any, scope: hints.Scope, path: str
) -> typing.Tuple[typing.Any, list]:
    """The value as it may have been meant, and what was changed, as `Coercion`s in JSON."""
    changes: list = []
    return _Coercion(scope, changes).value(value, annotation, path, 0), changes


class _Coercion:
    """Walks a value along its annotation."""

    def __init__(self, scope: hints.Scope, changes: list) -> None:
        self._scope = scope
        self._changes = changes

    def value(self, value: typing.Any, annotation: typing.Any, path: str, depth: int) -> typing.Any:
        """The value, changed where that is called for."""
        if depth > _DEEPEST or self._is_right(value, annotation):
            return value
        members = _members(annotation, self._scope)
        if isinstance(value, str):
            made, how = _from_text(value, members)
        elif type(value) is float and int in members and float not in members:
            made, how = (int(value), "a whole number") if value.is_integer() else _NOTHING
        else:
            made, how = _NOTHING
        if how:
            change = {"path": path, "how": how, "value": shown(value), "became": shown(made)}
            self._changes.append(change)
            value = made
        for member in members:
            if isinstance(value, (list, dict)) and self._fits(value, member):
                return self._inside(value, member, path, depth + 1)
        return value

    def _is_right(self, value: typing.Any, annotation: typing.Any) -> bool:
        converter = convert.compile(annotation, self._scope)
        made = value if converter is None else converter(value)
        return typecheck.compile(annotation, self._scope).accepts(made)

    def _fits(self, value: typing.Any, member: typing.Any) -> bool:
        kind = forms.origin_of(member) or member
        if not isinstance(kind, type):
            return False
        if isinstance(value, dict):
            return _is_object(kind)
        return _is_list(kind)

    def _inside(self, value: typing.Any, member: typing.Any, path: str, depth: int) -> typing.Any:
        kind: typing.Any = forms.origin_of(member) or member
        args = forms.args_of(member)
        if isinstance(value, dict):
            if forms.is_record(kind):
                inner = _Coercion(self._scope.of(kind), self._changes)
                known = {one.key: one.hint for one in records.fields_of(member)}
                return {
                    k: inner.value(v, known[k], "%s.%s" % (path, k), depth) if k in known else v
                    for k, v in value.items()
                }
            if len(args) != 2:
                return value
            return {
                k: self.value(v, args[1], "%s[%s]" % (path, shown(k)), depth)
                for k, v in value.items()
            }
        if kind is tuple and not (len(args) == 2 and args[1] is Ellipsis):
            hinted: typing.Iterable = args if len(args) == len(value) else ()
        else:
            hinted = [args[0]] * len(value) if args else ()
        pairs = list(zip(value, hinted))
        if len(pairs) != len(value):
            return value
        return [self.value(v, a, "%s[%d]" % (path, i), depth) for i, (v, a) in enumerate(pairs)]


def _members(annotation: typing.Any, scope: hints.Scope) -> list:
    """The members of a union, or the one type, without what surrounds them."""
    for _ in range(_DEEPEST):
        if forms.is_reference(annotation):
            annotation = scope.look_up(annotation)
        below = forms.layer(annotation)
        if below is annotation:
            break
        annotation = below
    if not forms.is_union(annotation):
        return [annotation]
    return [one for member in forms.args_of(annotation) for one in _members(member, scope)]


def _is_object(kind: type) -> bool:
    return forms.is_record(kind) or issubclass(kind, _abc.Mapping) or hasattr(kind, "__fields__")


def _is_list(kind: type) -> bool:
    is_items = issubclass(kind, (_abc.Iterable, _abc.Container)) or hasattr(kind, "__array__")
    is_text = issubclass(kind, str) or scalars.is_single(kind)
    return is_items and not is_text and not _is_object(kind)


def _is_text(member: typing.Any) -> bool:
    """Whether any text is meant as it is, or one of a set of texts."""
    kind = forms.origin_of(member) or member
    if forms.name_of(kind) == "Literal":
        return any(isinstance(value, str) for value in forms.args_of(member))
    return isinstance(kind, type) and issubclass(kind, str)


def _from_text(text: str, members: list) -> tuple:
    if any(map(_is_text, members)):
        return _NOTHING
    kinds = [forms.origin_of(one) or one for one in members]
    if type(None) in kinds and text.strip() in ("None", "null"):
        return None, "null"
    if int in kinds and re.fullmatch(_WHOLE, text):
        return int(text), "a number"
    is_number = re.fullmatch(_NUMBER, text) and abs(float(text)) < _INFINITY
    if (float in kinds or complex in kinds) and is_number:
        return float(text), "a number"
    if bool in kinds and text.strip().lower() in _TRUTHS:
        return _TRUTHS[text.strip().lower()], "a truth value"
    return _from_json(text, kinds)


def _from_json(text: str, kinds: list) -> tuple:
    if text.lstrip()[:1] not in ("{", "["):
        return _NOTHING
    try:
        made = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_object
        )
    except (ValueError, RecursionError):
        return _NOTHING
    wanted = _is_object if isinstance(made, dict) else _is_list
    if any(isinstance(kind, type) and wanted(kind) for kind in kinds):
        return made, "JSON text"
    return _NOTHING


def _object(pairs: list) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if value in (_INFINITY, -_INFINITY):
        raise ValueError(text)
    return value


def _no_constant(name: str) -> typing.Any:
    raise ValueError(name)
