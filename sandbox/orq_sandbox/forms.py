"""What an annotation is: its bare form, its origin and arguments, and how to write it down.

Forms are recognised by what they are, not by the module that made them: a step may use `typing`, an
old or a new `typing_extensions`, or both at once.
"""

from __future__ import annotations

import re
import sys
import typing

__all__ = [
    "ANYTHING",
    "args_of",
    "bindings_of",
    "is_alias",
    "is_named_tuple",
    "is_optional",
    "is_record",
    "is_reference",
    "is_typed_dict",
    "is_union",
    "is_unpacked",
    "item_of_unpacked",
    "layer",
    "name_of",
    "origin_of",
    "shown_type",
    "tuple_of_unpacked",
    "with_bindings",
]

_UNION_TYPES = tuple(
    kind for kind in (typing.Union, getattr(sys.modules["types"], "UnionType", None)) if kind
)
ANYTHING: typing.Any = typing.Any
_QUALIFIERS = ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")
_TRUTHS = ("TypeGuard", "TypeIs")
_MODULES = re.compile(r"\b(?:typing|typing_extensions|collections\.abc|collections|builtins)\.")
_CLASS = re.compile(r"<class '([^']*)'>")
_VARIANCE = re.compile(r"(?:^|(?<=[\[ ]))[~+-](?=[A-Za-z_])")  # how type variables are shown
_REFERENCE = re.compile(r"ForwardRef\('([^']*)'[^)]*\)")
_OPTIONAL = re.compile(r"Union\[([^\[\],|]+(?:\[[^\[\]]*\])?), None\]")  # as 3.8 says it


def name_of(form: object) -> str:
    """The plain name of a special form or class: `Literal`, `Union`, `list`."""
    return getattr(form, "_name", None) or getattr(form, "__name__", None) or ""


def layer(annotation: typing.Any) -> typing.Any:
    """What an alias, NewType, TypeVar, Annotated or qualifier stands for; else the annotation.

    One layer at a time. An alias that is recursive stands for something that holds it.
    """
    if annotation is None:
        return type(None)
    if hasattr(annotation, "__metadata__") and hasattr(annotation, "__origin__"):  # Annotated
        return annotation.__origin__
    if hasattr(annotation, "__supertype__"):  # NewType
        return annotation.__supertype__
    kind = type(annotation).__name__
    if kind == "TypeAliasType":
        return annotation.__value__
    if kind == "InitVar":
        return annotation.type
    if kind == "TypeVar":
        choices = annotation.__constraints__
        return typing.Union[choices] if choices else annotation.__bound__ or ANYTHING
    return _special(annotation)


def _special(annotation: typing.Any) -> typing.Any:
    if isinstance(annotation, type):
        return annotation
    origin = origin_of(annotation)
    if origin is None:
        return str if name_of(annotation) == "LiteralString" else annotation
    if type(origin).__name__ == "TypeAliasType":
        names = typing.cast("typing.Any", origin).__type_params__
        return with_bindings(
            typing.cast("typing.Any", origin).__value__, dict(zip(names, args_of(annotation)))
        )
    name = name_of(origin)
    if name in _QUALIFIERS:
        return args_of(annotation)[0]
    return bool if name in _TRUTHS else annotation


def is_alias(annotation: object) -> bool:
    """Whether it is a `type` alias, which may hold itself."""
    return "TypeAliasType" in (type(annotation).__name__, type(origin_of(annotation)).__name__)


def is_unpacked(annotation: object) -> bool:
    """Whether it stands for any number of members: `*tuple[int, ...]`, `*Ts`."""
    return getattr(annotation, "__unpacked__", False) is True or (
        name_of(origin_of(annotation)) == "Unpack"
    )


def item_of_unpacked(annotation: typing.Any) -> typing.Any:
    """The type of each of those members, where it says one."""
    inner = annotation
    if name_of(origin_of(annotation)) == "Unpack":
        inner = args_of(annotation)[0]
    args = args_of(inner)
    return args[0] if len(args) == 2 and args[1] is Ellipsis else ANYTHING


def tuple_of_unpacked(annotation: typing.Any) -> typing.Any:
    """The tuple whose members `*args` are, of `*tuple[int, str]` or `*Ts`."""
    inner = annotation
    if name_of(origin_of(annotation)) == "Unpack":
        inner = args_of(annotation)[0]
    made: typing.Any = typing.Tuple
    return made[args_of(inner) if origin_of(inner) is tuple else (ANYTHING, ...)]


def is_reference(annotation: object) -> bool:
    """Whether it is the name of a type, still to be looked up."""
    return isinstance(annotation, str) or type(annotation).__name__ == "ForwardRef"


def origin_of(annotation: object) -> object:
    """The generic behind a subscripted annotation, or None."""
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return None
    return typing.get_origin(annotation) or getattr(annotation, "__origin__", None)


def args_of(annotation: object) -> tuple:
    """The arguments of a subscripted annotation."""
    return typing.get_args(annotation) or tuple(getattr(annotation, "__args__", None) or ())


def is_union(annotation: object) -> bool:
    """Whether it is `Union[...]`, `Optional[...]` or `A | B`."""
    origin = origin_of(annotation)
    return origin in _UNION_TYPES or type(annotation) in _UNION_TYPES


def is_optional(annotation: object) -> bool:
    """Whether None is of this type, as far as that is seen without looking names up."""
    while True:
        below = layer(annotation)
        if below is annotation or is_alias(annotation):
            break
        annotation = below
    if annotation is ANYTHING or annotation is object or annotation is type(None):
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


def is_record(kind: object) -> bool:
    """Whether it is a class with named fields: dataclass, attrs, NamedTuple or TypedDict."""
    return isinstance(kind, type) and (
        hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or is_named_tuple(kind)
        or is_typed_dict(kind)
    )


def with_bindings(annotation: typing.Any, bindings: dict) -> typing.Any:
    """The annotation with types in place of type variables."""
    if not bindings:
        return annotation
    if type(annotation).__name__ == "TypeVar":
        return bindings.get(annotation, annotation)
    parameters = () if isinstance(annotation, type) else getattr(annotation, "__parameters__", ())
    if not parameters or not any(one in bindings for one in parameters):
        return annotation
    return annotation[tuple(bindings.get(one, one) for one in parameters)]


def bindings_of(annotation: object) -> dict:
    """What the type variables of a generic class and of its bases stand for."""
    kind: typing.Any = origin_of(annotation) or annotation
    names = getattr(kind, "__parameters__", ())
    found = dict(zip(names, args_of(annotation))) if kind is not annotation else {}
    for base in vars(kind).get("__orig_bases__", ()):
        if isinstance(origin_of(base), type) and name_of(origin_of(base)) != "Generic":
            for name, value in bindings_of(base).items():
                found.setdefault(name, with_bindings(value, found))
    return found


def shown_type(annotation: typing.Any) -> str:
    """The annotation as its author would write it, near enough to recognise."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, str):
        return annotation
    if hasattr(annotation, "__supertype__"):
        return annotation.__name__
    if isinstance(annotation, type) and not args_of(annotation):
        return annotation.__qualname__.rpartition("<locals>.")[2]
    text = _VARIANCE.sub("", _CLASS.sub(r"\1", _MODULES.sub("", repr(annotation))))
    text = _REFERENCE.sub(r"\1", text).replace("NoneType", "None")
    return _OPTIONAL.sub(r"Optional[\1]", text)
