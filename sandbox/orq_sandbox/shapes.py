"""What classes and notes say about themselves, for the schema of a function.

Nothing is imported to recognise a class: it can only be one of a module that is loaded.
"""

from __future__ import annotations

import inspect
import sys
import typing

from orq_sandbox import forms
from orq_sandbox.failure import clip

__all__ = [
    "LATER",
    "SIMPLE",
    "STREAMS",
    "bounded",
    "defaults_of",
    "left_open",
    "of_library",
    "own_docstring",
]

Schema = typing.Dict[str, typing.Any]

STREAMS = ("Iterator", "Generator", "AsyncIterator", "AsyncGenerator", "AsyncIterable")
LATER = (*STREAMS, "Awaitable", "Coroutine")
"""What a function gives by and by: it is collected, and goes out as what it was made of."""

_BASE64 = {"type": "string", "contentEncoding": "base64"}
SIMPLE: typing.Dict[typing.Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: _BASE64,
    bytearray: _BASE64,
    memoryview: _BASE64,
    type(None): {"type": "null"},
}
_COLUMNS = {"type": "object", "additionalProperties": {"type": "array"}}
_LIBRARY = (
    ("datetime", "datetime", {"type": "string", "format": "date-time"}),
    ("datetime", "date", {"type": "string", "format": "date"}),
    ("datetime", "time", {"type": "string", "format": "time"}),
    ("datetime", "timedelta", {"type": "string", "format": "duration"}),
    ("uuid", "UUID", {"type": "string", "format": "uuid"}),
    ("pathlib", "PurePath", {"type": "string"}),
    ("decimal", "Decimal", {"type": "string"}),
    ("pandas", "DataFrame", _COLUMNS),
    ("pyarrow", "Table", _COLUMNS),
    ("pandas", "Series", {"type": "array"}),
)
# what annotated-types and its like say, and the word for it by the type of the value
_BOUNDS = (
    ("gt", "exclusiveMinimum", ()),
    ("ge", "minimum", ()),
    ("lt", "exclusiveMaximum", ()),
    ("le", "maximum", ()),
    ("multiple_of", "multipleOf", ()),
    ("min_length", "min", ("string", "array", "object")),
    ("max_length", "max", ("string", "array", "object")),
)
_LENGTHS = {"string": "Length", "array": "Items", "object": "Properties"}
_NESTED = 8


def left_open(annotation: object) -> Schema:
    """For what JSON Schema cannot say: any value, and the type in words."""
    return {"description": clip(forms.shown_type(annotation))}


def of_library(kind: type, *, is_taken: bool) -> typing.Optional[Schema]:
    """The schema of a library's class that has a form of its own in JSON."""
    for module, name, schema in _LIBRARY:
        base = getattr(sys.modules.get(module), name, None)
        if base is not None and issubclass(kind, base):
            is_number = name == "Decimal" and is_taken
            return {"type": ["string", "integer"]} if is_number else dict(schema)
    return None


def defaults_of(kind: typing.Any) -> typing.Dict[str, typing.Any]:
    """The plain defaults of a class's fields, by the names that they are given by."""
    if forms.is_named_tuple(kind):
        return dict(getattr(kind, "_field_defaults", {}))
    if hasattr(kind, "__dataclass_fields__"):
        missing = sys.modules["dataclasses"].MISSING
        fields = kind.__dataclass_fields__.values()
        return {one.name: one.default for one in fields if one.default is not missing}
    if hasattr(kind, "__attrs_attrs__"):
        nothing = sys.modules["attr"].NOTHING
        return {
            getattr(one, "alias", None) or one.name.lstrip("_"): one.default
            for one in kind.__attrs_attrs__
            if one.default is not nothing and not hasattr(one.default, "factory")
        }
    return {}


def own_docstring(kind: typing.Any) -> str:
    """A class's docstring, unless a decorator made it."""
    text = vars(kind).get("__doc__") or ""
    if not isinstance(text, str) or text.startswith(kind.__name__ + "("):
        return ""
    return inspect.cleandoc(text)


def bounded(schema: Schema, notes: typing.Iterable[typing.Any], depth: int = 0) -> Schema:
    """The schema with what the notes of an `Annotated` say about the value."""
    for note in notes:
        if isinstance(note, (str, bytes, type)) or depth > _NESTED:
            continue
        said: Schema = {}
        inner = _inner(note)
        if inner is not None:
            schema = bounded(schema, inner, depth + 1)
        else:
            said = _of_note(note, schema)
        text = getattr(note, "documentation", None) or getattr(note, "description", None)
        if isinstance(text, str):
            said["description"] = clip(text)
        if said:
            schema = dict(schema, **said)
    return schema


def _inner(note: typing.Any) -> typing.Optional[list]:
    """The notes that a note stands for: those of pydantic's Field, and of a group."""
    metadata = getattr(note, "metadata", None)
    if isinstance(metadata, list) and hasattr(note, "annotation"):
        return metadata
    if getattr(note, "__is_annotated_types_grouped_metadata__", False):
        try:
            return list(note)
        except Exception:  # the step's code runs here
            return []
    return None


def _of_note(note: typing.Any, schema: Schema) -> Schema:
    said: Schema = {}
    for name, word, sorts in _BOUNDS:
        bound = getattr(note, name, None)
        if not isinstance(bound, (int, float)) or isinstance(bound, bool):
            continue
        if not sorts:
            said[word] = bound
        elif schema.get("type") in sorts:
            said[word + _LENGTHS[schema["type"]]] = bound
    pattern = getattr(note, "pattern", None)
    if isinstance(pattern, str):
        said["pattern"] = pattern
    return said
