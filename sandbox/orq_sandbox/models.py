"""pydantic models, for steps whose environment has pydantic, of the first version or the second.

The second version checks by itself, in its strict JSON mode: nothing is coerced that the model does
not coerce on purpose. The first one has no such mode, so its fields are checked here before it sees
them, but for those whose own validators want what came. Keys that the model does not know are its
own to judge (`extra`). What a model holds is written as pydantic writes it, by alias.
"""

from __future__ import annotations

import json
import typing
import warnings

from orq_sandbox import hints
from orq_sandbox.mismatch import Unmade

__all__ = ["converter", "is_model", "plain"]

Converter = typing.Callable[[typing.Any], typing.Any]


_LISTS = (list, tuple, set, frozenset)


def is_model(kind: object) -> bool:
    """Whether it is a model class of any pydantic."""
    return isinstance(kind, type) and (_is_second(kind) or _is_first(kind))


def _is_second(kind: type) -> bool:
    return hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_validate_json")


def _is_first(kind: type) -> bool:
    return hasattr(kind, "__validators__") and hasattr(kind, "parse_obj")


def converter(
    _annotation: typing.Any,
    kind: typing.Any,
    scope: hints.Scope,
    convert: typing.Callable,
    check: typing.Callable,
) -> typing.Optional[Converter]:
    """The converter of a model class; `convert` and `check` compile those of its fields."""
    if _is_second(kind):
        return lambda value: _by_second(kind, value, allow_nan=scope.allow_nan)
    if not _is_first(kind):
        return None
    parts: dict = {}

    def resolve() -> dict:  # late: a model may hold itself
        if not parts:
            parts.update(_parts(kind, scope.of(kind), convert, check))
        return parts

    return lambda value: _by_first(kind, value, resolve())


def _by_second(kind: typing.Any, value: typing.Any, *, allow_nan: bool) -> typing.Any:
    if isinstance(value, kind):
        return value
    try:
        return kind.model_validate_json(json.dumps(value, allow_nan=allow_nan), strict=True)
    except Exception as error:  # pydantic's own, or one of the step's validators
        return _unmade(value, error)


def _unmade(value: typing.Any, error: Exception) -> Unmade:
    listed = getattr(error, "errors", None)
    if not callable(listed):
        return Unmade(value, "%s: %s" % (type(error).__name__, error))
    problems = []
    for one in typing.cast("list", listed())[:20]:
        below = "".join(
            "[%d]" % part if isinstance(part, int) else ".%s" % part for part in one["loc"]
        )
        problems.append((below, one["msg"], one.get("input", _at(value, one["loc"]))))
    return Unmade(value, str(error), tuple(problems))


def _at(value: typing.Any, place: tuple) -> typing.Any:
    for part in place:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return value
    return value


def _parts(
    kind: typing.Any, scope: hints.Scope, convert: typing.Callable, check: typing.Callable
) -> dict:
    found = hints.of_class(kind)
    parts = {}
    for name, field in kind.__fields__.items():
        wants_raw = bool(field.pre_validators) or any(
            one.pre for one in (field.class_validators or {}).values()
        )
        if wants_raw or name not in found:
            continue
        hint = found[name]
        if field.allow_none:
            hint = typing.Optional[hint]
        part = convert(hint, scope), check(hint, scope)
        parts[name] = parts[field.alias] = part
    return parts


def _by_first(kind: typing.Any, value: typing.Any, parts: dict) -> typing.Any:
    if type(value) is not dict:
        return value
    made, problems = {}, []
    for name, item in value.items():
        made[name] = item
        if name in parts:
            converter, checker = parts[name]
            made[name] = item if converter is None else converter(item)
            if not checker.accepts(made[name]):
                problems += checker.explain(made[name], "." + name)
    if problems:
        return Unmade(value, "its fields are wrong", tuple(problems))
    try:
        return kind.parse_obj(made)
    except Exception as error:  # pydantic's own, or one of the step's validators
        return _unmade(value, error)


def plain(value: typing.Any) -> typing.Any:
    """What a model holds, as pydantic would write it. Raises ValueError when it cannot.

    What a field was given past all validation is no value of it, which pydantic only warns of.
    """
    if not _is_second(type(value)):
        return json.loads(value.json(by_alias=True))
    missing = [name for name in type(value).model_fields if name not in vars(value)]
    if missing:
        raise ValueError("has no value for its field `%s`" % missing[0])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Pydantic serializer warnings")
        made = value.model_dump(mode="json", by_alias=True)
        return _restored(made, value.model_dump(by_alias=True)) if _holds_null(made) else made


def _holds_null(made: typing.Any) -> bool:
    if isinstance(made, dict):
        return any(map(_holds_null, made.values()))
    return any(map(_holds_null, made)) if isinstance(made, list) else made is None


def _restored(made: typing.Any, held: typing.Any) -> typing.Any:
    """The value with its numbers that are not finite: pydantic writes null for some of them."""
    if made is None:
        return held if isinstance(held, float) else None
    if isinstance(made, dict) and isinstance(held, dict) and len(made) == len(held):
        pairs = zip(made.items(), held.values())
        return {key: _restored(item, other) for (key, item), other in pairs}
    if isinstance(made, list) and isinstance(held, _LISTS) and len(made) == len(held):
        return [_restored(item, other) for item, other in zip(made, held)]
    return made
