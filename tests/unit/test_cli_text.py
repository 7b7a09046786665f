"""The command line's own text: JSON in and out, inputs, targets, what meets a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime.cli import jsontext
from orq_runtime.cli.inputs import read_inputs
from orq_runtime.cli.sizes import as_size, read_age, read_size
from orq_runtime.cli.targets import Target, named_components
from orq_runtime.cli.terminal import printable
from orq_runtime.errors import RequestError

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # half surrogate pairs too: a guest can return them
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(_JSON)
def test_what_is_written_reads_back(value: object) -> None:
    """One line, and the same value for us and for any other parser."""
    text = jsontext.dump(value).decode("utf-8")

    assert text.endswith("\n")
    assert "\n" not in text[:-1]
    assert value == jsontext.parse(text)
    assert value == json.loads(text)


@given(st.text())
def test_garbage_is_read_or_refused(text: str) -> None:
    """Anything that is no strict JSON raises ValueError and nothing else."""
    try:
        value = jsontext.parse(text)
    except ValueError:
        return

    assert value == json.loads(text)


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_printable_moves_a_cursor(text: str) -> None:
    """Of control characters only line end and tab are left."""
    shown = printable(text)

    controls = {chr(code) for code in (*range(32), *range(127, 160))} - {"\n", "\t"}
    assert set() == controls & set(shown)


def test_ordinary_text_is_shown_as_it_is() -> None:
    """Umlauts, emoji and Windows line ends read as they should."""
    assert "Grüße 🎉\n\tx" == printable("Grüße 🎉\r\n\tx")


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("a=1", {"a": "1"}),
        ("a:=1", {"a": 1}),
        ("a=", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("url=http://x?y:=z", {"url": "http://x?y:=z"}),
        ("constant-0:=[null]", {"constant-0": [None]}),
        ('a:={"b": 123456789012345678901}', {"a": {"b": 123456789012345678901}}),
    ],
)
def test_an_input_is_text_or_json(text: str, inputs: dict[str, object]) -> None:
    """The first `=` ends the name; a `:` before it asks for JSON."""
    assert inputs == read_inputs([("one", text)])


@pytest.mark.parametrize("text", ["a", "=1", ":=1", "a:=", "a:=b", "a:=01", "a:=-Infinity"])
def test_an_input_that_is_none_is_refused(text: str) -> None:
    """The error is the caller's."""
    with pytest.raises(RequestError):
        read_inputs([("one", text)])


def test_text_that_is_not_utf8_is_refused_by_name() -> None:
    """A byte of the command line that is no text cannot be sent as JSON."""
    with pytest.raises(RequestError, match="input `a` is not UTF-8 text"):
        read_inputs([("one", "a=\udcff")])


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("a/b.py:f", Target(path=Path("a/b.py"), name="f")),
        ("C:odd/b.py:f", Target(path=Path("C:odd/b.py"), name="f")),
        ("a/step.yaml", Target(path=Path("a/step.yaml"))),
        ("a/wf.zqwl:one", Target(path=Path("a/wf.zqwl"), name="one")),
    ],
)
def test_a_target_is_a_file_and_a_name(text: str, target: Target) -> None:
    """The last `:` divides them; a document needs no name."""
    assert target == Target.parse(text)


def test_components_are_named_by_the_caller_or_their_folder() -> None:
    """`NAME=DIR`, or `DIR` with the folder's own name; a path may hold `=`."""
    found = named_components(["/x/core", "maps=/y/other", "/z/a=b"])

    assert {"core": Path("/x/core"), "maps": Path("/y/other"), "a=b": Path("/z/a=b")} == found


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5120.0 GiB")]
)
def test_sizes_are_read_by_people(count: int, text: str) -> None:
    """Binary units, one decimal."""
    assert text == as_size(count)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("2GiB", 2 << 30), ("500MB", 500 * 10**6), ("1.5 k", 1536), ("3t", 3 << 40)],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    """Units of 1000 and of 1024, in either case, and a bare number of bytes."""
    assert size == read_size(text)
    assert size == read_size(text.upper())


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 30 * 86400), ("12h", 43200), ("90min", 5400), ("0s", 0)]
)
def test_an_age_is_read_as_people_write_it(text: str, seconds: float) -> None:
    """A number and its unit."""
    assert seconds == read_age(text)


@pytest.mark.parametrize("text", ["", "-1", "1e9", "2 GiBs", "1,5k", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """And so is what is no age: one without a unit."""
    with pytest.raises(ValueError, match="not a size"):
        read_size(text)
    with pytest.raises(ValueError, match="not an age"):
        read_age(text)
