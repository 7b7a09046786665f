"""Where the time of a run went: every phase of every run, on one clock, whoever drove it."""

from __future__ import annotations

import pytest

import orq_runtime as orq
from tests.functional.conftest import Call

_HOST_BEFORE = ("queue", "supply", "prepare", "claim")
_GUEST = ("decode", "load", "bind", "convert", "check", "call", "check_result", "encode")
_PHASES = {*_HOST_BEFORE, "send", *_GUEST, "receive", "total"}
_STEP = orq.Step(
    source=(
        "import time\n"
        "def f(xs: tuple[int, ...], wait: float) -> int:\n"
        "    time.sleep(wait)\n"
        "    return 1 // len(xs)\n"
    ),
    function="f",
)


def test_every_phase_of_a_run_is_told(call: Call) -> None:
    """Seconds, none negative; together they are the whole, for nothing is counted twice."""
    timings = call(_STEP, {"xs": [1], "wait": 0.25}).timings

    parts = sum(seconds for name, seconds in timings.items() if name != "total")
    assert _PHASES == timings.keys()
    assert all(seconds >= 0 for seconds in timings.values())
    assert 0.25 <= timings["call"] < timings["total"]
    assert parts == pytest.approx(timings["total"], abs=0.25)


def test_a_run_that_failed_tells_the_phases_it_reached(call: Call) -> None:
    """The one that failed is among them, those behind it are not."""
    timings = call(_STEP, {"xs": [], "wait": 0.0}).timings

    assert _PHASES - {"check_result", "encode"} == timings.keys()


def test_a_run_that_did_not_answer_has_the_phases_of_the_host(call: Call) -> None:
    """What only the guest knows is missing where it could not say so."""
    step = orq.Step(source="import os\ndef f() -> None:\n    os._exit(3)\n", function="f")
    timings = call(step).timings

    assert {*_HOST_BEFORE, "total"} == timings.keys()
