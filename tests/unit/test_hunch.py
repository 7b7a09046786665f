"""When a parked child is told what its request will be about."""

from __future__ import annotations

from orq_runtime._run.hunch import LONGEST_HUNCH, Hunch


def _after(*abouts: bytes) -> bytes:
    hunch = Hunch()
    for about in abouts:
        hunch.note(about)
    return hunch.about


def test_a_step_is_expected_once_it_was_wanted_twice_in_a_row() -> None:
    """One request is no habit."""
    assert [b"", b"a", b"", b"b"] == [
        _after(b"a"),
        _after(b"a", b"a"),
        _after(b"a", b"a", b"b"),
        _after(b"a", b"b", b"b"),
    ]


def test_a_hunch_that_was_wrong_needs_twice_as_much_to_come_back() -> None:
    """Steps that take turns do not have each other's children ended for long."""
    wrong = (b"a", b"a", b"b")

    assert [b"", b"b"] == [_after(*wrong, b"b", b"b"), _after(*wrong, b"b", b"b", b"b")]


def test_what_is_too_long_and_what_is_nothing_is_never_told() -> None:
    """A command has nothing to be told, and a long text does not fit into the socket."""
    long = b"x" * (LONGEST_HUNCH + 1)

    assert [b"", b""] == [_after(b"", b"", b""), _after(long, long, long)]
