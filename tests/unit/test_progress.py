"""Progress: bytes between what uv tells, what is drawn at a moment, and the published stream."""

from __future__ import annotations

import html
import io
import json
import os
import pty
import re
import select

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import make_progress
from orq_runtime._supply.downloads import Downloads
from orq_runtime.cli import event_schema
from orq_runtime.cli.board import Drawing
from orq_runtime.cli.progress import Progress
from orq_runtime.events import Event
from tests.architecture.sources import REPOSITORY

_NAMES = ("alpha", "beta", "gamma")


@given(
    st.dictionaries(st.sampled_from(_NAMES), st.integers(0, 10**10)),
    st.lists(
        st.tuples(st.sampled_from(["begin", "end"]), st.sampled_from(_NAMES))
        | st.tuples(st.just("wrote"), st.integers(0, 10**11)),
        max_size=30,
    ),
)
def test_bytes_only_grow_and_stay_below_the_size(
    sizes: dict[str, int], moves: list[tuple[str, str | int]]
) -> None:
    """Whatever uv tells in whatever order: no bar goes back or beyond its end."""
    downloads = Downloads(sizes)
    come: dict[str, int] = {}
    for kind, value in moves:
        if kind == "wrote":
            events = list(downloads.wrote(int(value)))
        elif kind == "begin":
            come.pop(str(value), None)
            events = [downloads.begin(str(value), 1000)]
        else:
            events = [downloads.end(str(value))]
        for event in events:
            assert come.get(event.subject, 0) <= event.done <= max(event.total, 0)
            come[event.subject] = event.done


def test_a_file_moves_with_what_is_written_and_is_whole_when_it_is_told() -> None:
    """Sizes are the lock's; what is written is shared out by what is left of each."""
    downloads = Downloads({"alpha": 1000, "beta": 3000})
    begun = [downloads.begin("alpha", 977), downloads.begin("beta", 2900)]

    moved = list(downloads.wrote(2000))

    assert [1000, 3000] == [event.total for event in begun]
    assert [("alpha", 175), ("beta", 525)] == [(event.subject, event.done) for event in moved]
    assert 1000 == downloads.end("alpha").done
    assert [] == list(Downloads({}).wrote(10**9))


def _drawn(*events: Event, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, record=True)
    drawing = Drawing(console, clock=lambda: 5.0, is_alive=False)
    with Progress(is_drawn=True, is_quiet=False, display=drawing, clock=lambda: 5.0) as progress:
        for event in events:
            progress(event)
        console.print(drawing.frame())
        return console.export_text()


def test_a_frame_shows_the_phases_each_file_and_what_is_waited_for() -> None:
    """Done phases have a mark, a file has its bytes, and who is waited for is named."""
    shown = _drawn(
        Event(phase="resolve", state="started", total=2),
        Event(phase="resolve", state="done", done=2, total=2),
        Event(phase="install", state="started", total=2),
        Event(phase="download", state="started", subject="numpy", total=16 << 20),
        Event(phase="download", state="moved", subject="numpy", done=4 << 20, total=16 << 20),
        Event(phase="wait", state="started", subject="k", message="made by process 42 (python)"),
    )

    assert "Resolved 2 packages in 0.0 s" in shown
    assert "\N{CHECK MARK} resolve" in shown
    assert "4.0 MiB of 16.0 MiB" in shown
    assert "Waiting: made by process 42 (python)" in shown


def test_something_is_drawn_in_every_phase_that_takes_time() -> None:
    """Also while a large environment is checked and written, which nobody sees else."""
    shown = _drawn(Event(phase="publish", state="started", subject="k"))

    assert "Checking and writing all files" in shown


def test_a_frame_cannot_be_moved_by_a_name() -> None:
    """Control characters and markup of a subject are text."""
    shown = _drawn(Event(phase="build", state="started", subject="\x1b[2J[red]x[/red]\r"))

    assert "\\x1b[2J[red]x[/red]\\r" in shown


class _Said:
    """A display that keeps the lines that stay."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, text: str, event: Event) -> None: ...

    def move(self, event: Event) -> None: ...

    def end(self, event: Event) -> None: ...

    def line(self, text: str) -> None:
        self.lines.append(text)

    def close(self) -> None: ...


@pytest.mark.slow
def test_a_bar_moves_though_no_event_comes() -> None:
    """A terminal gets something to draw again and again while a build is silent."""
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as terminal:
        console = Console(file=terminal, force_terminal=True, width=100)
        with Progress(is_drawn=True, is_quiet=False, display=Drawing(console)) as progress:
            progress(Event(phase="build", state="started", subject="core"))
            frames = 0
            while frames < 5:
                ready, _, _ = select.select([master], [], [], 30)
                assert ready, "nothing was drawn for half a minute"
                frames += os.read(master, 1 << 16).count(b"Building core")
    os.close(master)


def test_what_a_build_needs_is_told_under_it() -> None:
    """Lines within a build stand in; its phases do not count as the environment's own."""
    inside = [
        Event(phase="build", state="started", subject="core"),
        Event(phase="resolve", state="started", total=2),
        Event(phase="resolve", state="done", done=2, total=2),
    ]
    said = _Said()
    for event in inside:
        Progress(is_drawn=True, is_quiet=False, display=said)(event)
    with Progress(is_drawn=True, is_quiet=False, display=said) as progress:
        for event in inside:
            progress(event)

    assert ["Resolved 2 packages in 0.0 s", "  Resolved 2 packages in 0.0 s"] == said.lines
    assert "\N{CHECK MARK}" not in _drawn(*inside)


def test_the_published_schema_is_the_codes() -> None:
    """docs/event.schema.json is what `schema event` prints."""
    published = (REPOSITORY / "docs" / "event.schema.json").read_text("utf-8")

    assert event_schema.schema_text() == published


def test_every_line_of_the_recording_follows_the_schema() -> None:
    """The recorded stream of a real supply, line by line, and no line of another shape."""
    validator = jsonschema.Draft202012Validator(event_schema.event_schema())
    lines = [json.loads(line) for line in make_progress.RECORDING.read_text("utf-8").splitlines()]

    assert [] == [error.message for line in lines for error in validator.iter_errors(line)]
    assert ["result"] == [line["event"] for line in lines[-1:]]
    for wrong in (
        {**lines[0], "more": 1},
        {**lines[0], "state": "new"},
        {"v": 1},
        lines[0] | {"v": 2},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(wrong)


def _texts(svg: str) -> list[str]:
    found = (html.unescape(text).strip() for text in re.findall(r">([^<>]+)</text>", svg))
    plain = (text.replace("\xa0", " ") for text in found)
    return [text for text in plain if text and text != "\N{BOX DRAWINGS HEAVY HORIZONTAL}"]


def test_the_picture_is_of_the_recording() -> None:
    """docs/progress/supply.svg shows what the recording gives, and fetches nothing."""
    published = make_progress.PICTURE.read_text("utf-8")

    made = make_progress.picture(make_progress.RECORDING.read_text("utf-8"))

    assert _texts(made) == _texts(published)
    assert "Installing 21 packages" in _texts(published)
    assert "@font-face" not in published
