"""Threads that drive runs, where the host has no more of them to give."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from orq_runtime._drivers import Drivers
from orq_runtime._run.drive_sync import Canceller
from orq_runtime.errors import RuntimeSaturated
from orq_runtime.model.when import When


@pytest.fixture
def drivers() -> Iterator[Drivers]:
    made = Drivers(2, 10)
    yield made
    made.close(drain=True)


def _refuse(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _five(_: Canceller) -> int:
    return 5


def test_without_any_thread_a_run_is_refused_and_nobody_waits(
    drivers: Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so at once, and once there are threads again all is well."""
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        with pytest.raises(RuntimeSaturated, match="no thread"):
            drivers.submit("a", _five, When.now())
    waiting = drivers.waiting

    assert (0, 5) == (waiting, drivers.submit("a", _five, When.now()).result(60))


def test_with_one_thread_all_runs_come_to_their_turn(
    drivers: Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has to do without a thread of its own."""
    begun, going_on = threading.Event(), threading.Event()

    def first(_: Canceller) -> bool:
        begun.set()
        return going_on.wait(60)

    one = drivers.submit("a", first, When.now())
    assert begun.wait(60)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        other = drivers.submit("b", _five, When.now(100.0))
    going_on.set()

    assert (True, 5) == (one.result(60), other.result(60))
