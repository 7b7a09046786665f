"""One place of the pool: a zygote, the children that wait under it, and how it fared.

Rules of this file:

1. `lock` is for talking to the zygote, and may be held as long as that takes. What is counted, and
   the children that come back, are under a lock that is held for nothing else.
2. Children come back when their runs went well (`expect`, `arrive`). A claim that finds none waits
   for one, if there are as many to come as claims that wait; so nobody waits for what never comes.
3. A spare in nobody's place is ordered when claims do not press (`to_order`): where the children
   keep all processors busy, a fork takes from runs what it would give to one that may never come.
"""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Callable, Collection
from typing import Final, Generic, Protocol, TypeVar

from orq_runtime._run.cgroup import Leaf
from orq_runtime._run.hunch import Hunch
from orq_runtime._run.weight import Scales, Weight
from orq_runtime.errors import NeverStarted
from orq_runtime.model.stats import Stats

__all__ = [
    "CALM_SECONDS",
    "ENOUGH",
    "LONGEST_PAUSE_SECONDS",
    "LONGEST_PRESS_SECONDS",
    "QUIET_SECONDS",
    "Child",
    "Due",
    "Entry",
    "Parent",
    "Short",
]

Due = tuple[float | None, Collection[int]]
"""When what is kept must be looked at again, and the descriptors that say so earlier."""

CALM_SECONDS: Final = 10.0
"""Without a claim that found nothing parked, for one child fewer to be kept; a zygote that lived
as long, or gave a child, did not die young."""

LONGEST_PAUSE_SECONDS: Final = 5.0
_LONGEST_WAIT_SECONDS: Final = 30.0
_MOST_BACK: Final = 16
"""So many more than `spares`, and not more than twice as many, may come back: were it none, each
that comes back to spares enough would go, and the claim that follows have another one forked."""

_FIRST_PAUSE_SECONDS: Final = 0.1

QUIET_SECONDS: Final = 0.02
LONGEST_PRESS_SECONDS: Final = 0.5
"""Claims press until so long without any, and are taken to do so for no longer than that."""

ENOUGH: Final = 2 * (os.cpu_count() or 1)
"""Children that keep all processors busy: of two, one runs while the other is made anew."""


class Short(NeverStarted):
    """The host lacks what a child needs: descriptors, mostly. Its zygote is none the worse."""


class Child(Protocol):
    """A process that waits for its one request."""

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        ...

    def serves(self, about: bytes) -> bool:
        """Whether it may get a request about this: it was told of nothing else."""
        ...

    @property
    def can_follow(self) -> bool:
        """Whether another child may come of it when its run is over."""
        ...

    def close(self) -> None:
        """End it and let go of everything."""
        ...


C = TypeVar("C", bound=Child)


class Parent(Protocol[C]):
    """A zygote as the pool sees it. Not safe for several threads at once."""

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        ...

    @property
    def parked(self) -> int:
        """How many children were ordered and not taken."""
        ...

    @property
    def is_forked(self) -> bool:
        """Whether `take` would give a child, or raise, without waiting."""
        ...

    def settle(self) -> int:
        """Do ahead what `take` would have to do first. Does not wait. Raises `NeverStarted`.

        A descriptor that is readable when there is more to do; -1 when all was done.
        """
        ...

    def order(self, leaf: Leaf, about: bytes = b"") -> None:
        """Have a child forked, without waiting, and told what its request will be about, if known.

        Raises `NeverStarted`, and `Short` when that is not its fault; the leaf is its own.
        """
        ...

    def take(self) -> C:
        """The oldest ordered child. Raises `NeverStarted`, and `Short` as `order` does."""
        ...

    def scales(self, child: C | None) -> Scales:
        """What it and this, or else its oldest parked child, can be weighed with.

        The caller closes it. Raises OSError.
        """
        ...

    def close(self) -> None:
        """End it and everything under it."""
        ...


class Entry(Generic[C]):
    """`zygote`, `hunch`, `not_before` and what it weighs change under `lock`, or by the tender.

    While it `is_doubted`, nothing is lent before the zygote was looked at.
    """

    def __init__(
        self,
        spares: int,
        now: float,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        """`wait`: how a claim waits for a child that comes back."""
        self.lock = threading.Lock()
        self.zygote: Parent[C] | None = None
        self.spares = spares
        self.used = self._pressed = now
        self.is_gone = False
        self.hunch = Hunch()
        self.not_before = now
        self.given_back = 0
        self.weight = Weight()
        self.weighed = now - 3600.0
        self.is_changed = False
        self.is_doubted = False
        self._wait = wait
        self._count = threading.Lock()
        self._counting = threading.Condition(self._count)
        self._back: collections.deque[C] = collections.deque()
        self._expected = self._waiting = self._followed = 0
        self._claims = self._hits = self._starts = self._deaths = self._young_deaths = 0
        self._waited = self._longest = 0.0
        self._begun = self._changed = now
        self._has_served = False

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way."""
        return self._claims > self.given_back

    @property
    def parked(self) -> int:
        """How many children wait for a request."""
        zygote = self.zygote
        return len(self._back) + (0 if zygote is None else zygote.parked)

    @property
    def _free(self) -> int:
        """How many are parked, or soon will be, for claims that are still to come."""
        return self.parked + max(0, self._expected - self._waiting)

    @property
    def calm_at(self) -> float:
        """When claims press no more. Such as come closely are taken to go on, but not for long."""
        return min(self.used + QUIET_SECONDS, self._pressed + LONGEST_PRESS_SECONDS)

    def to_order(self, now: float, places: int = 0) -> int:
        """How many spares are to be forked now, if any.

        While claims press, no more than there are `places` that a child has left to none that
        follows, unless there are fewer children than are `ENOUGH`.
        """
        lacking = self.spares - self._free
        if now >= self.calm_at:
            return lacking
        there = self._claims - self.given_back + self.parked + self._expected
        return min(lacking, max(places, ENOUGH - there))

    @property
    def _room(self) -> int:
        return self.spares + min(self.spares, _MOST_BACK)

    @property
    def has_too_many(self) -> bool:
        """Whether there are more than may come back."""
        return self.parked > self._room

    def held(self, more: int = 0) -> int:
        """Bytes that are kept here without a run, when last weighed; with so many children more."""
        return 0 if self.zygote is None else self.weight.with_children(self.parked + more)

    def lend(self, about: bytes, before: float, now: float, *, is_hot: bool) -> None:
        """A child was claimed for a request about this."""
        with self._count:
            self._lend(about, before, now, is_hot=is_hot)

    def _lend(self, about: bytes, before: float, now: float, *, is_hot: bool) -> None:
        self.hunch.note(about)
        self._claims += 1
        self._hits += is_hot
        self._waited += now - before
        self._longest = max(self._longest, now - before)
        if now - self.used >= QUIET_SECONDS:
            self._pressed = now
        self.used = now
        self._has_served = True

    def miss(self, most: int, now: float) -> None:
        """A claim found nothing parked."""
        with self._count:
            self.spares = min(self.spares + 1, most)
            self._changed = now

    # -- children that come back ---------------------------------------------------------------

    def expect(self) -> bool:
        """Whether the child of a run that is over is to come back; `arrive` must follow then."""
        with self._count:
            is_wanted = self._free < self._room and not self.is_gone
            self._expected += is_wanted
            return is_wanted

    def arrive(self, child: C | None) -> bool:
        """One that was expected is back, or will not come; False where it is not taken."""
        with self._count:
            self._expected -= 1
            is_taken = child is not None and not self.is_gone
            if child is not None and is_taken:
                self._back.append(child)
                self.is_changed = True
            self._counting.notify()
            return is_taken

    def take_back(self, about: bytes, before: float, clock: Callable[[], float]) -> C | None:
        """One that is back and serves this, if there is one; it is claimed then."""
        with self._count:
            return self._take_back(about, before, clock)

    def await_back(self, about: bytes, before: float, clock: Callable[[], float]) -> C | None:
        """The same, waiting while others come back that nobody else waits for."""
        with self._count:
            self._waiting += 1
            try:
                while (child := self._take_back(about, before, clock)) is None:
                    if self._expected < self._waiting or self.is_gone:
                        return None
                    self._wait(self._counting, _LONGEST_WAIT_SECONDS)
                return child
            finally:
                self._waiting -= 1

    def _take_back(self, about: bytes, before: float, clock: Callable[[], float]) -> C | None:
        while self._back:
            child = self._back.popleft()
            if child.is_alive and child.serves(about):
                self._lend(about, before, clock(), is_hot=True)
                self._followed += 1
                return child
            child.close()  # killed while it waited, or told of another step
        return None

    def shed_back(self) -> C | None:
        """One that is back, for nobody: it is to be ended."""
        with self._count:
            return self._back.popleft() if self._back else None

    def retire(self, *, even_busy: bool = False) -> bool:
        """Whether it is free to go; nothing is lent from then on."""
        with self._count:
            if self.is_busy and not even_busy:
                return False
            self.is_gone = True
            self._counting.notify_all()
            return True

    def scales(self) -> Scales | None:
        """What all that waits here can be weighed with, under `lock`. Raises OSError."""
        with self._count:  # who is back now could be gone when it is asked for
            back = self._back[0] if self._back else None
            return None if self.zygote is None else self.zygote.scales(back)

    # -- the zygote ----------------------------------------------------------------------------

    def calm(self, now: float) -> None:
        """Keep one fewer when it has been enough for a while."""
        if self.spares > 1 and now - self._changed > CALM_SECONDS:
            self.spares -= 1
            self._changed = now

    def begin(self, zygote: Parent[C], now: float) -> None:
        """A zygote was started."""
        self.zygote = zygote
        self.is_changed = True
        self._starts += 1
        self._begun = now
        self._has_served = False

    def fail(self, now: float) -> None:
        """The zygote is gone, or did not start. The first successor need not wait."""
        if self.zygote is not None:
            self._deaths += 1
            if self._has_served or now - self._begun > CALM_SECONDS:
                self._young_deaths = 0
        self._young_deaths += 1
        if self._young_deaths > 1:
            pause = _FIRST_PAUSE_SECONDS * 2.0 ** min(self._young_deaths - 2, 10)
            self.not_before = now + min(pause, LONGEST_PAUSE_SECONDS)
        self.drop()

    def drop(self) -> None:
        """End the zygote, if there is one, and the children that wait under it."""
        while (child := self.shed_back()) is not None:
            child.close()
        zygote, self.zygote = self.zygote, None
        if zygote is not None:
            zygote.close()

    def told(self, *, is_retired: bool = False) -> Stats:
        """What is there and what was done here."""
        is_there = self.zygote is not None and not is_retired
        return Stats(
            zygotes=int(is_there),
            parked=self.parked if is_there else 0,
            parked_bytes=self.held() if is_there else 0,
            under_way=self._claims - self.given_back,
            claims=self._claims,
            hits=self._hits,
            followed=self._followed,
            claim_seconds=self._waited,
            longest_claim_seconds=self._longest,
            starts=self._starts,
            deaths=self._deaths,
            retired=int(is_retired and self.zygote is not None),
        )
