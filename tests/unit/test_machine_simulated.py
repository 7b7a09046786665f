"""The machine under thousands of seeded runs: guests that die, stall and lie at every point.

A fake guest has a script of what its step writes and when, and an init that obeys, dawdles, dies or
lies. The loop below is a driver without descriptors and with a fake clock: it feeds the machine
what the guest lets be seen, calls `tick` when asked to, and carries out orders.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import random
from collections.abc import Callable

import pytest

from orq_runtime._run.machine import DRAIN_GRACE_NS, KILL_GRACE_NS, TERM_GRACE_MS, Machine, Order
from orq_runtime.model.limits import Limits
from orq_runtime.model.verdict import VERDICTS
from orq_sandbox import wire

_SCHEDULES = 4_000
_DEADLINE = 10_000_000_000
_LONGEST = _DEADLINE + TERM_GRACE_MS * 1_000_000 + 3 * KILL_GRACE_NS + DRAIN_GRACE_NS
_SEAL = b"0123456789abcdef"
_VALUE = b'J{"timings":{},"value":1}'
_PARKED, _BEGAN = wire.frame(wire.PARKED), wire.frame(wire.BEGAN)
_ALONE = wire.frame(wire.RESULT, _SEAL + wire.ALONE + _VALUE)
_IN_COMPANY = wire.frame(wire.RESULT, _SEAL + wire.IN_COMPANY + _VALUE)
_FAILURE = wire.frame(wire.FAILURE, _SEAL + b'{"verdict":"raised","message":"x"}')
_LIES = (
    wire.frame(wire.RESULT, b"another seal 000" + wire.ALONE + _VALUE),
    wire.frame(wire.RESULT, _SEAL + b"x" * 10_000),
    wire.frame(wire.STATUS, wire.STATUS_BODY.pack(0, 1, 1, False)),
    b"\xff" * 7,
    b"\x03",
    _PARKED,
    _ALONE,
    _FAILURE,
    b"",
)
_STATUS = wire.frame(wire.STATUS, wire.STATUS_BODY.pack(0, 5_000_000, 1024, False))


class _Guest:
    """What happens and when. Truth is kept beside what the machine is shown."""

    def __init__(self, seed: int) -> None:
        self.chooser = random.Random(seed)
        self.machine = Machine(
            Limits(stdout_bytes=100, result_bytes=1000),
            deadline_ns=_DEADLINE,
            seal=_SEAL,
            waits_for_end=self.chooser.random() < 0.2,
        )
        self.now = 0
        self.written = b""
        self.is_init_alive = True
        self.is_step_alive = True
        self.was_cancelled = False
        self.orders: list[Order] = []
        self._open = {"result", "status", "stdout", "stderr"}
        self._numbers = itertools.count()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._init = self.chooser.choice(["good", "good", "good", "deaf", "mute", "liar"])
        self._plan()

    def _plan(self) -> None:
        honest = [_PARKED, _BEGAN, self.chooser.choice([_ALONE, _IN_COMPANY, _FAILURE])]
        script = honest[: self.chooser.choice([0, 1, 2, 3, 3, 3, 3])]
        if self.chooser.random() < 0.3:
            place = self.chooser.randrange(len(script) + 1)
            script.insert(place, self.chooser.choice(_LIES))
        moment = 0
        for frame in script:
            moment += self._delay()
            half = self.chooser.randrange(len(frame) + 1)
            for part in (frame[:half], frame[half:]):
                self.later(moment, functools.partial(self._write, "result", part))
                moment += self.chooser.choice([0, 1, 1_000_000])
        for _ in range(self.chooser.randrange(3)):
            self.later(self._delay(), lambda: self._write("stdout", b"x" * 60))
        if self.chooser.random() < 0.5:  # without it the step hangs, or lingers after its answer
            self.later(moment + self._delay(), self._step_ends)
        if self.chooser.random() < 0.15:
            self.later(self._delay(), self._init_dies)
        if self.chooser.random() < 0.15:
            self.later(self._delay(), self._cancel)

    def _delay(self) -> int:
        return self.chooser.choice([0, 1, 1_000_000, 1_000_000_000, 20_000_000_000])

    def later(self, delay: int, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._numbers), event))

    def _write(self, name: str, chunk: bytes) -> None:
        if not self.is_step_alive or name not in self._open or not chunk:
            return
        if name == "result":
            self.written += chunk
        self.machine.saw(name, chunk, self.now)

    def _end(self, name: str) -> None:
        if name in self._open:
            self._open.discard(name)
            self.machine.saw(name, b"", self.now)

    def _cancel(self) -> None:
        self.was_cancelled = True
        self.machine.stop("cancelled", self.now)

    def _step_ends(self) -> None:
        if not self.is_step_alive:
            return
        self.is_step_alive = False
        for name in ("result", "stdout", "stderr"):
            self._end(name)
        if self._init != "mute":
            self.later(self.chooser.choice([0, 1_000_000]), self._init_reports)

    def _init_reports(self) -> None:
        if not self.is_init_alive:
            return
        self.machine.saw("status", _STATUS, self.now)
        if self._init == "liar":
            self.machine.saw("status", self.chooser.choice([_STATUS, b"\xff" * 9]), self.now)
        self._init_dies()

    def _init_dies(self) -> None:
        self.is_init_alive = self.is_step_alive = False
        self._end("status")
        for name in ("result", "stdout", "stderr"):
            if self.chooser.random() < 0.9:  # else somebody holds the other end for ever
                self._end(name)

    def obey(self) -> None:
        for order in self.machine.orders():
            self.orders.append(order)
            if order is Order.KILL:
                self.later(self.chooser.choice([0, 1_000_000]), self._init_dies)
            elif order is Order.RELEASE:
                if self.chooser.random() < 0.8:
                    self.later(self.chooser.choice([0, 1_000_000]), self._step_ends)
            elif self._init != "deaf":
                self.later(self.chooser.choice([0, 1_000_000]), self._step_ends)

    def run(self) -> None:
        """Drive the machine until the run is over for the caller."""
        self.obey()
        while not self.machine.is_settled:
            moments = [self._events[0][0]] if self._events else []
            if self.machine.next_ns is not None:
                moments.append(self.machine.next_ns)
            assert moments, "nothing will ever happen again"
            self.now = max(self.now, min(moments))
            assert self.now <= _LONGEST, "a run goes on beyond all its deadlines"
            if self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            self.machine.tick(self.now)
            self.obey()


def _frames(written: bytes) -> list[int]:
    """The kinds of the whole frames of the bytes, as far as they are frames."""
    longest = dict.fromkeys((wire.PARKED, wire.BEGAN, wire.RESULT, wire.FAILURE), 1 << 20)
    kinds: list[int] = []
    with contextlib.suppress(wire.WireError):
        kinds += (kind for kind, _ in wire.Decoder(longest).feed(written))
    return kinds


@pytest.mark.parametrize("first", range(0, _SCHEDULES, 1000))
def test_every_run_ends_in_time_and_its_verdict_is_true(first: int) -> None:
    """1. A run ends within its deadline and its graces, in a verdict that is known.

    2. `ok` and `failure` need a whole answer of the step's, under the seal, after BEGAN or PARKED.
    3. `began` is never wrong: `yes` means that BEGAN was written, `no` that it was not.
    4. What was written whole and honestly before anybody stopped the run is its outcome.
    5. A run that is over and was not answered by RESULT has a dead init, or an order to kill it.
    6. Nobody is killed who was not asked to stop, had answered or kept silent at its end.
    """
    for seed in range(first, first + 1000):
        guest = _Guest(seed)
        guest.run()
        end = guest.machine.conclusion()
        kinds = _frames(guest.written)

        assert end.verdict in {*VERDICTS, "failure"}, seed
        if end.verdict in ("ok", "failure"):
            assert end.answer is not None, seed
            assert wire.PARKED == kinds[0], seed
            assert (wire.RESULT if end.verdict == "ok" else wire.FAILURE) in kinds, seed
        if end.verdict == "ok":
            assert [wire.PARKED, wire.BEGAN, wire.RESULT] == kinds, seed
            assert _SEAL in guest.written, seed
        if end.began == "yes":
            assert wire.BEGAN in kinds, seed
        if end.began == "no":
            assert [wire.PARKED, wire.BEGAN] != kinds[:2], seed
        if end.verdict == "timeout":
            assert guest.now >= _DEADLINE, seed
        if end.verdict == "cancelled":
            assert guest.was_cancelled, seed
        if end.verdict != "ok":
            assert not guest.is_init_alive or Order.KILL in guest.orders, seed
        if Order.KILL in guest.orders:
            before = guest.orders[: guest.orders.index(Order.KILL)]
            assert before or guest.machine.is_answered, seed


def test_an_honest_run_is_always_believed() -> None:
    """An honest step under a good init, however its bytes are cut and its clock runs, is `ok`."""
    for seed in range(300):
        chooser = random.Random(seed)
        machine = Machine(Limits(), deadline_ns=_DEADLINE, seal=_SEAL)
        message, now = _PARKED + _BEGAN + _ALONE, 0
        while message:
            size = chooser.randrange(1, len(message) + 1)
            machine.saw("result", message[:size], now)
            message = message[size:]
            now += chooser.randrange(1000)
            machine.tick(now)

        assert machine.is_settled
        assert ("ok", "yes") == (machine.conclusion().verdict, machine.conclusion().began)
