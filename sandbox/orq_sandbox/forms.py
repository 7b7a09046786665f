"""What an annotation is: its bare form, its origin and arguments, and how to write it down.

Forms are recognised by what they are, not by the module that made them: a step may use `typing`, an
old or a new `typing_extensions`, or both at once.
"""

from __future__ import annotations

import re
import sys
import typing

__all__ = [
    "args_of",
    "bare",
    "field_hints",
    "is_named_tuple",
    "is_optional",
    "is_typed_dict",
    "is_union",
    "name_of",
    "origin_of",
    "required_keys",
    "shown_type",
]

_UNION_TYPES = tuple(
    kind for kind in (typing.Union, getattr(sys.modules["types"], "UnionType", None)) if kind
)
_ANYTHING: typing.Any = typing.Any
_QUALIFIERS = ("Required", "NotRequired", "ReadOnly", "Final")
_MODULES = re.compile(r"\b(?:typing|typing_extensions|collections\.abc|collections|builtins)\.")
_CLASS = re.compile(r"<class '([^']*)'>")


def name_of(form: object) -> str:
    """The plain name of a special form or class: `Literal`, `Union`, `list`."""
    return getattr(form, "_name", None) or getattr(form, "__name__", None) or ""


def bare(annotation: typing.Any) -> typing.Any:
    """The annotation without aliases, NewTypes, Annotated and TypedDict qualifiers around it."""
    while True:
        if annotation is None:
            return type(None)
        kind = type(annotation).__name__
        if hasattr(annotation, "__metadata__"):  # Annotated[T, ...]
            annotation = annotation.__origin__
        elif hasattr(annotation, "__supertype__"):  # NewType
            annotation = annotation.__supertype__
        elif kind == "TypeAliasType":
            annotation = annotation.__value__
        elif kind == "TypeVar":
            bound, choices = annotation.__bound__, annotation.__constraints__
            annotation = typing.Union[choices] if choices else bound or _ANYTHING
        elif name_of(origin_of(annotation)) in _QUALIFIERS:
            annotation = args_of(annotation)[0]
        else:
            return annotation


def origin_of(annotation: object) -> object:
    """The generic behind a subscripted annotation, or None."""
    return typing.get_origin(annotation) or getattr(annotation, "__origin__", None)


def args_of(annotation: object) -> tuple:
    """The arguments of a subscripted annotation."""
    return typing.get_args(annotation) or tuple(getattr(annotation, "__args__", None) or ())


def is_union(annotation: object) -> bool:
    """Whether it is `Union[...]`, `Optional[...]` or `A | B`."""
    origin = origin_of(annotation)
    return origin in _UNION_TYPES or type(annotation) in _UNION_TYPES


def is_optional(annotation: object) -> bool:
    """Whether None is of this type."""
    annotation = bare(annotation)
    if annotation in (typing.Any, object, type(None)):
        return True
    return is_union(annotation) and any(is_optional(member) for member in args_of(annotation))


def is_typed_dict(annotation: object) -> bool:
    """Whether it is a class made by any TypedDict."""
    return (
        isinstance(annotation, type)
        and dict in annotation.__mro__
        and hasattr(annotation, "__total__")
    )


def is_named_tuple(annotation: object) -> bool:
    """Whether it is a class made by NamedTuple or namedtuple."""
    return (
        isinstance(annotation, type)
        and tuple in annotation.__mro__
        and hasattr(annotation, "_fields")
    )


def required_keys(annotation: typing.Any) -> frozenset:
    """The keys a TypedDict must have."""
    declared = getattr(annotation, "__required_keys__", None)
    if declared is not None:
        return frozenset(declared)
    return frozenset(field_hints(annotation)) if annotation.__total__ else frozenset()


def field_hints(annotation: typing.Any) -> dict:
    """The resolved annotations of a class's fields. Raises NameError where one has no meaning."""
    # what surrounds a type in Annotated is not looked at, so 3.8 without `include_extras` will do;
    # Required and NotRequired are read from the class itself
    return typing.get_type_hints(annotation)


def shown_type(annotation: object) -> str:
    """The annotation as its author would write it, near enough to recognise."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not args_of(annotation):
        return annotation.__qualname__.rpartition("<locals>.")[2]
    text = _CLASS.sub(r"\1", _MODULES.sub("", repr(annotation)))
    return text.replace("NoneType", "None")
