"""Zygotes by what they were launched from, and the children parked under them.

Rules of this file:

1. A child serves one run. What comes back to the pool is a run to be ended. Where it went well and
   its wall allows it (`can_follow`), its init then forks the next child.
2. One lock per zygote, held for a message or two; starting a zygote holds only its own entry's.
3. A zygote that is gone is replaced at the next claim: at once, and with growing pauses when its
   successors die as well before they have given a child. What the host lacks (`Short`) ends none.
4. As many children are forked ahead as were lately wanted at once, `spares` at the most; up to
   16 more, and not more than twice as many, stay parked where runs leave them.
5. Where a child was killed its zygote may have been: nothing is lent before it was looked at.
6. What goes of what nobody wants is decided in `upkeep`. What processes are is not known here:
   zygotes are made by `start`, ended children go to `tend`.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, Literal, Protocol, TypeVar

from orq_runtime._dataclass import replace
from orq_runtime._run.cgroup import Leaf
from orq_runtime._run.entries import Entries
from orq_runtime._run.entry import Child, Due, Entry, Parent, Short
from orq_runtime._run.upkeep import Upkeep
from orq_runtime.errors import NeverStarted, RequestError, SandboxError
from orq_runtime.model.keeps import Keeps
from orq_runtime.model.stats import Stats

__all__ = ["Pool", "Tends"]

K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=Child)
T_contra = TypeVar("T_contra", contravariant=True)
K_contra = TypeVar("K_contra", contravariant=True)


class Tends(Protocol[K_contra, T_contra]):
    """Sees runs to their end behind their callers' backs."""

    def bury(self, slot: T_contra, then: K_contra | None) -> None:
        """End a run, and have the spares that its launch lacks then ordered. Does not wait."""
        ...

    def follow(self, slot: T_contra, then: K_contra) -> None:
        """End a run, and have its init fork the child that `expect` was promised. Does not wait."""
        ...

    def close(self) -> None:
        """Wait until all that was given is gone."""
        ...


class Pool(Generic[K, C]):
    """Claims for many threads. `start` makes the zygote of a launch, with its first child ordered
    if it is given what makes groups; `leaf` makes a group for a child.

    `tend` makes the tender, which calls `ended`, `arrive`, `refill` and `keep`: nobody else may.
    """

    def __init__(
        self,
        start: Callable[[K, Callable[[], Leaf] | None], Parent[C]],
        leaf: Callable[[], Leaf],
        tend: Callable[[Pool[K, C]], Tends[K, C]],
        *,
        spares: int,
        keeps: Keeps,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        """Raises `RequestError` for a number of `spares` that is none."""
        if type(spares) is not int or spares < 0:
            raise RequestError(f"`spares` is a number from 0 up, not: `{spares!r}`")
        self._start, self.leaf, self._tend = start, leaf, tend
        self._spares, self._clock = spares, clock
        self._closing = threading.Event()
        self._pause = pause or self._closing.wait
        self._lock = threading.Lock()
        self._entries = Entries[K, C](lambda: Entry(min(1, spares), clock(), wait))
        self._upkeep = Upkeep(
            self._entries, keeps, clock, lambda child: self.give_back(child, None)
        )
        self._tender: Tends[K, C] | None = None
        self._imported: collections.Counter[str] = collections.Counter()

    def claim(self, what: K, about: bytes = b"") -> tuple[C, Literal["warm", "hot"]]:
        """A child that waits for its request; `hot` when it was parked. Blocks for a warm one.

        `about` is what the request says of its step: the next children may be told it ahead.

        Raises `NeverStarted` when no child can be had, also after a new zygote.
        """
        before = self._clock()
        if (parked := self.claim_parked(what, about)) is not None:
            return parked, "hot"
        if (back := self._await_back(what, about, before)) is not None:
            return back, "hot"
        with self._entries.held(what) as entry:
            for is_last in (False, True):
                zygote, is_new = self._zygote(entry, what)
                try:
                    slot, start = self._take(entry, zygote, about, is_new=is_new)
                except Short:
                    raise
                except NeverStarted:
                    entry.fail(self._clock())
                    if is_last:
                        raise
                else:
                    entry.lend(about, before, self._clock(), is_hot=start == "hot")
                    return slot, start
        raise AssertionError("the loop returns or raises")

    def claim_parked(self, what: K, about: bytes = b"") -> C | None:
        """A child that is parked already, if that can be said without waiting for anything."""
        before = self._clock()
        entry = self._entries.get(what)
        if entry is None or entry.is_doubted:
            return None
        if (back := entry.take_back(about, before, self._clock)) is not None:
            return back
        if not entry.lock.acquire(blocking=False):
            return None
        try:
            zygote = entry.zygote
            if zygote is None or entry.is_gone:
                return None
            while zygote.is_forked:
                slot = zygote.take()
                if slot.is_alive and slot.serves(about):
                    entry.lend(about, before, self._clock(), is_hot=True)
                    return slot
                slot.close()  # killed while it waited, or told of another step
        except NeverStarted:
            pass  # `claim` finds out and sees to it: that takes time
        finally:
            entry.lock.release()
        return None

    def _await_back(self, what: K, about: bytes, before: float) -> C | None:
        """A child that is about to come back, where that is sooner than a new one."""
        entry = self._entries.get(what)
        if entry is None or entry.is_doubted:
            return None
        if (back := entry.await_back(about, before, self._clock)) is not None:
            entry.miss(self._spares, self._clock())
        return back

    def warm(self, what: K) -> None:
        """Have children parked before anybody claims one. Blocks. Raises `SandboxError`."""
        with self._entries.held(what) as entry:
            zygote, _ = self._zygote(entry, what)
            while entry.parked < min(entry.spares, self._spares):
                zygote.order(self.leaf())
                entry.is_changed = True
        self._the_tender()

    def _take(
        self, entry: Entry[C], zygote: Parent[C], about: bytes, *, is_new: bool
    ) -> tuple[C, Literal["warm", "hot"]]:
        while zygote.parked:
            slot = zygote.take()
            if slot.is_alive and slot.serves(about):
                return slot, "warm" if is_new else "hot"
            slot.close()  # killed while it waited, or told of another step
        if not is_new:
            entry.miss(self._spares, self._clock())
        zygote.order(self.leaf())
        return zygote.take(), "warm" if is_new else "hot"

    def doubt(self, what: K) -> None:
        """A child of this launch was killed. If its zygote was, all die that wait under it."""
        entry = self._entries.get(what)
        if entry is not None:
            entry.is_doubted = True

    def learn(self, imported: Iterable[str]) -> None:
        """A run imported these packages itself. They are told of (`stats`), and not preloaded: what
        a run says decides nothing about others.
        """
        with self._lock:
            self._imported.update(imported)

    def give_back(self, slot: C, what: K | None, *, is_well: bool = False) -> None:
        """End a run and order new spares, by a thread of the pool's: soon, not now.

        `is_well`: the run went well and has nothing more to say.
        """
        tender = self._the_tender()
        if tender is None:
            slot.close()
        elif what is not None and is_well and self._is_wanted_again(slot, what):
            tender.follow(slot, what)
        else:
            tender.bury(slot, what)

    def _is_wanted_again(self, slot: C, what: K) -> bool:
        entry = self._entries.get(what)
        return entry is not None and slot.can_follow and entry.expect()

    def _the_tender(self) -> Tends[K, C] | None:
        with self._lock:
            if self._closing.is_set():
                return None
            if self._tender is None:
                # no descriptor or thread for it: whoever asks does without
                with contextlib.suppress(OSError):
                    self._tender = self._tend(self)
            return self._tender

    # -- for the tender ------------------------------------------------------------------------

    def ended(self, what: K) -> bytes:
        """A run of this launch is over; what a child may be told of the next."""
        entry = self._entries.get(what)
        if entry is None:
            return b""
        entry.given_back += 1
        entry.used = self._clock()
        return entry.hunch.about

    def arrive(self, what: K, child: C | None) -> bool:
        """An expected child is back, or (None) will not come; False where it is not taken."""
        entry = self._entries.get(what)
        return entry is not None and entry.arrive(child)

    def refill(self, what: K, *, places: int = 0) -> bool:
        """Order the spares that a launch lacks; whether there was any.

        `places`: how many children have ended, and none follows them.
        """
        entry, now = self._entries.get(what), self._clock()
        if entry is None or (now < entry.calm_at and entry.to_order(now, places) <= 0):
            return False
        if not entry.lock.acquire(blocking=False):
            return False  # whoever holds the lock is claiming, and refills after its own run
        ordered = 0
        try:
            zygote = entry.zygote
            with contextlib.suppress(SandboxError, OSError):  # the next claim finds out, says why
                entry.calm(now)
                while entry.has_too_many and (slot := entry.shed_back()) is not None:
                    self.give_back(slot, None)
                wanted = entry.to_order(now, places)
                while zygote is not None and ordered < wanted and self._upkeep.has_room(entry):
                    zygote.order(self.leaf(), entry.hunch.about)
                    entry.is_changed = True
                    ordered += 1
        finally:
            entry.lock.release()
        return ordered > 0

    def keep(self) -> Due:
        """Order the spares that are lacking, where claims do not press, and let go of what is idle,
        or too much; when to do so next.
        """
        now, later = self._clock(), []
        for what, entry in self._entries.by_use():
            if now < entry.calm_at:
                later.append(entry.calm_at)
            else:
                self.refill(what)
        due, heard = self._upkeep.keep()
        return min(later if due is None else [*later, due], default=None), heard

    def stats(self) -> Stats:
        """What the pool holds and has done, now."""
        with self._lock:
            imported = dict(self._imported)
        return replace(self._entries.stats(), imported=imported)

    def close(self) -> None:
        """End every zygote with all that runs under it."""
        with self._lock:  # no tender is made from now on
            self._closing.set()
        self._entries.shut()
        if self._tender is not None:
            self._tender.close()
        self._entries.close()

    def _zygote(self, entry: Entry[C], what: K) -> tuple[Parent[C], bool]:
        entry.is_doubted = False
        if entry.zygote is not None:
            if entry.zygote.is_alive:
                return entry.zygote, False
            entry.fail(self._clock())
        if (seconds := entry.not_before - self._clock()) > 0:
            self._pause(seconds)
        if self._closing.is_set():
            raise NeverStarted("the runtime is closed")
        try:
            zygote = self._start(what, self.leaf if self._spares else None)
        except OSError as error:
            raise Short(f"a zygote cannot be started: {error}") from error
        except Short:
            raise
        except NeverStarted:
            entry.fail(self._clock())
            raise
        entry.begin(zygote, self._clock())
        self._upkeep.look()
        return zygote, True
