"""Zygotes by what they were launched from, and the children parked under them.

Rules of this file:

1. A child serves one run. What comes back to the pool is a run to be ended. Where it went well and
   its wall allows it (`can_follow`), its init then forks the next child.
2. One lock per zygote, held for a message or two; starting a zygote holds only its own entry's.
3. A zygote that is gone is replaced at the next claim: at once, and with growing pauses when its
   successors die as well before they have given a child. What the host lacks (`Short`) ends none.
4. As many children are forked ahead as were lately wanted at once, `spares` at the most; up to
   16 more, and not more than twice as many, stay parked where runs leave them.
5. A zygote without runs goes after `idle_seconds`, or earlier when there are more than `zygotes`:
   the least recently used first. One with a run under way never goes. The same, child by child,
   where what is parked holds more memory than `parked_bytes` (`ceiling`).
6. What processes are is not known here: zygotes are made by `start`, ended children go to `tend`.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, Literal, Protocol, TypeVar

from orq_runtime._dataclass import replace
from orq_runtime._run.ceiling import Ceiling
from orq_runtime._run.cgroup import Leaf
from orq_runtime._run.entry import Child, Due, Entry, Parent, Short
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
    """Claims for many threads. `start` makes the zygote of a launch, `leaf` a group for a child.

    `tend` makes the tender, which calls `ended`, `arrive`, `refill` and `keep`: nobody else may.
    """

    def __init__(
        self,
        start: Callable[[K], Parent[C]],
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
        self._spares, self._most, self._idle_seconds = spares, keeps.zygotes, keeps.idle_seconds
        self._ceiling = Ceiling(keeps.parked_bytes)
        self._clock = clock
        self._closing = threading.Event()
        self._is_closing = False
        self._pause, self._wait = pause or self._closing.wait, wait
        self._lock = threading.Lock()
        self._entries: dict[K, Entry[C]] = {}
        self._tender: Tends[K, C] | None = None
        self._gone = Stats()
        self._imported: collections.Counter[str] = collections.Counter()
        self._due = 0.0
        self._is_crowded = False

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
        with self._held(what) as entry:
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
        if entry is None:
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
        back = None if entry is None else entry.await_back(about, before, self._clock)
        if entry is not None and back is not None:
            entry.miss(self._spares, self._clock())
        return back

    def warm(self, what: K) -> None:
        """Have children parked before anybody claims one. Blocks. Raises `SandboxError`."""
        with self._held(what) as entry:
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
                return slot, "hot"
            slot.close()  # killed while it waited, or told of another step
        if not is_new:
            entry.miss(self._spares, self._clock())
        zygote.order(self.leaf())
        return zygote.take(), "warm" if is_new else "hot"

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
            if self._is_closing:
                return None
            if self._tender is None:
                # no descriptor for it: whoever asks does without
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

    def refill(self, what: K) -> None:
        """Order the spares that a launch lacks."""
        entry = self._entries.get(what)
        if entry is None or not entry.lock.acquire(blocking=False):
            return  # whoever holds the lock is claiming, and refills after its own run
        try:
            zygote = entry.zygote
            with contextlib.suppress(SandboxError, OSError):  # the next claim finds out, says why
                entry.calm(self._clock())
                while entry.has_too_many and (slot := entry.shed_back()) is not None:
                    self.give_back(slot, None)
                while zygote is not None and entry.lacks_spares:
                    if not self._ceiling.has_room(entry, self._all()):
                        break
                    zygote.order(self.leaf(), entry.hunch.about)
                    entry.is_changed = True
        finally:
            entry.lock.release()

    def keep(self) -> Due:
        """Retire what is idle, or too much; when to do so next."""
        more = self._settle()
        now = self._clock()
        weigh_at = self._lighten(now)
        if now >= self._due or self._is_crowded:
            self._retire_idle(now)
        due = self._due if self._entries else None
        first = min((one for one in (due, weigh_at) if one is not None), default=None)
        return first, more

    def _retire_idle(self, now: float) -> None:
        entries = self._by_use()
        excess = sum(entry.zygote is not None for _, entry in entries) - self._most
        self._due = now + self._idle_seconds
        for what, entry in entries:
            if excess > 0 or now - entry.used >= self._idle_seconds:
                excess -= self._retire(what, entry)
            elif not entry.is_busy:
                self._due = min(self._due, entry.used + self._idle_seconds)
        self._is_crowded = excess > 0  # those with a run go when it is over

    def _lighten(self, now: float) -> float | None:
        """Let go of what is over the ceiling; when to look again, if ever."""
        weigh_at = self._ceiling.weigh(self._all(), now)
        if self._is_too_much():
            for what, entry in self._by_use():
                while self._is_too_much() and self._sheds(entry):
                    pass
                if self._is_too_much():
                    self._retire(what, entry)
        return weigh_at

    def _is_too_much(self) -> bool:
        return self._ceiling.excess(self._all()) > 0

    def _sheds(self, entry: Entry[C]) -> bool:
        """Let one parked child go; False when there was none to be had."""
        if not entry.lock.acquire(blocking=False):
            return False  # it is wanted
        try:
            zygote, slot = entry.zygote, entry.shed_back()
            if slot is None and zygote is not None and zygote.is_forked:
                slot = zygote.take()
        except NeverStarted:  # the next claim finds out and says why
            return False
        finally:
            entry.lock.release()
        if slot is not None:
            self.give_back(slot, None)
        return slot is not None

    def _all(self) -> list[Entry[C]]:
        with self._lock:
            return list(self._entries.values())

    def _by_use(self) -> list[tuple[K, Entry[C]]]:
        with self._lock:
            return sorted(self._entries.items(), key=lambda item: item[1].used)

    def _settle(self) -> set[int]:
        """Hear what zygotes have to say, before a claim has to; where more is to come."""
        more: set[int] = set()
        for entry in self._all():
            if entry.lock.acquire(blocking=False):
                try:
                    with contextlib.suppress(SandboxError):  # the next claim finds out, says why
                        if entry.zygote is not None:
                            more.add(entry.zygote.settle())
                finally:
                    entry.lock.release()
        more.discard(-1)
        return more

    def _retire(self, what: K, entry: Entry[C]) -> bool:
        if not entry.lock.acquire(blocking=False):
            return False  # it is wanted
        try:
            with self._lock:
                if entry.is_gone or not entry.retire():
                    return False
                self._entries.pop(what, None)
                self._gone = self._gone.plus(entry.told(is_retired=True))
            was_there = entry.zygote is not None
            entry.drop()
            return was_there
        finally:
            entry.lock.release()

    def stats(self) -> Stats:
        """What the pool holds and has done, now."""
        with self._lock:
            total, entries = self._gone, list(self._entries.values())
            total = replace(total, imported=dict(self._imported))
        for entry in entries:
            total = total.plus(entry.told())
        return total

    def close(self) -> None:
        """End every zygote with all that runs under it."""
        self._closing.set()
        with self._lock:
            self._is_closing = True
            entries = list(self._entries.values())
            self._entries.clear()
        if self._tender is not None:
            self._tender.close()
        for entry in entries:
            with entry.lock:
                entry.retire(even_busy=True)
                entry.drop()

    @contextlib.contextmanager
    def _held(self, what: K) -> Iterator[Entry[C]]:
        """The launch's entry, locked, and not retired while we waited for its lock."""
        while True:
            with self._lock:
                if self._closing.is_set():
                    raise NeverStarted("the runtime is closed")
                entry = self._entries.get(what)
                if entry is None:
                    entry = self._entries[what] = self._entry()
            with entry.lock:
                if not entry.is_gone:
                    yield entry
                    return

    def _entry(self) -> Entry[C]:
        return Entry(min(1, self._spares), self._clock(), self._wait)

    def _zygote(self, entry: Entry[C], what: K) -> tuple[Parent[C], bool]:
        if entry.zygote is not None:
            if entry.zygote.is_alive:
                return entry.zygote, False
            entry.fail(self._clock())
        if (seconds := entry.not_before - self._clock()) > 0:
            self._pause(seconds)
        if self._closing.is_set():
            raise NeverStarted("the runtime is closed")
        try:
            zygote = self._start(what)
        except OSError as error:
            raise Short(f"a zygote cannot be started: {error}") from error
        except Short:
            raise
        except NeverStarted:
            entry.fail(self._clock())
            raise
        entry.begin(zygote, self._clock())
        with self._lock:
            alive = sum(one.zygote is not None for one in self._entries.values())
            self._is_crowded = self._is_crowded or alive > self._most
        return zygote, True
