"""What goes on and what is over, in words; and a display that writes them as plain lines.

Apart from the sink, for a supply that finds its environment says nothing (start-up budget).
"""

from __future__ import annotations

from typing import Protocol

from orq_runtime.cli.sizes import as_size
from orq_runtime.cli.terminal import is_terminal, printable, say
from orq_runtime.events import Event

__all__ = ["Display", "display", "over", "under_way"]

_UNDER_WAY = {
    "resolve": "Resolving",
    "download": "Downloading",
    "build": "Building",
    "install": "Installing",
    "compile": "Compiling",
    "publish": "Checking and writing all files",
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


def display(*, is_drawn: bool) -> Display:
    """A drawing where one is wanted and stderr is a terminal that can show it, else lines."""
    if is_drawn and is_terminal():
        from orq_runtime.cli.board import drawing  # start-up budget: it imports rich

        if drawn := drawing():
            return drawn
    return _Lines()


def under_way(event: Event) -> str:
    """What goes on now; nothing where that is not worth a line."""
    words = _UNDER_WAY.get(event.phase)
    if words is None:
        return ""
    if event.phase == "wait":
        return f"{words} {event.message}"
    if event.phase == "publish":
        return words
    if event.phase in ("resolve", "install"):
        return f"{words} {_packages(event.total)}"
    if event.phase == "compile":
        return f"{words} {event.total} module{'' if event.total == 1 else 's'}"
    size = f" ({as_size(event.total)})" if event.phase == "download" and event.total else ""
    return f"{words} {event.subject}{size}"


def over(event: Event, seconds: float) -> str:
    """What has ended, and how long it took."""
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
