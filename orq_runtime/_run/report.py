"""A FAILURE frame's body to a `Failure`: hostile text, so every part is checked and bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from orq_runtime._run.codec import decode_coerced, decode_timings
from orq_runtime.model.checks import Coercion
from orq_runtime.model.failure import Failure, Frame, Problem
from orq_runtime.model.verdict import GUEST_VERDICTS
from orq_sandbox import wire

__all__ = ["decode_failure"]

_LONGEST_TEXT: Final = 16 * 1024
_MOST_ITEMS: Final = 256
_MOST_FAILURES: Final = 64
_PROBLEM_TEXTS: Final = (
    *("parameter", "path", "message", "expected", "annotation", "got", "value", "hint"),
)
_LAST_LINE: Final = (1 << 31) - 1


def decode_failure(
    body: bytes,
) -> tuple[str, Failure, dict[str, float], tuple[Coercion, ...]]:
    """Verdict, failure, timings and what was coerced.

    Raises `wire.WireError` when the guest said anything else.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise wire.WireError(f"not a JSON document: {error}") from error
    if not isinstance(document, dict):
        raise wire.WireError("not a JSON object")
    verdict = document.pop("verdict", None)
    if verdict not in GUEST_VERDICTS:
        raise wire.WireError("a verdict that is not a guest's to give")
    timings = decode_timings(document.pop("timings", {}))
    coerced = decode_coerced(document.pop("coerced", []))
    return verdict, _Reader().failure(document), timings, coerced


class _Reader:
    """Reads the failures of one body, which may not be more than a guest of ours tells."""

    def __init__(self) -> None:
        self._left = _MOST_FAILURES

    def failure(self, document: Mapping[str, object]) -> Failure:
        self._left -= 1
        if self._left < 0:
            raise wire.WireError("too many causes and members")
        members = _items(document.get("exceptions", []))
        return Failure(
            message=_text(document.get("message", "")),
            type=_text(document.get("type", "")),
            module=_text(document.get("module", "")),
            frames=tuple(_frame(item) for item in _items(document.get("frames", []))),
            problems=tuple(_problem(item) for item in _items(document.get("problems", []))),
            notes=tuple(_text(note) for note in _list(document.get("notes", []))),
            cause=self._inner(document.get("cause")),
            context=self._inner(document.get("context")),
            exceptions=tuple(self.failure(member) for member in members),
        )

    def _inner(self, document: object) -> Failure | None:
        return None if document is None else self.failure(_object(document))


def _frame(document: Mapping[str, object]) -> Frame:
    line = document.get("line", 0)
    if type(line) is not int or not 0 <= line <= _LAST_LINE:
        raise wire.WireError("a line number that is none")
    return Frame(
        file=_text(document.get("file", "")),
        line=line,
        function=_text(document.get("function", "")),
        source=_text(document.get("source", "")),
        locals=_locals(document.get("locals", {})),
    )


def _locals(document: object) -> dict[str, str]:
    found = _object(document)
    if len(found) > _MOST_ITEMS:
        raise wire.WireError("too many variables")
    return {_text(name): _text(value) for name, value in found.items()}


def _problem(document: Mapping[str, object]) -> Problem:
    return Problem(**{name: _text(document.get(name, "")) for name in _PROBLEM_TEXTS})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise wire.WireError("a text that is none")
    return value[:_LONGEST_TEXT]


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise wire.WireError("an object that is none")
    return value


def _items(value: object) -> list[Mapping[str, object]]:
    return [_object(item) for item in _list(value)]


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) > _MOST_ITEMS:
        raise wire.WireError("a list that is none, or too long")
    return value
