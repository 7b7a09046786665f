"""What `Annotated` adds to a type: the bounds of annotated-types and of those that speak like it.

They are known by their attributes (`gt`, `max_length`, ...), so annotated-types, msgspec's `Meta`
and pydantic's `Field` all count, of any version and without an import of theirs. Other notes say
nothing to us.
"""

from __future__ import annotations

import typing

from orq_sandbox import forms
from orq_sandbox.mismatch import mismatch

__all__ = ["Bounded", "conditions_of"]

Condition = typing.Tuple[str, typing.Callable[[typing.Any], bool]]

_NESTED = 8


def _step(value: typing.Any, unit: typing.Any) -> bool:
    if isinstance(value, float) or isinstance(unit, float):
        times = value / unit
        return abs(times - round(times)) < 1e-9 * max(1.0, abs(times))
    return value % unit == 0


def _matches(value: typing.Any, pattern: typing.Any) -> bool:
    import re  # loaded already; here so that the reader sees where it is used

    return re.search(pattern, value) is not None


def _has_zone(value: typing.Any, zone: typing.Any) -> bool:
    found = value.tzinfo
    if zone is None or found is None:
        return found is zone
    return zone is ... or str(found) == str(zone)


_TESTS: typing.Tuple[typing.Tuple[str, str, typing.Callable], ...] = (
    ("gt", "greater than %s", lambda value, bound: value > bound),
    ("ge", "at least %s", lambda value, bound: value >= bound),
    ("lt", "less than %s", lambda value, bound: value < bound),
    ("le", "at most %s", lambda value, bound: value <= bound),
    ("multiple_of", "a multiple of %s", _step),
    ("min_length", "at least %s long", lambda value, bound: len(value) >= bound),
    ("max_length", "at most %s long", lambda value, bound: len(value) <= bound),
    ("min_inclusive", "at least %s long", lambda value, bound: len(value) >= bound),
    ("max_exclusive", "less than %s long", lambda value, bound: len(value) < bound),
    ("pattern", "a match of %r", _matches),
)


def conditions_of(notes: typing.Iterable[typing.Any], depth: int = 0) -> typing.List[Condition]:
    """The tests that the notes of an `Annotated` stand for."""
    found: typing.List[Condition] = []
    for note in notes:
        if isinstance(note, (str, bytes, type)) or depth > _NESTED:
            continue
        if isinstance(note, slice):
            found += _of_slice(note)
            continue
        inner = _inner(note)
        found += _of_note(note) if inner is None else conditions_of(inner, depth + 1)
    return found


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


def _of_slice(note: slice) -> typing.List[Condition]:
    found: typing.List[Condition] = []
    if note.start:
        found.append(_test("at least %s long", lambda value, n: len(value) >= n, note.start))
    if note.stop is not None:
        found.append(_test("less than %s long", lambda value, n: len(value) < n, note.stop))
    return found


def _test(text: str, test: typing.Callable, bound: typing.Any) -> Condition:
    return text % (bound,), lambda value: test(value, bound)


def _of_note(note: typing.Any) -> typing.List[Condition]:
    kind = type(note).__name__
    if kind == "Predicate" and callable(getattr(note, "func", None)):
        name = getattr(note.func, "__name__", "its predicate")
        return [("accepted by `%s`" % name, note.func)]
    if kind == "Timezone" and hasattr(note, "tz"):
        with_any = "with a time zone%.0s" if note.tz is ... else "in time zone %s"
        text = "without a time zone%.0s" if note.tz is None else with_any
        return [_test(text, _has_zone, note.tz)]
    found = []
    for name, text, test in _TESTS:
        bound = getattr(note, name, None)
        if bound is not None and not callable(bound):
            found.append(_test(text, test, bound))
    return found


class Bounded:
    """A type with bounds: its checker first, then the bounds."""

    sort = "bounded"

    def __init__(
        self, inner: typing.Any, tests: typing.List[Condition], annotation: object
    ) -> None:
        self._inner = inner
        self._tests = tests
        self._shown = forms.shown_type(forms.layer(annotation))

    def accepts(self, value: typing.Any) -> bool:
        return self._inner.accepts(value) and self._broken(value) is None

    def _broken(self, value: typing.Any) -> typing.Optional[str]:
        for text, test in self._tests:
            try:
                if not test(value):
                    return text
            except Exception as error:  # the step's predicate, or a bound of another type
                return "%s (which raised %s)" % (text, type(error).__name__)
        return None

    def is_of_type(self, value: typing.Any) -> bool:
        """Whether it is only the bounds that it may not be in."""
        return self._inner.accepts(value)

    def explain(self, value: typing.Any, path: str) -> list:
        found = self._inner.explain(value, path)
        if found or not self._inner.accepts(value):
            return found
        broken = self._broken(value)
        if broken is None:
            return []
        shown = "%s, %s" % (self._shown, broken)
        return [mismatch(path, shown, value, "expected %s" % shown)]
