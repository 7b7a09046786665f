"""A failed run on a terminal and elsewhere: told in full, and unable to drive the terminal."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli_fixtures import Cli, read_terminal

pytestmark = pytest.mark.slow

_STEPS = """
def chained(secret):
    try:
        {}[secret]
    except KeyError as error:
        new = ValueError("no such thing\\norq-runtime: ok")
        new.add_note("look in the other place")
        raise new from error

def group():
    raise ExceptionGroup("many", [ValueError("one"), KeyError("two")])

def returns():
    return "\x1b]0;t\x07\u202e\x9b2J\x7f\u2028"

def hostile():
    raise type("\\x1b[31m\\n", (Exception,), {})("\\x1b]0;title\\x07\\u202eevil\\x9b2J\\r\\u2066")
"""


@pytest.fixture
def cli(cache_dir: Path, tmp_path: Path) -> Cli:
    """The command line over the session's store."""
    steps = tmp_path / "steps.py"
    steps.write_text(_STEPS, "utf-8")
    return Cli(cache=cache_dir, steps=steps)


def _on_a_terminal(cli: Cli, *words: str, **variables: str) -> str:
    """What a run shows on a terminal of its own."""
    there = Cli(cache=cli.cache, steps=cli.steps, variables={"TERM": "xterm-256color", **variables})
    master, slave = os.openpty()
    try:
        process = there.start("run", *words, stderr=slave)
        os.close(slave)
        shown = read_terminal(master)
        process.communicate(timeout=120)
    finally:
        os.close(master)
    return shown.decode().replace("\r\n", "\n")


def test_the_whole_story_is_told(cli: Cli) -> None:
    """Notes, frames and the cause; further lines of a message cannot pass for ours."""
    err = cli("run", cli.step("chained"), "-i", "secret=xyz").err

    assert "orq-runtime: raised: ValueError: no such thing\n  orq-runtime: ok\n" in err
    assert "\n  look in the other place\nTraceback (most recent call last):\n" in err
    assert f'  File "{cli.steps}", line 8, in chained\n    raise new from error\n' in err
    assert "\ncaused by: KeyError: 'xyz'\n" in err
    assert "secret =" not in err


def test_variables_are_shown_on_request(cli: Cli) -> None:
    """`--show-locals` has each frame's variables below its line."""
    err = cli("run", cli.step("chained"), "-i", "secret=xyz", "--show-locals").err

    assert "    raise new from error\n      secret = 'xyz'\n" in err


def test_members_of_a_group_stand_below_it(cli: Cli) -> None:
    """Each by its number."""
    err = cli("run", cli.step("group")).err

    assert "\n  1 of 2 in the group: ValueError: one\n" in err
    assert "\n  2 of 2 in the group: KeyError: 'two'\n" in err


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_failure_cannot_drive_a_terminal(cli: Cli, on_terminal: bool) -> None:
    """Escape sequences, titles and turned text of the guest are spelled out."""
    words = (cli.step("hostile"),)
    shown = _on_a_terminal(cli, *words) if on_terminal else cli("run", *words).err

    plain = re.sub("\x1b\\[[0-9;]*m", "", shown)  # the colours are ours
    assert "\\x1b]0;title\\x07\\u202eevil\\x9b2J\\r\\u2066" in plain
    assert "\\x1b[31m\\n: " in plain
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain)


def test_a_terminal_gets_colours_and_a_file_none(cli: Cli) -> None:
    """Rich draws on a terminal, `NO_COLOR` and dumb ones get none, and the words are the same."""
    words = (cli.step("chained"), "-i", "secret=xyz", "--no-progress")

    coloured = _on_a_terminal(cli, *words)
    dumb = _on_a_terminal(cli, *words, TERM="dumb")
    monochrome = _on_a_terminal(cli, *words, NO_COLOR="1")

    assert "\x1b[1;31morq-runtime: raised" in coloured
    assert "\x1b" not in dumb
    assert not re.search("\x1b\\[[0-9;]*3[0-9]", monochrome)
    assert dumb == re.sub("\x1b\\[[0-9;]*m", "", coloured)


def test_a_result_cannot_drive_a_terminal_either(cli: Cli) -> None:
    """On a terminal its text is escaped as JSON may; it is still the same value."""
    master, slave = os.openpty()
    try:
        process = cli.start("run", cli.step("returns"), stdout=slave)
        os.close(slave)
        shown = read_terminal(master).decode()
        process.communicate(timeout=120)
    finally:
        os.close(master)

    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e]", shown)
    assert "\x1b]0;t\x07\u202e\x9b2J\x7f\u2028" == json.loads(shown)
