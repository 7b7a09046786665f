"""Progress of supply: drawn on a terminal, plain lines elsewhere, nothing when all is there.

What has ended leaves one line behind; what goes on is drawn below and vanishes. With
`--output-format ndjson` every event is a line of its own on stdout instead (`stream`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from orq_runtime.cli.terminal import OutputClosed
from orq_runtime.events import Event

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from typing import Self

    from orq_runtime.cli.telling import Display

__all__ = ["Progress"]


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
            from orq_runtime.cli.telling import display  # start-up budget: a hit shows nothing

            self._display = display(is_drawn=self._is_drawn)
        with contextlib.suppress(OutputClosed):  # a supply goes on when nobody looks
            self._show(event, self._display)

    def _show(self, event: Event, display: Display) -> None:
        from orq_runtime.cli.telling import over, under_way  # start-up budget, as above

        if event.state == "started":
            self._begun[event.activity] = self._clock()
            if text := under_way(event):
                display.begin(text, event)
        elif event.state == "done":
            display.end(event)
            now = self._clock()
            if text := over(event, now - self._begun.pop(event.activity, now)):
                is_within = "build" in self._begun  # what a build itself needs
                display.line(f"  {text}" if is_within else text)
        elif event.total:
            display.move(event)
        elif event.message:  # a note, not a count
            display.line(event.message)
