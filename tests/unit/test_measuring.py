"""Turns and rounds: who is called when, and what counts."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from orq_runtime.cli.measuring import CALLS, Contender, Pace, measure, spawn


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited; nobody waits."""
    waited: list[float] = []
    monkeypatch.setattr("orq_runtime.cli.measuring.time.sleep", waited.append)
    return waited


def _contender(pace: Pace, calls: list[str]) -> Contender:
    def call() -> float:
        calls.append(pace)
        return float(len(calls))

    return Contender(name=pace, work="w", pace=pace, call=call)


def test_a_turn_goes_by_its_pace(pauses: list[float]) -> None:
    """Several calls or one, after pauses or without; the first of several is not counted."""
    calls: list[str] = []
    paced = _contender("paced", calls)

    (turns,) = measure([paced], 1, seed=1).values()

    assert {0: [2.0, 3.0, 4.0, 5.0, 6.0]} == turns
    assert len(pauses) == len(calls) == CALLS + 1
    pauses.clear()
    measure([_contender("back to back", calls)], 1, seed=1)
    assert not pauses
    measure([_contender("once", calls)], 1, seed=1)
    assert 1 == len(pauses)
    assert {"paced": 6, "back to back": 6, "once": 1} == Counter(calls)


def test_every_round_has_all_in_another_order(pauses: list[float]) -> None:
    """But for cold ones, which have a turn in as many rounds as were asked for."""
    assert pauses == []
    calls: list[str] = []
    field = [_contender(pace, calls) for pace in ("once", "back to back", "cold")]
    over: list[int] = []

    measured = measure(field, 8, seed=3, cold_rounds=2, told=over.append)

    assert list(range(1, 9)) == over
    turns = {one.name: sorted(found) for one, found in measured.items()}
    assert {"once": [*range(8)], "back to back": [*range(8)], "cold": [0, 4]} == turns
    orders = "".join({"once": "o", "back to back": "b", "cold": "c"}[one] for one in calls)
    assert "ob" in orders.replace("c", "")
    assert "bo" in orders.replace("c", "")


@pytest.mark.slow
def test_a_process_that_fails_is_no_measurement() -> None:
    """Its words are in the error; one that ends well gives what it printed."""
    seconds, printed = spawn([sys.executable, "-I", "-c", "print(7)"], {})

    assert (True, "7\n") == (seconds > 0, printed)
    with pytest.raises(RuntimeError, match=r"(?s)status 256 of .*boom"):
        spawn([sys.executable, "-I", "-c", "raise SystemExit('boom')"], {})
