"""The pool's one thread: it sees runs to their end behind their callers' backs.

Rules of this file:

1. A run is ended as soon as it is given here, and let go of when its init is dead; one that does
   not die in time is killed.
2. New spares are ordered after the old run was told to end and before it is waited for.
3. At the end nothing that was given is left.
"""

from __future__ import annotations

import collections
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from orq_runtime._run.launch import Launch
from orq_runtime._run.slot import Slot

__all__ = ["Tender"]

_PATIENCE_SECONDS: Final = 10.0


class Tender:
    """Takes slots and orders from any thread. `refill` orders what a launch lacks of spares.

    `keep` is called after each of its turns, and at the moment that it gave, if any.
    """

    def __init__(
        self, refill: Callable[[Launch], None], keep: Callable[[], float | None] = lambda: None
    ) -> None:
        self._refill = refill
        self._keep = keep
        self._due: float | None = None
        self._given: collections.deque[tuple[Slot, Launch | None] | None] = collections.deque()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._bell, select.POLLIN)
        self._dying: dict[int, tuple[Slot, float]] = {}
        self._thread = threading.Thread(target=self._tend, name="orq-pool", daemon=True)
        self._thread.start()

    def bury(self, slot: Slot, then: Launch | None) -> None:
        """End a run, whatever its state, and order the spares its launch lacks then. Soon."""
        self._given.append((slot, then))
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Blocks until all that was given is gone."""
        self._given.append(None)
        os.eventfd_write(self._bell, 1)
        self._thread.join()
        os.close(self._bell)

    def _tend(self) -> None:
        is_closing = False
        while not (is_closing and not self._dying):
            ready = {descriptor for descriptor, _ in self._poll.poll(self._patience_ms())}
            if self._bell in ready:
                os.eventfd_read(self._bell)
                is_closing = self._take() or is_closing
            for pidfd in [*ready & self._dying.keys(), *self._overdue()]:
                slot, _ = self._dying.pop(pidfd)
                self._poll.unregister(pidfd)
                slot.close()
            if not is_closing:
                self._due = self._keep()

    def _take(self) -> bool:
        """End what was given; whether that was the last."""
        while self._given:
            given = self._given.popleft()
            if given is None:
                return True
            slot, launch = given
            slot.release()
            self._dying[slot.pidfd] = (slot, time.monotonic() + _PATIENCE_SECONDS)
            self._poll.register(slot.pidfd, select.POLLIN)
            if launch is not None:
                self._refill(launch)
        return False

    def _patience_ms(self) -> float | None:
        moments = [until for _, until in self._dying.values()]
        if self._due is not None:
            moments.append(self._due)
        if not moments:
            return None
        return max(0.0, (min(moments) - time.monotonic()) * 1000)

    def _overdue(self) -> list[int]:
        now = time.monotonic()
        overdue = [pidfd for pidfd, (_, until) in self._dying.items() if until < now]
        for pidfd in overdue:
            self._dying[pidfd][0].kill()
        return overdue
