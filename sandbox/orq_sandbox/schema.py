"""A function described: JSON Schema of what it takes and of what it gives back.

Rules of this file:

1. It says what the conversion table does (docs/types.md): `taken` is what a value may come as,
   `given` how it goes out. They differ where a type is read from more than it is written as.
2. What the schema cannot say it leaves open, with the type in the description: a value that the
   schema refuses is refused by the call, and not the other way round.
3. Classes with fields are definitions of their own, so that they may hold themselves.
"""

from __future__ import annotations

import collections
import collections.abc
import inspect
import sys
import typing

from orq_sandbox import docstring, encode, forms, hints, models, records, shapes
from orq_sandbox.failure import Refusal, clip

__all__ = ["described"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEEPEST = 40
_ANYTHING: typing.Any = typing.Any
_LIST: typing.Any = typing.List
_OPTIONAL: typing.Any = typing.Optional
_MISSING = inspect.Parameter.empty
_NUMBER = {"type": "number"}
_PAIR = {"type": "array", "prefixItems": [_NUMBER, _NUMBER], "minItems": 2, "maxItems": 2}
_WHOLE_TEXT = "^-?[0-9]+$"
_LONGEST_DEFAULT = 4096

Schema = typing.Dict[str, typing.Any]


def described(
    function: typing.Callable,
    annotations: typing.Mapping[str, typing.Any],
    scope: hints.Scope,
    json: typing.Any,
) -> Schema:
    """`name`, `description`, and the schemas of `inputs` and `output`.

    `annotations` are those of the function by parameter and `return`; `scope` knows their names.
    """
    text, about = docstring.parts(inspect.getdoc(function) or "")
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    given = _Side(scope, json, is_taken=False)
    return {
        "name": clip(name.rpartition("<locals>.")[2]),
        "description": clip(text),
        "inputs": _inputs(function, annotations, about, _Side(scope, json, is_taken=True)),
        "output": given.finished(given.of(annotations.get("return", _ANYTHING))),
    }


def _inputs(
    function: typing.Callable,
    annotations: typing.Mapping[str, typing.Any],
    about: typing.Mapping[str, str],
    side: _Side,
) -> Schema:
    properties: Schema = {}
    required: typing.List[str] = []
    others: typing.Any = False
    for name, one in inspect.signature(function).parameters.items():
        hint = annotations.get(name, _ANYTHING)
        if one.kind is one.VAR_KEYWORD and forms.is_unpacked(hint):
            for field in records.fields_of(forms.args_of(hint)[0]):
                properties[field.key] = side.of(field.hint)
                required += [field.key] * field.is_required
            continue
        if one.kind is one.VAR_KEYWORD:
            others = side.of(hint)
            continue
        if one.default is None and not forms.is_optional(hint):
            hint = _OPTIONAL[hint]
        if one.kind is one.VAR_POSITIONAL:
            is_tuple = forms.is_unpacked(hint)
            hint = forms.tuple_of_unpacked(hint) if is_tuple else _LIST[hint]
        schema = side.of(hint)
        if name in about:
            schema = dict(schema, description=clip(about[name]))
        if one.default is not _MISSING:
            schema = side.with_default(schema, one.default)
        elif one.kind is not one.VAR_POSITIONAL:
            required.append(name)
        properties[name] = schema
    made = {"type": "object", "properties": properties, "required": required}
    return side.finished(dict(made, additionalProperties=others))


class _Side:
    """Schemas for one direction, with the definitions that they share."""

    def __init__(self, scope: hints.Scope, json: typing.Any, *, is_taken: bool) -> None:
        self._is_taken = is_taken
        self._scope = scope
        self._json = json
        self._definitions: Schema = {}
        self._names: dict = {}
        self._depth = 0

    def finished(self, schema: Schema) -> Schema:
        made = dict({"$schema": _DIALECT}, **schema)
        if self._definitions:
            made["$defs"] = self._definitions
        return made

    def with_default(self, schema: Schema, default: typing.Any) -> Schema:
        """The schema with a default, where that has a form in JSON, and a short one."""
        try:
            document = encode.encode(self._json, default)
        except Refusal:
            return schema
        if len(document) > _LONGEST_DEFAULT:
            return schema
        return dict(schema, default=encode.decode(self._json, document))

    def of(self, annotation: typing.Any) -> Schema:
        """The schema of an annotation."""
        self._depth += 1
        try:
            return {} if self._depth > _DEEPEST else self._layered(annotation)
        finally:
            self._depth -= 1

    def _layered(self, annotation: typing.Any) -> Schema:
        if forms.is_reference(annotation):
            name = str(getattr(annotation, "__forward_arg__", annotation))
            return self._defined(name, name, lambda: self.of(self._scope.look_up(annotation)))
        if forms.is_alias(annotation):
            name = forms.shown_type(annotation)
            return self._defined(repr(annotation), name, lambda: self.of(forms.layer(annotation)))
        below = forms.layer(annotation)
        if below is not annotation:
            notes = getattr(annotation, "__metadata__", ())
            return shapes.bounded(self.of(below), notes)
        origin = forms.name_of(forms.origin_of(annotation))
        if origin in shapes.LATER and not self._is_taken:
            args = forms.args_of(annotation)
            if origin in shapes.STREAMS:
                return {"type": "array", "items": self.of(args[0] if args else _ANYTHING)}
            return self.of(args[-1] if args else _ANYTHING)
        return self._plain(annotation)

    def _defined(self, key: str, wished: str, make: typing.Callable[[], Schema]) -> Schema:
        """A reference to a definition, which is made when it is not there."""
        name = self._names.get(key)
        if name is None:
            wished = "".join(c if c.isalnum() or c in "_-" else "_" for c in clip(wished, 100))
            name, number = wished, 2
            while name in self._definitions:
                name, number = "%s_%d" % (wished, number), number + 1
            self._names[key] = name
            self._definitions[name] = {}
            self._definitions[name] = make()
        return {"$ref": "#/$defs/" + name}

    def _plain(self, annotation: typing.Any) -> Schema:
        if forms.is_union(annotation):
            return self._union(forms.args_of(annotation))
        origin, args = forms.origin_of(annotation), forms.args_of(annotation)
        if forms.name_of(origin) == "Literal":
            return {"enum": [self._value(one) for one in args]}
        if annotation is typing.Any or annotation is object:
            return {}
        kind = origin if isinstance(origin, type) else annotation
        if not isinstance(kind, type):
            return shapes.left_open(annotation)
        return self._class(kind, args, annotation)

    def _union(self, members: tuple) -> Schema:
        found: typing.List[Schema] = []
        for member in members:
            schema = self.of(member)
            if schema == {}:
                return {}
            if schema not in found:
                found.append(schema)
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _value(self, value: typing.Any) -> typing.Any:
        """A member of an Enum or a Literal as it is in JSON."""
        try:
            return encode.decode(self._json, encode.encode(self._json, value))
        except Refusal:
            return repr(value)

    def _class(self, kind: typing.Any, args: tuple, annotation: typing.Any) -> Schema:
        if kind in shapes.SIMPLE:
            return dict(shapes.SIMPLE[kind])
        if kind is complex:
            return {"anyOf": [_PAIR, _NUMBER]}  # a number is of this type, and stays one
        enum = sys.modules.get("enum")
        if enum is not None and issubclass(kind, enum.Enum):
            return self._enum(kind, issubclass(kind, enum.Flag))
        of_library = shapes.of_library(kind, is_taken=self._is_taken)
        if of_library is not None:
            return of_library
        if models.is_model(kind):
            name = kind.__qualname__
            return self._defined("model %s %d" % (name, id(kind)), name, lambda: self._model(kind))
        if forms.is_record(kind):
            key = "%s %d" % (forms.shown_type(annotation), id(kind))
            name = "_".join([kind.__qualname__.rpartition(".")[2], *map(forms.shown_type, args)])
            return self._defined(key, name, lambda: self._record(kind, annotation))
        return self._collection(kind, args, annotation)

    def _enum(self, kind: typing.Any, is_flag: bool) -> Schema:
        if is_flag:
            return {"type": "integer", "description": clip(kind.__qualname__)}
        return {"enum": [self._value(member.value) for member in kind]}

    def _collection(self, kind: type, args: tuple, annotation: typing.Any) -> Schema:
        if kind is tuple:
            return self._tuple(args, annotation)
        if issubclass(kind, collections.abc.Mapping):
            return self._mapping(kind, args)
        if hasattr(kind, "__array__"):
            return {"type": "array", "description": forms.shown_type(annotation)}
        if issubclass(kind, collections.abc.Iterable) and not issubclass(kind, (str, bytes)):
            made: Schema = {"type": "array"}
            if len(args) == 1:
                made["items"] = self.of(args[0])
            if issubclass(kind, collections.abc.Set) and not self._is_taken:
                made["uniqueItems"] = True
            return made
        return shapes.left_open(annotation)

    def _tuple(self, args: tuple, annotation: typing.Any) -> Schema:
        if len(args) == 2 and args[1] is Ellipsis:
            return {"type": "array", "items": self.of(args[0])}
        if annotation is tuple or annotation is typing.Tuple:
            return {"type": "array"}
        open_at = next((n for n, arg in enumerate(args) if forms.is_unpacked(arg)), None)
        places = [self.of(arg) for arg in args[:open_at] if arg != ()]
        made: Schema = {"type": "array", "prefixItems": places} if places else {"type": "array"}
        if open_at is None:
            return dict(made, minItems=len(places), maxItems=len(places))
        made["minItems"] = len(args) - 1
        if open_at == len(args) - 1:
            made["items"] = self.of(forms.item_of_unpacked(args[open_at]))
        return made

    def _mapping(self, kind: type, args: tuple) -> Schema:
        made: Schema = {"type": "object"}
        if args and issubclass(kind, collections.Counter):
            made["additionalProperties"] = {"type": "integer"}
        elif len(args) == 2:
            made["additionalProperties"] = self.of(args[1])
        key = self.of(args[0]) if args else {}
        if key.get("type") == "integer":
            made["propertyNames"] = {"pattern": _WHOLE_TEXT}
        elif "enum" in key:
            made["propertyNames"] = {"enum": [str(one) for one in key["enum"]]}
        return made

    # -- classes with fields -------------------------------------------------------------------

    def _record(self, kind: typing.Any, annotation: typing.Any) -> Schema:
        outer, self._scope = self._scope, self._scope.of(kind)
        try:
            return self._fields(kind, annotation)
        finally:
            self._scope = outer

    def _fields(self, kind: typing.Any, annotation: typing.Any) -> Schema:
        defaults = shapes.defaults_of(kind) if self._is_taken else {}
        is_tuple = forms.is_named_tuple(kind)
        properties: Schema = {}
        required: typing.List[str] = []
        for one in records.fields_of(annotation):
            if not (one.is_given if self._is_taken else one.attribute or forms.is_typed_dict(kind)):
                continue
            schema = {} if one.is_free and self._is_taken else self.of(one.hint)
            if one.key in defaults:
                schema = self.with_default(schema, defaults[one.key])
            properties[one.key] = schema
            if one.is_required or (not self._is_taken and not forms.is_typed_dict(kind)):
                required.append(one.key)
        made: Schema = {
            "type": "object",
            "title": clip(kind.__qualname__.rpartition("<locals>.")[2]),
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
        text = shapes.own_docstring(kind)
        if text:
            made["description"] = clip(text)
        if not is_tuple:
            return made
        listed: Schema = {"type": "array", "minItems": len(required), "maxItems": len(properties)}
        if properties:
            listed["prefixItems"] = list(properties.values())
        return {"anyOf": [listed, made]} if self._is_taken else listed

    def _model(self, kind: typing.Any) -> Schema:
        """What pydantic says of its model, of either version."""
        try:
            if hasattr(kind, "model_json_schema"):
                mode = "validation" if self._is_taken else "serialization"
                made = dict(kind.model_json_schema(mode=mode, ref_template="#/$defs/{model}"))
            else:
                made = dict(kind.schema(ref_template="#/$defs/{model}"))
        except Exception:  # the step's own code runs here
            return shapes.left_open(kind)
        for key in ("$defs", "definitions"):
            for inner, schema in made.pop(key, {}).items():
                self._definitions.setdefault(inner, schema)
        return made
