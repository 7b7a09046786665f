"""The pool's one thread: it sees runs to their end behind their callers' backs.

Rules of this file:

1. A run is ended as soon as it is given here. It is let go of when its init is dead, or has gone on
   to the next child; one that does neither in time is killed.
2. New spares are ordered after the old run was told to end and before it is waited for.
3. At the end nothing that was given is left.
4. What zygotes answer is heard as it comes, so that no run has to wait for it. What else the pool
   looks after is looked at after a turn, but not after each: a run's own turns take long enough.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import select
import threading
import time
from collections.abc import Collection
from typing import Final, Protocol

from orq_runtime._run.entry import Due
from orq_runtime._run.launch import Launch
from orq_runtime._run.slot import Slot

__all__ = ["Tender"]

_PATIENCE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05


class Lends(Protocol):
    """Who lends out children and is told what became of them: the pool."""

    def ended(self, what: Launch) -> bytes:
        """A run is over; what the next child may be told."""
        ...

    def arrive(self, what: Launch, child: Slot | None) -> bool:
        """A child is back, or will not come; False where it is not taken."""
        ...

    def refill(self, what: Launch, *, places: int = 0) -> bool:
        """Order what is lacking of spares; whether there was any.

        `places`: how many children have ended, and none follows them.
        """
        ...

    def keep(self) -> Due:
        """Called soon after each turn, at once after one that ordered spares; at the moment that it
        gave, if any; and when one of the descriptors that it gave is readable.
        """
        ...


class Tender:
    """Takes slots from any thread."""

    def __init__(self, pool: Lends) -> None:
        """Raises OSError where the host lacks a descriptor or a thread for it."""
        self._pool = pool
        self._due: float | None = None
        self._heard: Collection[int] = ()
        self._look_at = 0.0
        self._given: collections.deque[tuple[Slot, Launch | None, bool] | None]
        self._given = collections.deque()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._bell, select.POLLIN)
        self._dying: dict[int, tuple[Slot, float]] = {}
        self._following: dict[int, tuple[Slot, Launch, float]] = {}
        self._thread = threading.Thread(target=self._tend, name="orq-pool", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            os.close(self._bell)
            raise OSError(errno.EAGAIN, "no thread for the tender") from error

    def bury(self, slot: Slot, then: Launch | None) -> None:
        """End a run, whatever its state, and order the spares its launch lacks then. Soon."""
        self._give((slot, then, False))

    def follow(self, slot: Slot, then: Launch) -> None:
        """End a run that went well, and have its init fork the next child. Soon."""
        self._give((slot, then, True))

    def _give(self, what: tuple[Slot, Launch | None, bool] | None) -> None:
        self._given.append(what)
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Blocks until all that was given is gone."""
        self._give(None)
        self._thread.join()
        os.close(self._bell)

    def _tend(self) -> None:
        is_closing = False
        while not (is_closing and not self._dying):
            ready = {descriptor for descriptor, _ in self._poll.poll(self._patience_ms())}
            if self._bell in ready:
                os.eventfd_read(self._bell)
                is_closing = self._take() or is_closing
            now = time.monotonic()
            for status, (_, _, until) in list(self._following.items()):
                if status in ready or until < now or is_closing:
                    self._receive(status)
            for pidfd, (_, until) in list(self._dying.items()):
                if pidfd in ready or until < now:
                    self._bury(pidfd, is_late=until < now)
            if not is_closing:
                self._look_after(ready, now)

    def _look_after(self, ready: set[int], now: float) -> None:
        look_at = self._look_at if self._due is None else min(self._due, self._look_at)
        if now < look_at and ready.isdisjoint(self._heard):
            self._due = look_at
            return
        self._due, heard = self._pool.keep()
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._hear(heard)

    def _refill(self, launch: Launch, *, places: int = 0) -> None:
        if self._pool.refill(launch, places=places):
            self._look_at = 0.0

    def _hear(self, descriptors: Collection[int]) -> None:
        """Wake for these, and no more for those of before: they may be others' by now."""
        for descriptor in self._heard:
            if descriptor not in self._dying and descriptor not in self._following:
                with contextlib.suppress(KeyError):  # it was a dead process's in between
                    self._poll.unregister(descriptor)
        self._heard = descriptors
        for descriptor in descriptors:
            self._poll.register(descriptor, select.POLLIN)

    def _take(self) -> bool:
        """End what was given; whether that was the last."""
        while self._given:
            given = self._given.popleft()
            if given is None:
                return True
            slot, launch, has_next = given
            about = b"" if launch is None else self._pool.ended(launch)
            if has_next and launch is not None:
                self._have_followed(slot, launch, about)
            else:
                self._let_die(slot)
            if launch is not None:
                self._refill(launch, places=0 if has_next else 1)
        return False

    def _let_die(self, slot: Slot) -> None:
        slot.release()
        self._dying[slot.pidfd] = (slot, time.monotonic() + _PATIENCE_SECONDS)
        self._poll.register(slot.pidfd, select.POLLIN)

    def _bury(self, pidfd: int, *, is_late: bool) -> None:
        slot, _ = self._dying.pop(pidfd)
        self._poll.unregister(pidfd)
        if is_late:
            slot.kill()
        slot.close()

    def _have_followed(self, slot: Slot, launch: Launch, about: bytes) -> None:
        try:
            child = slot.follow(about)
        except OSError:
            self._pool.arrive(launch, None)
            return
        status = child.channel.host("status")
        self._following[status] = (child, launch, time.monotonic() + _PATIENCE_SECONDS)
        self._poll.register(status, select.POLLIN)

    def _receive(self, status: int) -> None:
        """An init has spoken, or ended, or did neither in time."""
        child, launch, _ = self._following.pop(status)
        self._poll.unregister(status)
        is_renewed = child.is_renewed()
        if not self._pool.arrive(launch, child if is_renewed else None):
            self._let_die(child)
            self._refill(launch)

    def _patience_ms(self) -> float | None:
        moments = [until for _, until in self._dying.values()]
        moments += [until for *_, until in self._following.values()]
        if self._due is not None:
            moments.append(self._due)
        if not moments:
            return None
        return max(0.0, (min(moments) - time.monotonic()) * 1000)
