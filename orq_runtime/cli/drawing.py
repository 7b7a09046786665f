"""Failures and tables on a terminal, drawn with rich: only `board` imports it too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orq_runtime.cli.terminal import printable

__all__ = ["draw_table", "paint"]

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


def draw_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: str) -> None:
    """Draw a table on stdout; the columns named in `right` are set flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(text)) for text in row))
    Console(highlight=False).print(table)
