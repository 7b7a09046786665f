"""One place of the pool: a zygote, how many children it should keep parked, and how it fared."""

from __future__ import annotations

import threading
from typing import Final, Generic, Protocol, TypeVar

from orq_runtime._run.cgroup import Leaf
from orq_runtime._run.hunch import Hunch
from orq_runtime._run.weight import Scales, Weight
from orq_runtime.errors import NeverStarted
from orq_runtime.model.stats import Stats

__all__ = ["CALM_SECONDS", "LONGEST_PAUSE_SECONDS", "Child", "Entry", "Parent", "Short"]

CALM_SECONDS: Final = 10.0
"""Without a claim that found nothing parked, for one child fewer to be kept; a zygote that lived
as long, or gave a child, did not die young."""

LONGEST_PAUSE_SECONDS: Final = 5.0
_FIRST_PAUSE_SECONDS: Final = 0.1


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

    def close(self) -> None:
        """End it and let go of everything."""
        ...


C = TypeVar("C", bound=Child)
C_co = TypeVar("C_co", bound=Child, covariant=True)


class Parent(Protocol[C_co]):
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

    def settle(self) -> None:
        """Do ahead what `take` would have to do first. Does not wait. Raises `NeverStarted`."""
        ...

    def order(self, leaf: Leaf, about: bytes = b"") -> None:
        """Have a child forked, without waiting, and told what its request will be about, if known.

        Raises `NeverStarted`, and `Short` when that is not its fault; the leaf is its own.
        """
        ...

    def take(self) -> C_co:
        """The oldest ordered child. Raises `NeverStarted`, and `Short` as `order` does."""
        ...

    def scales(self) -> Scales:
        """What it and its oldest parked child can be weighed with. The caller closes it."""
        ...

    def close(self) -> None:
        """End it and everything under it."""
        ...


class Entry(Generic[C]):
    """Changed under its `lock`. `given_back`, `used` and what it weighs are the tender's too."""

    def __init__(self, spares: int, now: float) -> None:
        self.lock = threading.Lock()
        self.zygote: Parent[C] | None = None
        self.spares = spares
        self.used = now
        self.is_gone = False
        self.hunch = Hunch()
        self.not_before = now
        self.given_back = 0
        self.weight = Weight()
        self.weighed = now - 3600.0
        self.is_changed = False
        self._claims = self._hits = self._starts = self._deaths = self._young_deaths = 0
        self._waited = self._longest = 0.0
        self._begun = self._changed = now
        self._has_served = False

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way."""
        return self._claims > self.given_back

    def held(self, more: int = 0) -> int:
        """Bytes that are kept here without a run, when last weighed; with so many children more."""
        zygote = self.zygote
        return 0 if zygote is None else self.weight.with_children(zygote.parked + more)

    def lend(self, before: float, now: float, *, is_hot: bool) -> None:
        """A child was claimed."""
        self._claims += 1
        self._hits += is_hot
        self._waited += now - before
        self._longest = max(self._longest, now - before)
        self.used = now
        self._has_served = True

    def miss(self, most: int, now: float) -> None:
        """A claim found nothing parked."""
        self.spares = min(self.spares + 1, most)
        self._changed = now

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
        """End the zygote, if there is one."""
        zygote, self.zygote = self.zygote, None
        if zygote is not None:
            zygote.close()

    def told(self, *, is_retired: bool = False) -> Stats:
        """What is there and what was done here."""
        zygote = None if is_retired else self.zygote
        return Stats(
            zygotes=int(zygote is not None),
            parked=0 if zygote is None else zygote.parked,
            parked_bytes=0 if zygote is None else self.weight.with_children(zygote.parked),
            under_way=self._claims - self.given_back,
            claims=self._claims,
            hits=self._hits,
            claim_seconds=self._waited,
            longest_claim_seconds=self._longest,
            starts=self._starts,
            deaths=self._deaths,
            retired=int(is_retired and self.zygote is not None),
        )
