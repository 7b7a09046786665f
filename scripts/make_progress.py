#!/usr/bin/env python3
"""Draws `docs/progress/supply.svg`: one moment of a recorded supply, as a terminal shows it.

The recording is a real one: what `orq-runtime supply ... --output-format ndjson` printed, with its
folders renamed. It is replayed by its own times into the classes that draw on a terminal.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from orq_runtime.cli.board import Drawing
from orq_runtime.cli.progress import Progress
from orq_runtime.events import Event

__all__ = ["PICTURE", "RECORDING", "picture", "recorded"]

_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "progress"
PICTURE = _FOLDER / "supply.svg"
RECORDING = _FOLDER / "supply.ndjson"
_COMMAND = (
    "$ orq-runtime supply z-quantum-core z-quantum-optimizers --exclude-newer 2022-07-01 \\\n"
    "    --python 3.8 --with typing_extensions --with pyyaml --with pandas --with scikit-learn"
)
_WIDTH = 100
_SHARE = 0.5  # of all bytes: the moment that is drawn


def recorded(text: str) -> list[tuple[float, Event]]:
    """The events of a recording with their seconds since its first line."""
    found: list[tuple[float, Event]] = []
    first: float | None = None
    for line in text.splitlines():
        document = json.loads(line)
        seconds = dt.datetime.fromisoformat(document["time"]).timestamp()
        first = seconds if first is None else first
        if document["event"] in ("result", "error"):
            continue
        event = Event(
            phase=document["event"],
            state=document["state"],
            subject=document["subject"],
            message=document["message"],
            done=document["done"],
            total=document["total"],
        )
        found.append((seconds - first, event))
    return found


def picture(text: str) -> str:
    """The SVG of the moment when half of the bytes have come."""
    events = recorded(text)
    now = 0.0
    console = _console()
    drawing = _Apart(console, clock=lambda: now)
    console.print(Text(_COMMAND, style="bold"))
    last = _moment(events)
    with Progress(is_drawn=True, is_quiet=False, display=drawing, clock=lambda: now) as progress:
        for seconds, event in events[: last + 1]:
            now = seconds
            progress(event)
        console.print(drawing.frame())
        svg = console.export_svg(title="orq-runtime supply", clear=True, unique_id="supply")
    # fonts come with whoever shows it: a document of ours fetches nothing
    return re.sub(r"\s*@font-face \{.*?\}\n", "\n", svg, flags=re.DOTALL)


class _Apart:
    """Draws on a console of its own: what vanishes on a terminal leaves lines in a record."""

    def __init__(self, console: Console, *, clock: Callable[[], float]) -> None:
        drawing = Drawing(_console(), clock=clock, is_alive=False)
        self.begin, self.move, self.end = drawing.begin, drawing.move, drawing.end
        self.frame, self.close = drawing.frame, drawing.close
        self.line = Drawing(console, clock=clock, is_alive=False).line


def _console() -> Console:
    return Console(
        record=True,
        width=_WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        force_interactive=False,
        color_system="truecolor",
        highlight=False,
        legacy_windows=False,
        _environ={},
    )


def _moment(events: Sequence[tuple[float, Event]]) -> int:
    """The place of the event with which the share of all bytes has come."""
    totals = {e.subject: e.total for _, e in events if e.phase == "download"}
    here: dict[str, int] = {}
    for place, (_, event) in enumerate(events):
        if event.phase == "download":
            here[event.subject] = event.done
        if sum(here.values()) >= _SHARE * sum(totals.values()):
            return place
    return len(events) - 1


def main(arguments: Sequence[str]) -> int:
    """Write the picture, or with `--check` say whether it is current."""
    parser = argparse.ArgumentParser(description="Draws docs/progress/supply.svg.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when it is stale")
    options = parser.parse_args(arguments)
    wanted = picture(RECORDING.read_text("utf-8"))
    if not options.check:
        PICTURE.write_text(wanted, "utf-8")
        return 0
    if PICTURE.is_file() and PICTURE.read_text("utf-8") == wanted:
        return 0
    print(f"`docs/progress/{PICTURE.name}` is stale: run scripts/make_progress.py")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
