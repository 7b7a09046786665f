"""How much memory a pool may keep parked, and who goes when it is more.

Rules of this file:

1. What counts is what is kept without a run: parked children, and the zygotes they are forked from.
   Runs have limits of their own.
2. Nobody is weighed under a lock, nor more often than every `WEIGH_SECONDS`, nor at all while
   nothing was started or forked there.
3. Where it is too much, parked children go and then their zygote, the least recently used first. A
   zygote with a run under way stays.
4. What would have to go at once is not forked.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final  # Any: whatever the children of an entry are

from orq_runtime._run.entry import Entry
from orq_runtime._run.weight import Weight

__all__ = ["WEIGH_SECONDS", "Ceiling"]

WEIGH_SECONDS: Final = 1.0


_Entry = Entry[Any]


class Ceiling:
    """For the pool's tender only, but for `held`."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes

    @staticmethod
    def held(entries: Collection[_Entry]) -> int:
        """Bytes that are kept, as far as they were weighed."""
        return sum(entry.held() for entry in entries)

    def weigh(self, entries: Collection[_Entry], now: float) -> float | None:
        """Weigh who may weigh more than before; when to do so next, if ever."""
        due = [entry for entry in entries if entry.is_changed]
        for entry in due:
            if now >= entry.weighed + WEIGH_SECONDS:
                entry.is_changed = False
                _weigh(entry, now, exactly=False)
        if self.held(entries) > self._most:
            for entry in entries:
                if not entry.weight.is_exact:
                    _weigh(entry, now, exactly=True)
        left = [entry.weighed for entry in entries if entry.is_changed]
        return min(left) + WEIGH_SECONDS if left else None

    def excess(self, entries: Collection[_Entry]) -> int:
        """Bytes that are too much; 0 or less when none are."""
        return self.held(entries) - self._most

    def has_room(self, entry: _Entry, entries: Collection[_Entry]) -> bool:
        """Whether one child more could stay, when all that can go for it has gone."""
        others = sum(one.weight.own for one in entries if one is not entry and one.is_busy)
        return others + entry.held(more=1) <= self._most


def _weigh(entry: _Entry, now: float, *, exactly: bool) -> None:
    entry.weighed = now
    if not entry.lock.acquire(blocking=False):
        entry.is_changed = True  # it is wanted: later
        return
    try:
        scales = entry.scales()
    except OSError:  # no descriptor to spare: later
        entry.is_changed = True
        return
    finally:
        entry.lock.release()
    if scales is None:
        entry.weight = Weight(is_exact=True)
        return
    try:
        weight = scales.weigh(exactly=exactly)
    finally:
        scales.close()
    if not weight.child:  # none is parked
        weight = weight._replace(child=entry.weight.child)
    entry.weight = weight
