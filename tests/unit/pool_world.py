"""A pool in a world of its own: zygotes that die, stall and lie at every point, by a seed.

The clock is fake, zygotes and children are fake, and the tender does its work when the schedule
says so. What must hold at every step is said in `World.confirm`, what must hold at the end in
`World.confirm_end`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from orq_runtime._run.ceiling import WEIGH_SECONDS
from orq_runtime._run.cgroup import Leaf, NoMechanism
from orq_runtime._run.entry import CALM_SECONDS, LONGEST_PAUSE_SECONDS
from orq_runtime._run.pool import Pool
from orq_runtime._run.weight import Weight
from orq_runtime.errors import NeverStarted
from orq_runtime.model.keeps import Keeps
from orq_runtime.model.limits import Limits

__all__ = ["IDLE_SECONDS", "SPARES", "ZYGOTES", "ZYGOTE_BYTES", "World"]

SPARES = 3
ZYGOTES = 2
IDLE_SECONDS = 50.0
_STALL_SECONDS = 30.0
ZYGOTE_BYTES = 100
CHILD_BYTES = 7


class _FakeChild:
    def __init__(self, parent: _FakeZygote, about: bytes) -> None:
        self.parent = parent
        self.about = about
        self.prepared = b""  # what its init was told of
        self.is_dead = False
        self.can_follow = parent.what != "d"  # a wall that has none that come back
        self.lent = 0
        self.closed = 0

    @property
    def is_alive(self) -> bool:
        return not self.is_dead and not self.parent.is_closed

    def serves(self, about: bytes) -> bool:
        return not self.about or self.about == about

    def close(self) -> None:
        self.closed += 1


class _FakeScales:
    """The cheap question gives twice what there is."""

    def __init__(self, *, has_child: bool) -> None:
        self._child = CHILD_BYTES if has_child else 0
        self._is_closed = False

    def weigh(self, *, exactly: bool) -> Weight:
        assert not self._is_closed
        times = 1 if exactly else 2
        return Weight(times * ZYGOTE_BYTES, times * self._child, exactly)

    def close(self) -> None:
        self._is_closed = True


class _FakeZygote:
    """Forks in memory. `world.fate` decides at each call whether it dies, stalls or lies."""

    def __init__(self, world: World, what: str) -> None:
        self.what = what
        self._world = world
        self._ordered: list[bytes] = []
        self._is_dead = False
        self._lies = world.chance(0.1)
        self.is_closed = False

    @property
    def is_alive(self) -> bool:
        return not self._is_dead or self._lies

    @property
    def parked(self) -> int:
        return len(self._ordered)

    @property
    def is_forked(self) -> bool:
        return bool(self._ordered) and (self._is_dead or not self._world.chance(0.2))

    def order(self, leaf: Leaf, about: bytes = b"") -> None:
        leaf.close()
        assert not self.is_closed, "an order to a zygote that was ended"
        self._meet_fate()
        if self._is_dead:
            raise NeverStarted("the zygote is gone")
        self._ordered.append(about)

    def settle(self) -> int:
        assert not self.is_closed, "a word expected of a zygote that was ended"
        self._meet_fate()
        if self._is_dead and self._ordered:
            self._ordered.pop(0)
            raise NeverStarted("the zygote is gone")
        return 7 if self._ordered and self._world.chance(0.2) else -1

    def take(self) -> _FakeChild:
        assert not self.is_closed, "a child taken from a zygote that was ended"
        assert self._ordered, "a child taken that was not ordered"
        about = self._ordered.pop(0)
        self._meet_fate()
        if self._is_dead:
            raise NeverStarted("the zygote is gone")
        if self._world.chance(0.02):
            self._world.now += _STALL_SECONDS
            raise NeverStarted("the zygote did not answer")
        child = _FakeChild(self, about)
        child.is_dead = self._world.chance(0.1)  # killed while it waited
        self._world.children.append(child)
        return child

    def scales(self, child: _FakeChild | None) -> _FakeScales:
        assert not self.is_closed, "a zygote weighed that was ended"
        return _FakeScales(has_child=child is not None or bool(self._ordered))

    def close(self) -> None:
        assert not self.is_closed, "a zygote ended twice"
        self.is_closed = True

    def _meet_fate(self) -> None:
        self._is_dead = self._is_dead or self._world.chance(0.05)


class _FakeTender:
    """Buries what it was given when the schedule lets it, and has children follow, or fails to."""

    def __init__(self, world: World, pool: Pool[str, _FakeChild]) -> None:
        self._world, self._pool = world, pool
        self._given: list[tuple[_FakeChild, str | None]] = []
        self._ends: list[tuple[_FakeChild, str]] = []
        self._following: list[tuple[_FakeChild, str]] = []
        self.due: float | None = None

    def bury(self, slot: _FakeChild, then: str | None) -> None:
        self._given.append((slot, then))

    def follow(self, slot: _FakeChild, then: str) -> None:
        self._ends.append((slot, then))

    @property
    def expected(self) -> int:
        return len(self._ends) + len(self._following)

    def turn(self) -> None:
        while self._given:
            slot, what = self._given.pop(0)
            slot.close()
            if what is not None:
                self._pool.ended(what)
                self._pool.refill(what, places=1)
        while self._following and not self._world.chance(0.2):
            self._receive(*self._following.pop(0))
        while self._ends:
            slot, what = self._ends.pop(0)
            about = self._pool.ended(what)
            slot.close()
            is_other = slot.prepared not in (b"", about)
            if is_other or slot.parent.is_closed or self._world.chance(0.1):
                self._pool.arrive(what, None)
            else:
                child = _FakeChild(slot.parent, about)
                child.prepared = about
                self._world.children.append(child)
                self._following.append((child, what))
            self._pool.refill(what)
        self.due, _ = self._pool.keep()

    def _receive(self, child: _FakeChild, what: str) -> None:
        is_well = child.is_alive and not self._world.chance(0.1)
        if not self._pool.arrive(what, child if is_well else None):
            child.close()
            self._pool.refill(what)

    def close(self) -> None:
        for slot, _ in [*self._given, *self._ends]:
            slot.close()
        for child, what in self._following:
            self._pool.arrive(what, None)
            child.close()


class World:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.now = 1000.0
        self.mechanism = NoMechanism()
        self.zygotes: list[_FakeZygote] = []
        self.children: list[_FakeChild] = []
        self.held: list[tuple[_FakeChild, str]] = []
        self.tenders: list[_FakeTender] = []
        self.failed_starts: dict[str, list[float]] = {}
        self.claims = self.told = 0
        self.trouble = self._random.choice([0.0, 1.0, 1.0, 4.0])
        self.ceiling = self._random.choice([10**9, 10**9, 220, 115, 50, 0])
        self.pool: Pool[str, _FakeChild] = Pool(
            self._start,
            lambda: self.mechanism.leaf(Limits()),
            self._tend,
            spares=SPARES,
            keeps=Keeps(zygotes=ZYGOTES, idle_seconds=IDLE_SECONDS, parked_bytes=self.ceiling),
            clock=lambda: self.now,
            pause=self._pause,
            wait=self._wait,
        )

    def chance(self, part: float) -> bool:
        return self._random.random() < part * self.trouble

    def _pause(self, seconds: float) -> None:
        assert 0 < seconds <= LONGEST_PAUSE_SECONDS + 1e-6
        self.now += seconds

    def _wait(self, counting: threading.Condition, seconds: float) -> None:
        """A claim waits: for others it is as if its lock were free."""
        assert seconds > 0
        assert sum(tender.expected for tender in self.tenders), "nothing will ever come back"
        counting.release()
        try:
            for tender in self.tenders:
                tender.turn()
        finally:
            counting.acquire()

    def _start(self, what: str, first: Callable[[], Leaf] | None) -> _FakeZygote:
        self.now += 0.1
        if self.chance(0.1):
            self.failed_starts.setdefault(what, []).append(self.now)
            raise NeverStarted("it did not start")
        zygote = _FakeZygote(self, what)
        if first is not None:
            zygote.order(first())
        self.zygotes.append(zygote)
        return zygote

    def _tend(self, pool: Pool[str, _FakeChild]) -> _FakeTender:
        self.tenders.append(_FakeTender(self, pool))
        return self.tenders[-1]

    def step(self) -> None:
        what = self._random.choice("abcd")
        choice = self._random.choice(
            ["claim", "claim", "parked", "back", "back", "tend", "tend", "time", "warm", "doubt"]
        )
        if choice == "claim":
            self._claim(what)
        elif choice == "parked":
            about = self._about()
            if (child := self.pool.claim_parked(what, about)) is not None:
                self._hold(child, what, about)
        elif choice == "doubt":
            self.pool.doubt(what)
            assert self.pool.claim_parked(what) is None, "lent before the zygote was looked at"
        elif choice == "warm":
            try:
                self.pool.warm(what)
            except NeverStarted:
                return
        elif choice == "back" and self.held:
            child, what = self.held.pop(self._random.randrange(len(self.held)))
            self.pool.give_back(child, what, is_well=self._random.random() < 0.7)
        elif choice == "tend":
            for tender in self.tenders:
                before = self.now
                tender.turn()
                assert tender.due is None or tender.due > before, "called again at once"
        elif choice == "time":
            self.now += self._random.choice([0.01, 1.0, CALM_SECONDS + 1, IDLE_SECONDS + 1])

    def _about(self) -> bytes:
        return self._random.choice([b"one", b"one", b"one", b"one", b"two", b""])

    def _claim(self, what: str) -> None:
        about = self._about()
        try:
            child, start = self.pool.claim(what, about)
        except NeverStarted:
            return
        assert start in ("warm", "hot")
        self._hold(child, what, about)

    def _hold(self, child: _FakeChild, what: str, about: bytes) -> None:
        self.claims += 1
        assert child.about in (b"", about), "a child that was told of another step"
        self.told += bool(child.about)
        child.lent += 1
        assert what == child.parent.what, "a child of another launch"
        assert not child.parent.is_closed, "a child of a zygote that was ended"
        self.held.append((child, what))

    def confirm(self) -> None:
        """1. A child is lent once, and never one that was ended.

        2. No more children are ordered ahead from a zygote than `spares`, or than one that was
        wanted, and with those that come back it is not more than twice as many.
        3. A launch has one zygote at most. 4. What is told of the pool is so.
        """
        assert all(child.lent <= 1 and child.closed <= 1 for child in self.children)
        alive = [zygote for zygote in self.zygotes if not zygote.is_closed]
        assert all(zygote.parked <= SPARES for zygote in alive)
        assert len({zygote.what for zygote in alive}) == len(alive)
        stats = self.pool.stats()
        assert (len(alive), self.claims) == (stats.zygotes, stats.claims)
        back = stats.parked - sum(zygote.parked for zygote in alive)
        assert 0 <= back <= 2 * SPARES * len(alive)
        held = {id(child) for child, _ in self.held}
        free = [child for child in self.children if not child.closed and id(child) not in held]
        assert back <= len(free), "parked is a child that was ended or lent"
        assert stats.starts == len(self.zygotes)
        assert stats.starts - stats.deaths - stats.retired == len(alive)

    def confirm_kept(self) -> None:
        """5. When all runs are over and their time has come, nothing is kept beyond `zygotes` and
        `parked_bytes`, and after `idle_seconds` nothing at all.
        """
        busy = {what for _, what in self.held}
        for child, what in self.held:
            assert not child.parent.is_closed or child.parent.what == what
            self.pool.give_back(child, what)
        self.held.clear()
        for tender in self.tenders:
            tender.turn()
        self.now += 1.0
        assert self.pool.stats().under_way == 0
        assert self.pool.stats().zygotes <= max(ZYGOTES, len(busy))
        self.now += WEIGH_SECONDS
        for tender in self.tenders:
            tender.turn()
        stats = self.pool.stats()
        assert stats.parked_bytes <= self.ceiling or not self.tenders
        exact = stats.zygotes * ZYGOTE_BYTES + stats.parked * CHILD_BYTES
        assert exact <= self.ceiling or not self.tenders
        self.now += 2 * IDLE_SECONDS
        for tender in self.tenders:
            tender.turn()
        assert self.pool.stats().zygotes == 0 or not self.tenders

    def confirm_end(self) -> None:
        """6. After `close` every zygote and every child that was ever made is ended, once."""
        self.pool.close()
        for child, what in self.held:
            self.pool.give_back(child, what)
        assert all(zygote.is_closed for zygote in self.zygotes)
        assert all(child.closed == 1 for child in self.children)
        with pytest.raises(NeverStarted):
            self.pool.claim("a")
