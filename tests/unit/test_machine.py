"""The machine: every order of events ends the run, with one verdict, under its file's rules."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime._run.machine import KILL_GRACE_NS, Machine, Order
from orq_runtime.model.limits import Limits
from orq_runtime.model.verdict import VERDICTS
from orq_sandbox import wire

_DEADLINE = 1_000
_PARKED = wire.frame(wire.PARKED)
_BEGAN = wire.frame(wire.BEGAN)
_SEAL = b"0123456789abcdef"
_RESULT = wire.frame(wire.RESULT, _SEAL + wire.ALONE + b'J{"timings":{},"value":1}')
_NOT_ALONE = wire.frame(wire.RESULT, _SEAL + wire.IN_COMPANY + b'J{"timings":{},"value":1}')
_ENDLESS = wire.HEADER.pack(wire.RESULT, 1 << 30)
_FAILURE = wire.frame(wire.FAILURE, _SEAL + b'{"verdict":"raised","message":"x"}')
_FORGED = wire.frame(wire.RESULT, b'J{"timings":{},"value":1}')


def _status(wait_status: int) -> bytes:
    return wire.frame(wire.STATUS, wire.STATUS_BODY.pack(wait_status, 5_000_000, 1024, False))


def _machine() -> Machine:
    limits = Limits(stdout_bytes=10, result_bytes=100)
    return Machine(limits, deadline_ns=_DEADLINE, seal=_SEAL)


def _end(machine: Machine, now: int = 0) -> None:
    for name in ("result", "status", "stdout", "stderr"):
        machine.saw(name, b"", now)


def _after(*answer: bytes, wait_status: int | None = 0) -> Machine:
    machine = _machine()
    for chunk in answer:
        machine.saw("result", chunk, 0)
    if wait_status is not None:
        machine.saw("status", _status(wait_status), 0)
    _end(machine)
    return machine


@pytest.mark.parametrize(
    ("answer", "wait_status", "verdict", "began"),
    [
        ((_PARKED, _BEGAN, _RESULT), 0, "ok", "yes"),
        ((_PARKED + _BEGAN + _RESULT,), 0, "ok", "yes"),
        ((_PARKED, _BEGAN, _FAILURE), 0, "failure", "yes"),
        ((_PARKED, _FAILURE), 0, "failure", "no"),
        ((_PARKED, _BEGAN, _RESULT), int(signal.SIGSEGV), "ok", "yes"),
        ((_PARKED, _BEGAN, _RESULT), 3 << 8, "ok", "yes"),
        ((_PARKED, _BEGAN, _RESULT), None, "ok", "yes"),
        ((_PARKED, _BEGAN, _FORGED), 0, "protocol_violation", "yes"),
        ((_PARKED, _BEGAN, _FORGED, _RESULT), 0, "protocol_violation", "yes"),
        ((_PARKED, _BEGAN), 0, "no_result", "yes"),
        ((_PARKED, _BEGAN), 3 << 8, "exited", "yes"),
        ((_PARKED, _BEGAN), int(signal.SIGKILL), "killed", "yes"),
        ((_PARKED,), 0, "no_result", "no"),
        ((_PARKED,), None, "killed", "no"),
        ((), 125 << 8, "never_started", "no"),
        ((), None, "never_started", "no"),
        ((_BEGAN,), 0, "protocol_violation", "no"),
        ((_PARKED, _RESULT), 0, "protocol_violation", "no"),
        ((_PARKED, _PARKED), 0, "protocol_violation", "no"),
        ((_PARKED, _BEGAN, _RESULT, _RESULT), 0, "protocol_violation", "yes"),
        ((_PARKED, _BEGAN, _RESULT, b"\4"), 0, "protocol_violation", "yes"),
        ((_PARKED, _BEGAN, _ENDLESS), 9, "output_exceeded", "yes"),
        ((_PARKED, _BEGAN, _ENDLESS + _SEAL + wire.ALONE), 9, "output_exceeded", "yes"),
        ((_PARKED, _BEGAN, _ENDLESS + b"garbage"), 9, "protocol_violation", "yes"),
        ((_PARKED, wire.HEADER.pack(wire.FAILURE, 1 << 30)), 9, "protocol_violation", "no"),
    ],
)
def test_each_end_has_its_verdict(
    answer: tuple[bytes, ...], wait_status: int | None, verdict: str, began: str
) -> None:
    """What the step said and how it ended decide together."""
    machine = _after(*answer, wait_status=wait_status)

    assert machine.is_finished
    end = machine.conclusion()
    assert (verdict, began) == (end.verdict, end.began)


_LONG = wire.frame(wire.RESULT, _SEAL + wire.ALONE + b"J" * 90)
_TOO_LONG = wire.frame(wire.RESULT, _SEAL + wire.ALONE + b"J" * 100_000)
_STORIES = {
    "usual": _RESULT,
    "as long as it may be": _LONG,
    "too long": _TOO_LONG,
    "in company": _NOT_ALONE,
    "forged": _FORGED,
    "a failure": _FAILURE,
    "nothing in it": wire.frame(wire.RESULT, b""),
    "nothing but the seal": wire.frame(wire.RESULT, _SEAL),
    "cut off": _RESULT[:-1],
    "a byte more": _RESULT + b"\4",
    "told twice": _RESULT + _RESULT,
    "begun again": _RESULT + _PARKED + _BEGAN + _RESULT,
}


@pytest.mark.parametrize("calls", [True, False])
@pytest.mark.parametrize("story", _STORIES)
def test_a_story_told_at_once_is_the_one_told_in_bytes(story: str, calls: bool) -> None:
    """What most runs say is taken in one step: that decides as step by step would."""
    told = _PARKED + _BEGAN + _STORIES[story]
    ends = []
    for pieces in ([told], [told[:10], told[10:]], [bytes([byte]) for byte in told]):
        machine = Machine(Limits(result_bytes=100), deadline_ns=9, seal=_SEAL, calls=calls)
        for piece in pieces:
            machine.saw("result", piece, 5)
        settled = (machine.has_result, machine.is_answered, machine.orders())
        machine.saw("status", _status(0), 6)
        _end(machine, 7)
        ends.append((settled, machine.conclusion()))

    assert ends == [ends[0]] * 3


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ((_PARKED, _RESULT), "ok"),
        ((_PARKED, _FAILURE), "failure"),
        ((_PARKED, _BEGAN), "protocol_violation"),
        ((_PARKED, _BEGAN, _RESULT), "protocol_violation"),
        ((_PARKED, _FORGED), "protocol_violation"),
        ((_RESULT,), "protocol_violation"),
    ],
)
def test_a_run_that_calls_nothing_does_not_begin(answer: tuple[bytes, ...], verdict: str) -> None:
    """Where a function is only described or checked, its answer comes at once, or it is a lie."""
    machine = Machine(Limits(), deadline_ns=_DEADLINE, seal=_SEAL, calls=False)
    for chunk in answer:
        machine.saw("result", chunk, 0)
    machine.saw("status", _status(0), 0)
    _end(machine)

    assert (verdict, "no") == (machine.conclusion().verdict, machine.conclusion().began)


@pytest.mark.parametrize(
    ("told", "wait_status", "verdict"),
    [
        ((), None, "never_started"),
        ((_PARKED,), None, "never_started"),
        ((_PARKED,), 125 << 8, "never_started"),
        ((_PARKED, _FAILURE), 0, "failure"),
        ((_PARKED, _BEGAN), None, "killed"),
        ((_PARKED, _BEGAN, _RESULT), 0, "ok"),
    ],
)
def test_who_did_not_take_its_request_never_started(
    told: tuple[bytes, ...], wait_status: int | None, verdict: str
) -> None:
    """The kernel's word for it, unless the step has done what it could not without the request."""
    machine = _machine()
    machine.missed()
    for chunk in told:
        machine.saw("result", chunk, 0)
    if wait_status is not None:
        machine.saw("status", _status(wait_status), 0)
    _end(machine)

    assert verdict == machine.conclusion().verdict


def test_an_answer_releases_the_step() -> None:
    """Once the answer is whole the request is closed, and only once."""
    machine = _machine()
    machine.saw("result", _PARKED + _BEGAN + _NOT_ALONE, 0)

    assert ([Order.RELEASE], []) == (machine.orders(), machine.orders())


def test_a_result_settles_the_run_and_nothing_else_does() -> None:
    """A run is handed over at its RESULT, or at its end; not at a FAILURE, not in company."""
    limits = Limits()
    waiting = Machine(limits, deadline_ns=_DEADLINE, seal=_SEAL, waits_for_end=True)
    failing, answering = _machine(), _machine()
    answering.saw("result", _PARKED + _BEGAN, 0)
    before = answering.is_settled
    daemonic = _machine()
    others = ((waiting, _RESULT), (failing, _FAILURE), (daemonic, _NOT_ALONE))
    for machine, answer in others:
        machine.saw("result", _PARKED + _BEGAN + answer, 0)
    answering.saw("result", _RESULT, 0)

    assert (False, True) == (before, answering.is_settled)
    assert not any(machine.is_settled for machine, _ in others)


def test_a_deadline_stops_then_kills_then_gives_up() -> None:
    """Every wait has an end: STOP at the deadline, KILL when init does not report, then done."""
    machine = _machine()
    machine.saw("result", _PARKED + _BEGAN, 0)

    machine.tick(_DEADLINE)
    stop = machine.orders()
    machine.tick(machine.next_ns or 0)
    kill = machine.orders()
    machine.tick(machine.next_ns or 0)

    assert ([Order.STOP], [Order.KILL], True) == (stop, kill, machine.is_finished)
    assert "timeout" == machine.conclusion().verdict


def test_a_deadline_after_the_answer_changes_nothing() -> None:
    """An answer stands, even when the process must be killed to go."""
    machine = _machine()
    machine.saw("result", _PARKED + _BEGAN + _NOT_ALONE, 0)
    machine.tick(KILL_GRACE_NS)
    orders = machine.orders()
    machine.saw("status", _status(int(signal.SIGKILL)), 0)
    _end(machine)

    assert ([Order.RELEASE, Order.KILL], "ok") == (orders, machine.conclusion().verdict)


def test_the_first_cause_counts() -> None:
    """A cancel after a timeout, or the other way round, does not change the verdict."""
    machine = _machine()
    machine.stop("cancelled", 0)
    machine.tick(_DEADLINE)
    machine.stop("timeout", 0)
    _end(machine)

    assert "cancelled" == machine.conclusion().verdict


def test_a_lie_ends_the_run_but_not_its_usage() -> None:
    """Garbage is answered with STOP, so that init still says what the run used."""
    machine = _machine()
    machine.saw("result", b"\xff" * 20, 0)
    orders = machine.orders()
    machine.saw("status", _status(int(signal.SIGKILL)), 0)
    _end(machine)

    end = machine.conclusion()
    assert [Order.STOP_NOW] == orders
    assert ("protocol_violation", 5.0) == (end.verdict, end.cpu_seconds)


_EVENTS = st.one_of(
    st.tuples(
        st.sampled_from(["result", "status", "stdout", "stderr"]),
        st.sampled_from(
            [b"", _PARKED, _BEGAN, _RESULT, _FAILURE, _status(0), _status(9), b"\xff", b"x" * 40]
        ),
    ),
    st.tuples(st.just("tick"), st.integers(0, 10**11)),
    st.tuples(st.just("cancel"), st.just(0)),
)


@given(st.lists(_EVENTS, max_size=30))
def test_every_history_ends_in_a_known_verdict(history: list[tuple[str, bytes | int]]) -> None:
    """Whatever comes in whatever order: the run can be ended, and its verdict is of the table."""
    machine = _machine()
    now = 0
    for name, what in history:
        if name == "tick" and isinstance(what, int):
            now += what
            machine.tick(now)
        elif name == "cancel":
            machine.stop("cancelled", now)
        elif isinstance(what, bytes):
            machine.saw(name, what, now)
        machine.orders()
    for _ in range(8):
        if machine.is_finished:
            break
        now = max(now, machine.next_ns or now)
        machine.tick(now)

    assert machine.is_finished
    assert machine.conclusion().verdict in {*VERDICTS, "failure"}
