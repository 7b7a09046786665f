"""Progress on a terminal: the phases of a supply, and a bar for each thing that goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from orq_runtime.cli.sizes import as_size
from orq_runtime.cli.terminal import printable
from orq_runtime.events import Event, Phase

__all__ = ["Drawing", "drawing"]

_PHASES: tuple[Phase, ...] = (
    "resolve",
    "build",
    "download",
    "install",
    "compile",
    "publish",
    "support",
)


def drawing() -> Drawing | None:
    """A drawing on stderr, or None on a terminal that cannot move its cursor."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return Drawing(console)


class Drawing:
    """The phases, a bar for each thing that goes on, and lines above for what is over.

    A thread of its own draws ten times a second: a bar whose length is not known moves, and so does
    the time of each, whether or not an event comes.
    """

    def __init__(
        self,
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
        is_alive: bool = True,
    ) -> None:
        self._board = _Board(console, clock=clock, is_alive=is_alive)
        self._tasks: dict[str, TaskID] = {}

    def begin(self, text: str, event: Event) -> None:
        """Draw something that goes on from now."""
        if event.activity in self._tasks:
            self._board.remove_task(self._tasks.pop(event.activity))
        self._board.enter(event.phase)
        is_measured = event.unit == "bytes" and event.total > 0
        self._tasks[event.activity] = self._board.add_task(
            printable(event.subject if is_measured else text),
            total=event.total if is_measured else None,
            unit=event.unit,
        )
        self._board.start()

    def move(self, event: Event) -> None:
        """Draw how far it has come."""
        task = self._tasks.get(event.activity)
        if task is not None and event.unit == "bytes":
            self._board.update(task, completed=event.done)

    def end(self, event: Event) -> None:
        """Draw it no more."""
        self._board.leave(event.phase, event.done if event.unit == "bytes" else 0)
        task = self._tasks.pop(event.activity, None)
        if task is not None:
            self._board.remove_task(task)
        if not self._tasks:
            self._board.stop()

    def line(self, text: str) -> None:
        """Leave a line above what is drawn."""
        self._board.console.print(Text(printable(text), style="dim"))

    def frame(self) -> RenderableType:
        """What is drawn at this moment."""
        return self._board.get_renderable()

    def close(self) -> None:
        """Take all that is drawn away, and give the cursor back."""
        for task in self._tasks.values():
            self._board.remove_task(task)
        self._tasks.clear()
        self._board.stop()


class _Board(Progress):
    """Bars under a line of phases."""

    def __init__(self, console: Console, *, clock: Callable[[], float], is_alive: bool) -> None:
        self._under_way: list[Phase] = []
        self._been: set[Phase] = set()
        self._fetched = 0
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1)),
            BarColumn(bar_width=24),
            _Amount(),
            TimeElapsedColumn(),
            console=console,
            get_time=clock,
            auto_refresh=is_alive,
            transient=True,
            expand=True,
        )

    def enter(self, phase: Phase) -> None:
        """A phase begins; several of one may go on at once, and all of them within a build."""
        self._under_way.append(phase)

    def leave(self, phase: Phase, fetched: int) -> None:
        """One of a phase is over; a download has brought so many bytes."""
        if phase in self._under_way:
            self._under_way.remove(phase)
        if "build" not in self._under_way:
            self._been.add(phase)
        self._fetched += fetched

    def get_renderables(self) -> Iterable[RenderableType]:
        """The line of phases, then the bars."""
        if self.tasks:
            yield self._phases()
        yield self.make_tasks_table(self.tasks)

    def _phases(self) -> Text:
        parts = Text("  ")
        for phase in _PHASES:
            if phase in self._under_way:
                parts.append(f"{phase}  ", style="bold cyan")
            elif phase in self._been:
                parts.append(f"\N{CHECK MARK} {phase}  ", style="green")
            else:
                parts.append(f"{phase}  ", style="dim")
        coming = [task for task in self.tasks if task.fields["unit"] == "bytes"]
        here = self._fetched + int(sum(task.completed for task in coming))
        if here:
            total = self._fetched + int(sum(task.total or 0 for task in coming))
            parts.append(f"{as_size(here)} of {as_size(total)}")
        return parts


class _Amount(ProgressColumn):
    """How much of how much, where both are known."""

    def render(self, task: Task) -> Text:
        """As `4.1 MiB of 16.3 MiB`."""
        if not task.total:
            return Text("")
        text = f"{as_size(int(task.completed))} of {as_size(int(task.total))}"
        return Text(text, style="progress.download")
