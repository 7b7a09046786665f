"""Classes with named fields, described alike: dataclass, attrs, NamedTuple and TypedDict.

A field has a `key` in JSON (the name its class is made with), the `attribute` that holds it, its
annotation, whether it must be given and whether it can be.
"""

from __future__ import annotations

import collections
import sys
import typing

from orq_sandbox import forms, hints

__all__ = ["Field", "fields_of", "held_by", "is_dataclass", "unknown_field"]

Field = collections.namedtuple("Field", "key attribute hint is_required is_given is_free")


def is_dataclass(kind: object) -> bool:
    """Whether it is a class made by any dataclass decorator."""
    return isinstance(kind, type) and hasattr(kind, "__dataclass_fields__")


def fields_of(annotation: typing.Any) -> typing.List[Field]:
    """The fields of a class, or of a generic one with its types given. Raises `Unresolved`."""
    kind = forms.origin_of(annotation) or annotation
    found = hints.of_class(kind)
    bindings = forms.bindings_of(annotation)
    if bindings:
        found = {name: forms.with_bindings(hint, bindings) for name, hint in found.items()}
    if forms.is_typed_dict(kind):
        return _of_typed_dict(kind, found)
    if forms.is_named_tuple(kind):
        return _of_named_tuple(kind, found)
    return _of_attrs(kind, found) if hasattr(kind, "__attrs_attrs__") else _of_class(kind, found)


def _optional(hint: typing.Any, default: object) -> typing.Any:
    if default is None and not forms.is_optional(hint):
        return typing.Optional[hint]  # as for a parameter
    return hint


def _of_class(kind: typing.Any, found: dict) -> list:
    missing = sys.modules["dataclasses"].MISSING
    made = []
    for name, field in kind.__dataclass_fields__.items():
        sort = _sort_of(field)
        if sort == "_FIELD_CLASSVAR":
            continue
        has_default = field.default is not missing or field.default_factory is not missing
        hint = _optional(_known(found, name, field.type), field.default)
        is_passed_on = sort == "_FIELD_INITVAR"  # taken, and not kept
        attribute = "" if is_passed_on else name
        made.append(Field(name, attribute, hint, field.init and not has_default, field.init, False))
    return made


def _sort_of(field: typing.Any) -> str:
    """`_FIELD`, or that it is an InitVar or a ClassVar."""
    return str(getattr(field, "_field_type", "_FIELD"))


def _known(found: dict, name: str, declared: object) -> typing.Any:
    return found.get(name, forms.ANYTHING if declared is None else declared)


def _of_attrs(kind: typing.Any, found: dict) -> list:
    nothing = sys.modules["attr"].NOTHING
    made = []
    for one in kind.__attrs_attrs__:
        key = getattr(one, "alias", None) or one.name.lstrip("_")
        hint = _optional(_known(found, one.name, one.type), one.default)
        is_required = one.init and one.default is nothing
        is_free = one.converter is not None  # it takes what its author's converter takes
        made.append(Field(key, one.name, hint, is_required, one.init, is_free))
    return made


def _of_named_tuple(kind: typing.Any, found: dict) -> list:
    defaults = getattr(kind, "_field_defaults", {})
    return [
        Field(
            name,
            name,
            _optional(found.get(name, forms.ANYTHING), defaults.get(name, ...)),
            name not in defaults,
            True,
            False,
        )
        for name in kind._fields
    ]


def _of_typed_dict(kind: typing.Any, found: dict) -> list:
    required = getattr(kind, "__required_keys__", None)
    made = []
    for name, hint in found.items():
        is_required = kind.__total__ if required is None else name in required
        # a class whose annotations are text has not seen what they say
        said = _said_of_presence(hint)
        made.append(Field(name, "", hint, is_required if said is None else said, True, False))
    return made


def _said_of_presence(hint: typing.Any) -> typing.Optional[bool]:
    while True:
        name: str = forms.name_of(forms.origin_of(hint))
        if name in ("Required", "NotRequired"):
            return name == "Required"
        if name != "ReadOnly" and not hasattr(hint, "__metadata__"):
            return None
        hint = forms.layer(hint)


def held_by(value: typing.Any) -> typing.Optional[dict]:
    """What a dataclass or attrs object holds, by key; None for any other value."""
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        names = [
            (name, name)
            for name, field in kind.__dataclass_fields__.items()
            if _sort_of(field) == "_FIELD"
        ]
    elif hasattr(kind, "__attrs_attrs__"):
        names = [
            (getattr(one, "alias", None) or one.name.lstrip("_"), one.name)
            for one in kind.__attrs_attrs__
        ]
    else:
        return None
    return {key: getattr(value, name) for key, name in names if hasattr(value, name)}


def unknown_field(kind: type, name: str) -> str:
    """Why a key is refused."""
    if name in getattr(kind, "__dataclass_fields__", ()):
        return "this field cannot be given"
    return "unknown key"
