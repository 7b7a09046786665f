"""One YAML document of which every value knows its line and column.

Rules of this file:

1. Only what JSON can say is a value. Dates and binary stay the text that was written: the guest
   converts text by the annotation.
2. A key that is there twice is an error, and so is a key that is no text.
3. An alias may not multiply a document: what is read through aliases is counted and bounded.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Self

import yaml
from yaml.constructor import SafeConstructor

from orq_runtime.errors import BadDocument

__all__ = ["Document"]

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_TEXTS = frozenset(_TAG + kind for kind in ("str", "timestamp", "binary", "value"))
_NODE_COST = 16
_ALIAS_BUDGET = 4 * 1024 * 1024
_TOO_DEEP = "it is nested too deeply"


class Document:
    """A parsed document: its `root` node, and readers of nodes that raise `BadDocument`."""

    def __init__(self, root: yaml.Node, name: str) -> None:
        self.root = root
        self.name = name
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._spent = 0

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """The one document in the bytes. Raises `BadDocument` with `name`, line and column."""
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            place = _place(content[: error.start].decode("utf-8"))
            raise BadDocument(f"{name}:{place}: not UTF-8 text: {error.reason}") from error
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
            reason = ": ".join(part for part in (error.context, error.problem) if part)
            raise BadDocument(f"{name}:{place}: {reason}") from error
        except yaml.reader.ReaderError as error:
            place = _place(text[: error.position])
            raise BadDocument(f"{name}:{place}: {error.reason}") from error
        except RecursionError:
            raise BadDocument(f"{name}:1:1: {_TOO_DEEP}") from None  # a thousand lines of it
        if root is None:
            raise BadDocument(f"{name}:1:1: the document is empty")
        return cls(root, name)

    def error(self, node: yaml.Node, message: str, *, hint: str | None = None) -> BadDocument:
        """The error at a node's place, for the caller to raise."""
        return BadDocument(f"{self.place(node)}: {message}", hint=hint)

    def place(self, node: yaml.Node) -> str:
        """`file:line:column` of a node."""
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def is_null(self, node: yaml.Node) -> bool:
        """Whether a value was left out or is null."""
        return node.tag == _TAG + "null"

    def mapping(self, node: yaml.Node, what: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key and value nodes by key. `what` names the thing in the error."""
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"{what} is a mapping, not {_kind(node)}")
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    with self._visit(source):
                        merged = {**self.mapping(source, "a merged value"), **merged}
            elif not isinstance(key, yaml.ScalarNode) or key.tag not in _TEXTS:
                raise self.error(key, f"a key is text, not {_kind(key)}", hint="put it in quotes")
            elif key.value in own:
                raise self.error(key, f"the key `{key.value}` is there twice")
            else:
                own[key.value] = (key, value)
        return {**merged, **own}

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """The nodes of a list."""
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, f"{what} is a list, not {_kind(node)}")
        return list(node.value)

    def text(self, node: yaml.Node, what: str) -> str:
        """A text that is not empty."""
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _TEXTS:
            raise self.error(node, f"{what} is text, not {_kind(node)}")
        if not node.value:
            raise self.error(node, f"{what} is empty")
        return str(node.value)

    def value(self, node: yaml.Node) -> object:
        """The value of a node, as JSON could say it."""
        try:
            return self._value(node)
        except RecursionError:
            raise self.error(node, _TOO_DEEP) from None  # a thousand lines of it

    def plain_mapping(self, node: yaml.Node) -> dict[str, object]:
        """The values of a mapping by key."""
        entries = self.mapping(node, "the document")
        return {key: self.value(value) for key, (_, value) in entries.items()}

    def _value(self, node: yaml.Node) -> object:
        with self._visit(node):
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                entries = self.mapping(node, "this")
                return {key: self._value(value) for key, (_, value) in entries.items()}
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return [self._value(item) for item in node.value]
            if isinstance(node, yaml.ScalarNode):
                return self._scalar(node)
            raise self.error(node, f"no value has the tag `{node.tag}`")

    def _scalar(self, node: yaml.ScalarNode) -> object:
        if node.tag in _TEXTS:
            return node.value
        read = _READERS.get(node.tag)
        if read is None:
            raise self.error(node, f"no value has the tag `{node.tag}`")
        try:
            value = read(node)
        except (ValueError, KeyError, yaml.YAMLError):
            kind = node.tag.removeprefix(_TAG)
            raise self.error(node, f"not of type {kind}: `{node.value[:80]}`") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(node, f"not a finite number: `{node.value[:80]}`")
        return value

    @contextlib.contextmanager
    def _visit(self, node: yaml.Node) -> Iterator[None]:
        """Refuse a value that holds itself, and count what is read again through an alias."""
        if id(node) in self._open:
            raise self.error(node, "this value holds itself")
        if id(node) in self._seen:
            self._spent += _NODE_COST + (
                len(node.value) if isinstance(node, yaml.ScalarNode) else 0
            )
            if self._spent > _ALIAS_BUDGET:
                raise self.error(node, "aliases make this document too large")
        self._seen.add(id(node))
        self._open.add(id(node))
        try:
            yield
        finally:
            self._open.discard(id(node))


def _nothing(_: yaml.Node) -> None:
    return None


_CONSTRUCTOR = SafeConstructor()
_READERS = {
    _TAG + "null": _nothing,
    _TAG + "bool": _CONSTRUCTOR.construct_yaml_bool,
    _TAG + "int": _CONSTRUCTOR.construct_yaml_int,
    _TAG + "float": _CONSTRUCTOR.construct_yaml_float,
}


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if node.tag == _TAG + "null":
        return "null"
    return f"{node.tag.removeprefix(_TAG)}: `{str(node.value)[:80]}`"


def _place(before: str) -> str:
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
