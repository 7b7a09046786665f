"""What a pool lets go of, and when: zygotes without runs, and children that weigh too much.

Rules of this file:

1. A zygote without runs goes after `idle_seconds`, or earlier when there are more than `zygotes`:
   the least recently used first. One with a run under way never goes. The same, child by child,
   where what is parked holds more memory than `parked_bytes` (`ceiling`).
2. Nothing here waits: what is wanted at the moment is looked at the next time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from orq_runtime._run.ceiling import Ceiling
from orq_runtime._run.entries import Entries
from orq_runtime._run.entry import Child, Due, Entry
from orq_runtime.errors import NeverStarted, SandboxError
from orq_runtime.model.keeps import Keeps

__all__ = ["Upkeep"]

K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=Child)


class Upkeep(Generic[K, C]):
    """For the pool's tender only, but for `look`. `end` is given the children that are to go."""

    def __init__(
        self,
        entries: Entries[K, C],
        keeps: Keeps,
        clock: Callable[[], float],
        end: Callable[[C], object],
    ) -> None:
        self._entries, self._clock, self._end = entries, clock, end
        self._most, self._idle_seconds = keeps.zygotes, keeps.idle_seconds
        self._ceiling = Ceiling(keeps.parked_bytes)
        self._due = 0.0
        self._is_crowded = False

    def look(self) -> None:
        """There is a zygote more."""
        self._is_crowded = self._is_crowded or self._entries.alive > self._most

    def has_room(self, entry: Entry[C]) -> bool:
        """Whether a child more could stay there."""
        return self._ceiling.has_room(entry, self._entries.all())

    def keep(self) -> Due:
        """Retire what is idle, or too much; when to do so next."""
        more = self._settle()
        now = self._clock()
        weigh_at = self._lighten(now)
        if now >= self._due or self._is_crowded:
            self._retire_idle(now)
        due = self._due if self._entries.all() else None
        first = min((one for one in (due, weigh_at) if one is not None), default=None)
        return first, more

    def _settle(self) -> set[int]:
        """Hear what zygotes have to say, before a claim has to; where more is to come."""
        more: set[int] = set()
        for entry in self._entries.all():
            if entry.lock.acquire(blocking=False):
                try:
                    with contextlib.suppress(SandboxError):  # the next claim finds out, says why
                        if entry.zygote is not None:
                            more.add(entry.zygote.settle())
                finally:
                    entry.lock.release()
        more.discard(-1)
        return more

    def _retire_idle(self, now: float) -> None:
        entries = self._entries.by_use()
        excess = sum(entry.zygote is not None for _, entry in entries) - self._most
        self._due = now + self._idle_seconds
        for what, entry in entries:
            if excess > 0 or now - entry.used >= self._idle_seconds:
                excess -= self._entries.retire(what, entry)
            elif not entry.is_busy:
                self._due = min(self._due, entry.used + self._idle_seconds)
        self._is_crowded = excess > 0  # those with a run go when it is over

    def _lighten(self, now: float) -> float | None:
        """Let go of what is over the ceiling; when to look again, if ever."""
        weigh_at = self._ceiling.weigh(self._entries.all(), now)
        if self._is_too_much():
            for what, entry in self._entries.by_use():
                while self._is_too_much() and self._sheds(entry):
                    pass
                if self._is_too_much():
                    self._entries.retire(what, entry)
        return weigh_at

    def _is_too_much(self) -> bool:
        return self._ceiling.excess(self._entries.all()) > 0

    def _sheds(self, entry: Entry[C]) -> bool:
        """Let one parked child go; False when there was none to be had."""
        if not entry.lock.acquire(blocking=False):
            return False
        try:
            zygote, slot = entry.zygote, entry.shed_back()
            if slot is None and zygote is not None and zygote.is_forked:
                slot = zygote.take()
        except NeverStarted:  # the next claim finds out and says why
            return False
        finally:
            entry.lock.release()
        if slot is not None:
            self._end(slot)
        return slot is not None
