"""Exceptions as data: type, message, notes, frames with source lines, causes, groups.

Nothing of an exception crosses to the host but bounded text.
"""

from __future__ import annotations

import errno
import itertools
import os
import types
import typing

from orq_sandbox import later

__all__ = ["Refusal", "clip", "describe", "limit_of", "shown"]

_LONGEST_TEXT = 4096
_LONGEST_VALUE = 200
_LONGEST_LINE = 1024
_MOST_FRAMES = 64
_MOST_FRAMES_IN_ALL = 256
_MOST_CAUSES = 8
_MOST_EXCEPTIONS = 32
_MOST_NOTES = 16
_LONG = (str, bytes, list, tuple, dict)
_NO_THREAD = "can't start new thread"  # CPython's own words, for which it has no class
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
    try:
        return _clipped(value, longest)
    except BaseException as error:  # the step's own code runs here
        return "<%s whose repr raised %s>" % (type(value).__name__, type(error).__name__)


def _clipped(value: typing.Any, longest: int) -> str:
    kind = type(value)
    if kind not in _LONG or len(value) <= longest:
        return clip(repr(value), longest)
    start = dict(itertools.islice(value.items(), longest)) if kind is dict else value[:longest]
    what = "characters more" if kind is str else "bytes more" if kind is bytes else "items"
    count = len(value) - longest if kind in (str, bytes) else len(value)
    return "%s... (%d %s)" % (repr(start)[:longest], count, what)  # 100 MB are not worth writing


def describe(error: BaseException, *, shows_locals: bool = False) -> dict:
    """The body of a FAILURE frame for an exception: bounded, whatever led to it.

    `notes`, `cause`, `context` and `exceptions` (the members of a group) are there where the
    exception has them, and with `shows_locals` the variables of its frames.
    """
    return _Story(shows_locals=shows_locals).of(error, 0)


class _Story:
    """What is told of one exception and of all that it came from. No exception is told twice."""

    def __init__(self, *, shows_locals: bool) -> None:
        self._shows_locals = shows_locals
        self._seen: set = set()
        self._frames_left = _MOST_FRAMES_IN_ALL

    def of(self, error: BaseException, depth: int) -> dict:
        self._seen.add(id(error))
        message, notes = _words(error)
        body: dict = {"type": clip(_name(error)), "message": message, "frames": self._frames(error)}
        if notes:
            body["notes"] = notes
        context = None if error.__suppress_context__ else error.__context__
        for key, other in (("cause", error.__cause__), ("context", context)):
            if other is not None and self._is_told(other, depth):
                body[key] = self.of(other, depth + 1)
        members = [self.of(one, depth + 1) for one in _members(error) if self._is_told(one, depth)]
        if members:
            body["exceptions"] = members
        return body

    def _is_told(self, error: BaseException, depth: int) -> bool:
        is_new = id(error) not in self._seen
        return is_new and depth < _MOST_CAUSES and len(self._seen) < _MOST_EXCEPTIONS

    def _frames(self, error: BaseException) -> list:
        found = []
        step = error.__traceback__
        while step is not None:
            name = step.tb_frame.f_code.co_filename
            if not name.startswith(_OURS) and "importlib._bootstrap" not in name:
                found.append((step.tb_frame, step.tb_lineno))
            step = step.tb_next
        most = min(_MOST_FRAMES, self._frames_left)
        if len(found) > most:  # a recursion: both ends tell the story
            found = found[: most - most // 2] + found[len(found) - most // 2 :]
        self._frames_left -= len(found)
        frames = [self._frame(frame, line) for frame, line in found]
        if isinstance(error, SyntaxError) and error.filename:
            frames.append(_line(error.filename, error.lineno or 0, "<module>", error.text or ""))
        return frames

    def _frame(self, frame: types.FrameType, line: int) -> dict:
        import linecache  # start-up budget: only a failure needs it

        file = frame.f_code.co_filename
        said = _line(
            file, line, frame.f_code.co_name, linecache.getline(file, line, frame.f_globals)
        )
        if self._shows_locals:
            said["locals"] = later.part("variables").shown_locals(frame.f_locals)
        return said


def _line(file: object, line: int, function: str, source: str) -> dict:
    return {
        "file": clip(str(file), _LONGEST_LINE),
        "line": line,
        "function": clip(function, _LONGEST_LINE),
        "source": clip(source.strip(), _LONGEST_LINE),
    }


def _members(error: BaseException) -> list:
    """Those of an exception group: Python's own, or that of the `exceptiongroup` package."""
    if not any(kind.__name__ == "BaseExceptionGroup" for kind in type(error).__mro__):
        return []
    members = getattr(error, "exceptions", ())
    return [one for one in members if isinstance(one, BaseException)]


def limit_of(error: BaseException, *, is_all_disk_ours: bool) -> str:
    """The verdict for the limit that an exception, or what it was raised from, tells of; else "".

    `is_all_disk_ours`: whether a full disk can only be the run's own, which has a size.
    """
    if isinstance(error, MemoryError):
        return "out_of_memory"
    if _tells_of_processes(error) and _is_refused_another():
        return "processes_exceeded"
    full = (errno.ENOSPC, errno.EDQUOT) if is_all_disk_ours else ()
    one: typing.Optional[BaseException] = error
    for _ in range(_MOST_CAUSES):
        if isinstance(one, OSError) and one.errno in (errno.EFBIG, *full):
            return "disk_exceeded"
        one = None if one is None else one.__cause__ or one.__context__
    return ""


def _tells_of_processes(error: BaseException) -> bool:
    """Whether it is what a refused fork or thread raises; a read that would block raises it too."""
    if isinstance(error, BlockingIOError):
        return error.errno == errno.EAGAIN
    return type(error) is RuntimeError and error.args[:1] == (_NO_THREAD,)


def _is_refused_another() -> bool:
    """Whether this process may have no other, by asking for one that ends at once."""
    try:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    except OSError as error:
        return error.errno == errno.EAGAIN
    except Exception:  # a warning that the step has made an error
        return False
    return False


def _name(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return "%s.%s" % (kind.__module__, kind.__qualname__)


def _words(error: BaseException) -> tuple:
    """The message and the notes, whatever the step's own code does when it is asked for them."""
    try:
        message = clip(str(error))
    except BaseException as second:
        message = "<no message: str() raised %s>" % type(second).__name__
    try:
        notes = [clip(str(note)) for note in list(getattr(error, "__notes__", ()))[:_MOST_NOTES]]
    except BaseException as second:
        notes = ["<no notes: they raised %s>" % type(second).__name__]
    return message, notes
