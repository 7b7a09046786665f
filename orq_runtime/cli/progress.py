"""Progress of supply: drawn on a terminal, plain lines elsewhere, nothing when all is there.

What has ended leaves one line behind; what goes on is drawn below and vanishes. With
`--output-format ndjson` every event is a line of its own on stdout instead (`stream`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Protocol, Self

from orq_runtime.cli.sizes import as_size
from orq_runtime.cli.terminal import OutputClosed, is_terminal, printable, say
from orq_runtime.events import Event

__all__ = ["Display", "Progress"]

_UNDER_WAY = {
    "resolve": "Resolving",
    "download": "Downloading",
    "build": "Building",
    "install": "Installing",
    "compile": "Compiling",
    "support": "Preparing the support layer for Python",
    "wait": "Waiting:",
}


class Display(Protocol):
    """A place to draw what goes on. Nothing that it does may fail a supply."""

    def begin(self, text: str, event: Event) -> None:
        """Something goes on from now."""

    def move(self, event: Event) -> None:
        """It has come further."""

    def end(self, event: Event) -> None:
        """It is over."""

    def line(self, text: str) -> None:
        """Something to say that stays."""

    def close(self) -> None:
        """Nothing goes on any more."""


class Progress:
    """A sink of events. Close it, or use it in a `with`, before anything else is said."""

    def __init__(
        self,
        *,
        is_drawn: bool,
        is_quiet: bool,
        is_streamed: bool = False,
        display: Display | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_drawn = is_drawn
        self._is_quiet = is_quiet
        self._is_streamed = is_streamed
        self._display = display
        self._clock = clock
        self._begun: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            self._display.close()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._is_streamed:
            from orq_runtime.cli.stream import put_event  # start-up budget

            put_event(event)
            return
        if self._is_quiet or event.phase == "hit":
            return
        if self._display is None:
            self._display = _display(is_drawn=self._is_drawn)
        with contextlib.suppress(OutputClosed):  # a supply goes on when nobody looks
            self._show(event, self._display)

    def _show(self, event: Event, display: Display) -> None:
        if event.state == "started":
            self._begun[event.activity] = self._clock()
            if text := _under_way(event):
                display.begin(text, event)
        elif event.state == "done":
            display.end(event)
            now = self._clock()
            if text := _over(event, now - self._begun.pop(event.activity, now)):
                is_within = "build" in self._begun  # what a build itself needs
                display.line(f"  {text}" if is_within else text)
        elif event.total:
            display.move(event)
        elif event.message:  # a note, not a count
            display.line(event.message)


def _under_way(event: Event) -> str:
    words = _UNDER_WAY.get(event.phase)
    if words is None:
        return ""
    if event.phase == "wait":
        return f"{words} {event.message}"
    if event.phase in ("resolve", "install"):
        return f"{words} {_packages(event.total)}"
    if event.phase == "compile":
        return f"{words} {event.total} module{'' if event.total == 1 else 's'}"
    size = f" ({as_size(event.total)})" if event.phase == "download" and event.total else ""
    return f"{words} {event.subject}{size}"


def _over(event: Event, seconds: float) -> str:
    took = f"in {seconds:.1f} s"
    if event.phase in ("resolve", "install"):
        word = "Resolved" if event.phase == "resolve" else "Installed"
        return f"{word} {_packages(event.total)} {took}" if event.total else ""
    if event.phase == "build":
        return f"Built {event.subject} {took}"
    if event.phase == "compile":
        return f"Compiled {took}"
    if event.phase == "support":
        return f"Prepared the support layer for Python {event.subject} {took}"
    return ""


def _packages(count: int) -> str:
    return f"{count} package{'' if count == 1 else 's'}"


def _display(*, is_drawn: bool) -> Display:
    if is_drawn and is_terminal():
        from orq_runtime.cli.board import drawing  # start-up budget: it imports rich

        if drawn := drawing():
            return drawn
    return _Lines()


class _Lines:
    """A line when something begins that takes long, and one when it is over."""

    def begin(self, text: str, event: Event) -> None:
        if event.phase in ("download", "build", "wait"):
            say(printable(text))

    def move(self, event: Event) -> None:
        pass

    def end(self, event: Event) -> None:
        pass

    def line(self, text: str) -> None:
        say(printable(text))

    def close(self) -> None:
        pass
