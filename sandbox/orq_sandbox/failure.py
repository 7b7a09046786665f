"""Exceptions as data: type, message, frames with source lines, and the chain of causes.

Nothing of an exception crosses to the host but bounded text.
"""

from __future__ import annotations

import linecache
import os

__all__ = ["Refusal", "clip", "describe", "shown"]

_LONGEST_TEXT = 4096
_LONGEST_VALUE = 200
_MOST_FRAMES = 64
_MOST_CAUSES = 8
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Refusal(Exception):
    """The call or its result is refused: a verdict's name and the body of its FAILURE frame."""

    def __init__(self, verdict: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.body = dict(details, message=message)


def clip(text: str, longest: int = _LONGEST_TEXT) -> str:
    """The text in bounds, with how much was left out; halves of surrogate pairs are spelled out."""
    kept = text[:longest].encode("utf-8", "backslashreplace").decode()
    if len(text) <= longest:
        return kept
    return "%s... (%d characters more)" % (kept, len(text) - longest)


def shown(value: object, longest: int = _LONGEST_VALUE) -> str:
    """The clipped repr of a value, whatever its `__repr__` does."""
    if isinstance(value, (str, bytes)) and len(value) > longest:
        value = value[:longest]  # the repr of 100 MB is not worth making
    try:
        return clip(repr(value), longest)
    except BaseException as error:  # the step's own code runs here
        return "<%s whose repr raised %s>" % (type(value).__name__, type(error).__name__)


def describe(error: BaseException, depth: int = 0) -> dict:
    """The body of a FAILURE frame for an exception."""
    body = {
        "type": clip(_name(error)),
        "message": clip(_text(error)),
        "frames": _frames(error),
    }
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    if cause is not None and depth < _MOST_CAUSES:
        body["cause"] = describe(cause, depth + 1)
    return body


def _name(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return "%s.%s" % (kind.__module__, kind.__qualname__)


def _text(error: BaseException) -> str:
    try:
        text = str(error)
        notes = [str(note) for note in getattr(error, "__notes__", ())]
    except BaseException as second:  # the step's own code runs here
        return "<no message: str() raised %s>" % type(second).__name__
    return "\n".join([text, *notes])


def _frames(error: BaseException) -> list:
    found = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if (
            not code.co_filename.startswith(_OURS)
            and "importlib._bootstrap" not in code.co_filename
        ):
            found.append((code.co_filename, step.tb_lineno, code.co_name, step.tb_frame.f_globals))
        step = step.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        found.append((error.filename, error.lineno or 0, "<module>", {}))
    if len(found) > _MOST_FRAMES:  # a recursion: both ends tell the story
        found = found[: _MOST_FRAMES // 2] + found[-_MOST_FRAMES // 2 :]
    return [
        {
            "file": clip(file),
            "line": line,
            "function": clip(name),
            "source": clip(linecache.getline(file, line, spaces).strip()),
        }
        for file, line, name, spaces in found
    ]
