"""Progress of supply: drawn on a terminal, plain lines elsewhere, nothing when all is there.

What has ended leaves one line behind; what goes on is drawn below and vanishes.
"""

from __future__ import annotations

import contextlib
import time
from typing import Protocol, Self

from orq_runtime.cli.sizes import as_size
from orq_runtime.cli.terminal import OutputClosed, is_terminal, printable, say
from orq_runtime.events import Event

__all__ = ["Progress"]

_UNDER_WAY = {
    "resolve": "Resolving",
    "download": "Downloading",
    "build": "Building",
    "install": "Installing",
    "compile": "Compiling",
    "support": "Preparing the support layer for Python",
    "wait": "Waiting:",
}


class _Display(Protocol):
    """A place to draw what goes on. Nothing that it does may fail a supply."""

    def begin(self, name: str, text: str) -> None: ...

    def end(self, name: str) -> None: ...

    def line(self, text: str) -> None: ...

    def close(self) -> None: ...


class Progress:
    """A sink of events. Close it, or use it in a `with`, before anything else is said."""

    def __init__(self, *, is_drawn: bool, is_quiet: bool) -> None:
        self._is_drawn = is_drawn
        self._is_quiet = is_quiet
        self._display: _Display | None = None
        self._begun: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            self._display.close()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._is_quiet or event.phase == "hit":
            return
        if self._display is None:
            self._display = _display(is_drawn=self._is_drawn)
        with contextlib.suppress(OutputClosed):  # a supply goes on when nobody looks
            self._show(event, self._display)

    def _show(self, event: Event, display: _Display) -> None:
        # of downloads several go on at once, of everything else one
        name = event.phase + (event.subject if event.phase == "download" else "")
        if event.state == "started":
            self._begun[name] = time.monotonic()
            if text := _under_way(event):
                display.begin(name, text)
        elif event.state == "done":
            display.end("wait")  # whoever we waited for is done too
            display.end(name)
            now = time.monotonic()
            if text := _over(event, now - self._begun.pop(name, now)):
                display.line(text)
        elif event.message and not event.total:  # a note, not a count
            display.line(event.message)


def _under_way(event: Event) -> str:
    words = _UNDER_WAY.get(event.phase)
    if words is None:
        return ""
    if event.phase == "wait":
        return f"{words} {event.message}"
    if event.phase in ("resolve", "install"):
        return f"{words} {_packages(event.total)}"
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


def _display(*, is_drawn: bool) -> _Display:
    if is_drawn and is_terminal():
        from orq_runtime.cli.drawing import drawing  # start-up budget: it imports rich

        if drawn := drawing():
            return drawn
    return _Lines()


class _Lines:
    """A line when something begins that takes long, and one when it is over."""

    def begin(self, name: str, text: str) -> None:
        if name.startswith(("download", "build", "wait")):
            say(text)

    def end(self, name: str) -> None:
        pass

    def line(self, text: str) -> None:
        say(printable(text))

    def close(self) -> None:
        pass
