"""Zygotes by what they were launched from, and the children parked under them.

Rules of this file:

1. A child serves one run. What comes back to the pool is a run to be ended.
2. One lock per zygote, held for a message or two; starting a zygote holds only its own entry's.
3. A zygote that is gone is replaced at the next claim.
4. As many children are kept parked as were lately wanted at once, `spares` at the most.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Final, Literal

from orq_runtime._run.cgroup import Leaf, Mechanism
from orq_runtime._run.ground import Grounds
from orq_runtime._run.guest import Guests
from orq_runtime._run.launch import Launch
from orq_runtime._run.slot import Slot
from orq_runtime._run.tender import Tender
from orq_runtime._run.zygote import Zygote
from orq_runtime.errors import NeverStarted, SandboxError
from orq_runtime.model.limits import GIB, Limits

__all__ = ["Pool"]

_CALM_SECONDS: Final = 10.0
"""Without a claim that found nothing parked, for one child fewer to be kept."""


_OF_A_ZYGOTE: Final = Limits(memory_bytes=8 * GIB, processes=512)
"""For what is imported ahead: generous, for a hostile package is to find an end before the host."""


class _Entry:
    """A zygote and its demand. `spares` is how many children are to be kept parked now."""

    def __init__(self, spares: int) -> None:
        self.lock = threading.Lock()
        self.zygote: Zygote | None = None
        self.spares = spares
        self._changed = time.monotonic()

    def missed(self, most: int) -> None:
        """A claim found nothing parked."""
        self.spares = min(self.spares + 1, most)
        self._changed = time.monotonic()

    def calmed(self) -> None:
        """Keep one fewer when it has been enough for a while."""
        if self.spares > 1 and time.monotonic() - self._changed > _CALM_SECONDS:
            self.spares -= 1
            self._changed = time.monotonic()


class Pool:
    """Claims for many threads. Up to `spares` children are kept parked under each zygote."""

    def __init__(
        self, guests: Guests, grounds: Grounds, mechanism: Mechanism, *, spares: int
    ) -> None:
        self._guests = guests
        self._grounds = grounds
        self._mechanism = mechanism
        self._spares = spares
        self._lock = threading.Lock()
        self._entries: dict[Launch, _Entry] = {}
        self._is_closed = False
        self._tender: Tender | None = None

    def claim(self, what: Launch) -> tuple[Slot, Literal["warm", "hot"]]:
        """A child that waits for its request; `hot` when it was parked. Blocks for a warm one.

        Raises `NeverStarted` when no child can be had, also after a new zygote.
        """
        entry = self._entry(what)
        with entry.lock:
            for attempt in (1, 2):
                zygote, is_new = self._zygote(entry, what)
                try:
                    return self._take(entry, zygote, is_new=is_new)
                except NeverStarted:
                    self._drop(entry)
                    if attempt == 2:
                        raise
        raise AssertionError("the loop returns or raises")

    def _take(
        self, entry: _Entry, zygote: Zygote, *, is_new: bool
    ) -> tuple[Slot, Literal["warm", "hot"]]:
        while zygote.parked:
            slot = zygote.take()
            if slot.is_alive:
                return slot, "hot"
            slot.close()  # killed while it waited
        if not is_new:
            entry.missed(self._spares)
        zygote.order(self.leaf())
        slot = zygote.take()
        return slot, "warm" if is_new else "hot"

    def give_back(self, slot: Slot, what: Launch | None) -> None:
        """End a run and order new spares, by a thread of the pool's: soon, not now."""
        with self._lock:
            if not self._is_closed:
                if self._tender is None:
                    self._tender = Tender(self._refill)
                self._tender.bury(slot, what)
                return
        slot.close()

    def _refill(self, what: Launch) -> None:
        with self._lock:
            entry = None if self._is_closed else self._entries.get(what)
        if entry is None or not entry.lock.acquire(blocking=False):
            return  # whoever holds the lock is claiming, and refills after its own run
        try:
            zygote = entry.zygote
            with contextlib.suppress(SandboxError):  # the next claim finds out and says why
                entry.calmed()
                while zygote is not None and zygote.parked < entry.spares:
                    zygote.order(self.leaf())
        finally:
            entry.lock.release()

    def close(self) -> None:
        """End every zygote with all that runs under it."""
        with self._lock:
            self._is_closed = True
            entries = list(self._entries.values())
            self._entries.clear()
        if self._tender is not None:
            self._tender.close()
        for entry in entries:
            with entry.lock:
                self._drop(entry)

    def leaf(self) -> Leaf:
        """A group for a child whose limits are not known yet: `adjust` comes at dispatch."""
        try:
            return self._mechanism.leaf(Limits())
        except OSError as error:
            raise NeverStarted(f"a group for the run cannot be made: {error}") from error

    def _entry(self, what: Launch) -> _Entry:
        with self._lock:
            if self._is_closed:
                raise NeverStarted("the runtime is closed")
            return self._entries.setdefault(what, _Entry(min(1, self._spares)))

    def _zygote(self, entry: _Entry, what: Launch) -> tuple[Zygote, bool]:
        if entry.zygote is not None and entry.zygote.is_alive:
            return entry.zygote, False
        self._drop(entry)
        group = self._mechanism.leaf(_OF_A_ZYGOTE)
        entry.zygote = Zygote(self._guests, what, self._grounds.make(what.wall.tier), group)
        return entry.zygote, True

    def _drop(self, entry: _Entry) -> None:
        if entry.zygote is not None:
            entry.zygote.close()
            entry.zygote = None
