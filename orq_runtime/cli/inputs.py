"""Inputs from the command line: `-i NAME=TEXT|NAME:=JSON|NAME@=PATH`, `--inputs FILE|-`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from orq_runtime.cli import jsontext
from orq_runtime.errors import BadDocument, RequestError
from orq_runtime.model.artifact import Artifact

__all__ = ["read_inputs"]

_YAML = (".yaml", ".yml")


def read_inputs(given: Iterable[tuple[str, str]], *, allow_nan: bool = False) -> dict[str, object]:
    """The inputs, of which a later one wins over an earlier one of the same name.

    Raises `RequestError` naming the input, or `BadDocument` naming the file.
    """
    inputs: dict[str, object] = {}
    for kind, text in given:
        inputs.update(_READERS[kind](text, allow_nan))
    return inputs


def _artifact(text: str, _allow_nan: bool) -> dict[str, object]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise RequestError(f"not an artifact: `{text}`", hint="write --artifact NAME=PATH")
    return {name: Artifact(path)}


def _one(text: str, allow_nan: bool) -> dict[str, object]:
    name, equals, value = text.partition("=")
    if equals and name.endswith("@"):
        return _artifact(f"{name.removesuffix('@')}={value}", allow_nan)
    is_json = name.endswith(":")
    name = name.removesuffix(":")
    if not equals or not name:
        raise RequestError(
            f"not an input: `{text}`", hint="write -i name=text, or -i name:=JSON for other types"
        )
    if not is_json:
        if not value.isprintable() and _is_undecoded(value):
            raise RequestError(f"input `{name}` is not UTF-8 text")
        return {name: value}
    try:
        return {name: jsontext.parse(value, allow_nan=allow_nan)}
    except ValueError as error:
        raise RequestError(
            f"input `{name}` is not JSON: {error}: `{value}`",
            hint=f"for text write -i {name}=...; JSON text has quotes: -i '{name}:=\"...\"'",
        ) from error


def _is_undecoded(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _document(name: str, allow_nan: bool) -> Mapping[str, object]:
    content = _read(name)
    if name.endswith(_YAML):
        from orq_runtime.workflow import (
            Document,
        )  # start-up budget: YAML only where it is asked for

        document = Document.parse(content, name)
        return document.plain_mapping(document.root)
    shown = "<stdin>" if name == "-" else name
    try:
        value = jsontext.parse(content.decode("utf-8-sig"), allow_nan=allow_nan)
    except ValueError as error:
        raise BadDocument(f"{shown}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadDocument(
            f"{shown}: not a JSON object", hint='inputs are an object: {"name": value}'
        )
    return value


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise RequestError(f"cannot read the inputs: {error.strerror}: `{name}`") from error


_READERS: Mapping[str, Callable[[str, bool], Mapping[str, object]]] = {
    "file": _document,
    "artifact": _artifact,
    "one": _one,
}
