"""The two streams: results go to stdout, words for people to stderr.

Rules of this file:

1. Nothing that is written for people moves a cursor or turns text around: control characters,
   marks of direction and separators of lines are spelled out, whoever wrote them.
2. Whoever reads us may leave at any time. That raises `OutputClosed`, which ends the command
   without a word.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys

from orq_runtime.errors import OrqRuntimeError

__all__ = [
    "OutputClosed",
    "forget_output",
    "is_terminal",
    "one_line",
    "open_standard_streams",
    "printable",
    "put",
    "say",
]

_TURNING = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
# start-up budget: compiled where there is something to say
_SPOKEN_CONTROLS = f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_TURNING}]"
_SPOKEN_BREAKS = f"[\x00-\x1f\x7f-\x9f{_TURNING}]"
_JSON_CONTROLS = f"[\x7f-\x9f{_TURNING}]"


class OutputClosed(Exception):
    """Nobody reads our output any more."""


def open_standard_streams() -> None:
    """Put /dev/null where 0, 1 or 2 is closed: no file of ours may come to bear their number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def is_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def say(text: str) -> None:
    """Write lines for people to stderr. Raises `OutputClosed`."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(printable(text.removesuffix("\n")) + "\n")
        sys.stderr.flush()
    except OSError as error:
        raise OutputClosed from error


def put(content: bytes) -> None:
    """Write the result to stdout, whole. Raises `OutputClosed`, or the error of a full disk."""
    if sys.stdout is None:
        raise OutputClosed
    if sys.stdout.isatty():
        text = content.decode("utf-8", "surrogateescape")
        content = re.sub(_JSON_CONTROLS, _as_json_escape, text).encode("utf-8", "surrogateescape")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OSError as error:
        forget_output()
        raise OrqRuntimeError(f"cannot write the result to stdout: {error.strerror}") from error


def forget_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter's end does not complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
            continue
        os.dup2(null, 1 if stream is sys.stdout else 2)
    os.close(null)


def printable(text: str) -> str:
    """The text with its control characters, other than line end and tab, spelled out."""
    return re.sub(_SPOKEN_CONTROLS, _as_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The text on one line: line ends and tabs are spelled out too."""
    return re.sub(_SPOKEN_BREAKS, _as_escape, text)


def _as_escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def _as_json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
