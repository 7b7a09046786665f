"""The tender's thread: it buries what it is given, and is woken by what its pool waits for."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from collections.abc import Collection, Iterator
from typing import Any, cast

import pytest

from orq_runtime._run.tender import Tender

_PATIENCE_SECONDS = 30.0


class _Dead:
    """A slot whose process has ended."""

    def __init__(self) -> None:
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            self.pidfd = os.pidfd_open(process.pid)
        self.is_closed = False

    def release(self) -> None:
        """As a slot's."""

    def close(self) -> None:
        """As a slot's."""
        os.close(self.pidfd)
        self.is_closed = True


class _Pool:
    """Counts its turns; listens to what it is told to."""

    def __init__(self) -> None:
        self.turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.heard: Collection[int] = ()
        self.tender = Tender(cast("Any", self))

    def keep(self) -> tuple[float | None, Collection[int]]:
        """As a pool's."""
        self.turns.put(None)
        return None, self.heard

    def have_a_turn(self) -> None:
        """Give the tender something to bury, and wait until it is gone."""
        dead = _Dead()
        self.tender.bury(cast("Any", dead), None)
        while not dead.is_closed:
            self.turns.get(timeout=_PATIENCE_SECONDS)


@pytest.fixture
def pool() -> Iterator[_Pool]:
    """One with its tender, which is closed in the end."""
    made = _Pool()
    yield made
    made.tender.close()


def test_a_tender_is_woken_by_what_its_pool_listens_to(pool: _Pool) -> None:
    """A zygote's answer is heard when it comes, and not when the next run does."""
    reader, writer = os.pipe()
    pool.heard = [reader]
    pool.have_a_turn()
    while not pool.turns.empty():
        pool.turns.get()

    pool.heard = []
    os.write(writer, b"x")

    pool.turns.get(timeout=_PATIENCE_SECONDS)
    os.close(reader)
    os.close(writer)


def test_a_descriptor_that_was_closed_meanwhile_wakes_once(pool: _Pool) -> None:
    """Its number may be anybody's by then, also that of a run that is to be buried."""
    reader, writer = os.pipe()
    pool.heard = [reader]
    pool.have_a_turn()
    pool.heard = []
    os.close(writer)
    os.close(reader)

    for _ in range(3):  # their pidfds take the numbers that are free
        pool.have_a_turn()

    assert pool.turns.qsize() < 10
