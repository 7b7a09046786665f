"""Progress, failures and tables on a terminal, drawn with rich. The one module that imports it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from orq_runtime.cli.terminal import printable

__all__ = ["Drawing", "draw_table", "drawing", "paint"]

_STYLES = {
    "verdict": "bold red",
    "place": "cyan",
    "source": "bold",
    "local": "dim",
    "link": "yellow",
    "hint": "green",
}


def paint(lines: Iterable[tuple[str, str]]) -> bool:
    """Show lines on stderr, each in the style of its kind; False where that cannot be had.

    What is shown is text and nothing else: no markup, no control characters, no wrapping.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        return False
    for text, kind in lines:
        console.print(Text(printable(text), style=_STYLES.get(kind, "")))
    return True


def drawing() -> Drawing | None:
    """A drawing on stderr, or None on a terminal that cannot move its cursor."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return Drawing(console)


class Drawing:
    """A spinner for each thing that goes on, and lines above for what is over."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def begin(self, name: str, text: str) -> None:
        """Draw something that goes on from now."""
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
        self._tasks[name] = self._progress.add_task(printable(text), total=None)
        self._progress.start()

    def end(self, name: str) -> None:
        """Draw it no more."""
        task = self._tasks.pop(name, None)
        if task is not None:
            self._progress.remove_task(task)
        if not self._tasks:
            self._progress.stop()

    def line(self, text: str) -> None:
        """Leave a line above what is drawn."""
        self._progress.console.print(Text(printable(text), style="dim"))

    def close(self) -> None:
        """Take all that is drawn away, and give the cursor back."""
        for name in list(self._tasks):
            self.end(name)
        self._progress.stop()


def draw_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: str) -> None:
    """Draw a table on stdout; the columns named in `right` are set flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(text)) for text in row))
    Console(highlight=False).print(table)
