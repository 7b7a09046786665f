"""Two makers of one thing: one makes it, the other waits, and says for whom."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from orq_runtime import _fs
from orq_runtime._supply.store import Store
from orq_runtime._supply.waiting import exclusively, holder_of, making
from orq_runtime.events import Event
from tests.supply_fixtures import Recorder

pytestmark = pytest.mark.slow


def test_a_waiter_names_the_process_that_holds_the_lock(tmp_path: Path) -> None:
    """`wait` starts with a sentence that has its number, and is done when the lock is free."""
    store, heard = Store(tmp_path), Recorder()
    waits, inside = threading.Event(), threading.Event()

    def sink(event: Event) -> None:
        heard(event)
        waits.set()

    def wait() -> None:
        with exclusively(store, sink, "lock", "k", subject="core", what="it is being made"):
            inside.set()

    waiter = threading.Thread(target=wait)
    with _fs.lock(store.maker_guard("lock", "k"), timeout_seconds=5):
        waiter.start()
        assert waits.wait(60)
        assert not inside.is_set()
    waiter.join(60)

    started, done = heard.events
    assert inside.is_set()
    assert ("wait", "started", "core") == (started.phase, started.state, started.subject)
    assert started.message.startswith(f"it is being made, by process {os.getpid()} (")
    assert ("wait", "done", "core") == (done.phase, done.state, done.subject)


def test_a_cleaning_is_waited_for_by_name(tmp_path: Path) -> None:
    """Who makes something while the store is emptied says what it waits for."""
    store, heard = Store(tmp_path), Recorder()
    waits = threading.Event()

    def sink(event: Event) -> None:
        heard(event)
        waits.set()

    def make() -> None:
        with making(store, sink):
            pass

    maker = threading.Thread(target=make)
    with _fs.lock(store.activity, timeout_seconds=5):
        maker.start()
        assert waits.wait(60)
    maker.join(60)

    assert [("wait", "started"), ("wait", "done")] == [(e.phase, e.state) for e in heard.events]
    assert heard.events[0].message.startswith("the cache is being cleaned, by process ")


def test_nobody_waits_for_a_free_lock(tmp_path: Path) -> None:
    """No event, and no holder."""
    store, heard = Store(tmp_path), Recorder()

    with exclusively(store, heard, "lock", "k", subject="core", what="it is being made"):
        held = holder_of(store.maker_guard("lock", "k"))

    assert [] == heard.events
    assert held.startswith(f"process {os.getpid()}")
    assert "" == holder_of(store.maker_guard("lock", "k"))
    assert "" == holder_of(tmp_path / "nowhere")
