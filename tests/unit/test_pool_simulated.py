"""The pool under thousands of seeded schedules: zygotes that die, stall and lie at every point.

What must hold at every step and at the end is said in `pool_world.World`.
"""

from __future__ import annotations

import itertools

import pytest

from orq_runtime._run.ceiling import WEIGH_SECONDS
from orq_runtime._run.entry import (
    ENOUGH,
    LONGEST_PAUSE_SECONDS,
    LONGEST_PRESS_SECONDS,
    QUIET_SECONDS,
)
from orq_runtime.errors import NeverStarted
from orq_runtime.model.limits import Limits
from tests.unit.pool_world import IDLE_SECONDS, SPARES, ZYGOTES, World

_SCHEDULES = 2_000
_STEPS = 60


@pytest.mark.parametrize("first", range(0, _SCHEDULES, 500))
def test_every_schedule_keeps_the_pools_rules(first: int) -> None:
    """Whatever dies, stalls or lies at whatever point: nothing is lent twice, lost, or left."""
    for seed in range(first, first + 500):
        world = World(seed)
        for _ in range(_STEPS):
            world.step()
            world.confirm()
        if seed % 2:
            world.confirm_kept()
        world.confirm_end()


def _used(world: World, names: str) -> None:
    """Claim and give back, one after another, and let the tender do its work."""
    for what in names:
        child, _ = world.pool.claim(what)
        world.pool.give_back(child, what)
        world.now += WEIGH_SECONDS
        world.tenders[0].turn()
        world.now += WEIGH_SECONDS
        world.tenders[0].turn()


def _of_weight(most_bytes: int) -> World:
    """A world in which all goes well, with a ceiling."""
    seed = next(seed for seed in itertools.count() if World(seed).ceiling == most_bytes)
    world = World(seed)
    world.trouble = 0.0
    return world


def test_children_go_before_their_zygote_and_the_least_recently_used_first() -> None:
    """Two zygotes and most of their children fit; the older loses what is too much."""
    world = _of_weight(220)
    _used(world, "ab")
    for zygote in world.zygotes:
        while zygote.parked < SPARES:
            zygote.order(world.mechanism.leaf(Limits()))
    _used(world, "b")

    assert [("a", False), ("b", False)] == [(one.what, one.is_closed) for one in world.zygotes]
    older, newer = world.zygotes
    assert (0, 2) == (older.parked, newer.parked)


def test_the_newest_zygote_stays_where_only_one_fits() -> None:
    """And it keeps a child parked, for what would have to go for it has gone."""
    world = _of_weight(115)
    _used(world, "ab")

    assert [("a", True), ("b", False)] == [(one.what, one.is_closed) for one in world.zygotes]
    assert (1, 1) == (world.zygotes[1].parked, world.pool.stats().parked)


def test_nobody_waits_for_a_zygote_that_is_wanted() -> None:
    """One whose lock is held, for as long as it takes to start another, is weighed later."""
    world = _of_weight(220)
    _used(world, "a")
    world.pool.warm("b")
    world.now += WEIGH_SECONDS
    entry = world.pool._entries.all()[0]
    entry.is_changed = True
    with entry.lock:
        world.tenders[0].turn()

    assert world.tenders[0].due is not None
    assert world.tenders[0].due > world.now


def test_without_room_nothing_is_kept() -> None:
    """Each run then starts a zygote, which goes when the run is over."""
    world = _of_weight(0)
    _used(world, "aa")

    assert [True, True] == [one.is_closed for one in world.zygotes]
    assert 2 == world.pool.stats().starts


def test_a_run_under_way_keeps_its_zygote() -> None:
    """7. However long and however many others there are: a zygote with a run is not retired."""
    world = _of_weight(10**9)
    child, _ = world.pool.claim("a")
    for what in "bcdefgh":
        other, _ = world.pool.claim(what)
        world.pool.give_back(other, what)
        world.now += 2 * IDLE_SECONDS
        world.tenders[0].turn()

    assert child.is_alive
    assert ZYGOTES == world.pool.stats().zygotes


def test_a_zygote_that_dies_young_is_replaced_with_growing_pauses() -> None:
    """8. The first time at once; of a launch that never starts, not more often than every 5 s."""
    world = World(1)
    world.trouble = 100.0
    begun = world.now
    for _ in range(100):
        with pytest.raises(NeverStarted):
            world.pool.claim("a")

    starts = world.failed_starts["a"]
    pauses = [round(after - before, 3) for before, after in itertools.pairwise(starts)]
    assert [0.1, 0.2, 0.3, 0.5, 0.9, 1.7, 3.3, 5.1, 5.1] == pauses[:9]
    assert world.now - begun > 90 * LONGEST_PAUSE_SECONDS


def _turn_over(world: World, what: str, times: int) -> None:
    """Claim and give back well, without a moment in between, with enough others under way."""
    for _ in range(times):
        child, _ = world.pool.claim(what)
        world.pool.give_back(child, what, is_well=True)
        world.tenders[0].turn()
        world.now += 0.001


def test_while_claims_press_no_spare_is_forked_that_no_run_left_a_place_for() -> None:
    """9. With children enough for all processors more are forked in a calm moment, or half a second
    later; where there are fewer, or children do not come back, at once.
    """
    world = _of_weight(10**9)
    busy = [world.pool.claim("a")[0] for _ in range(ENOUGH)]
    _turn_over(world, "a", 10)
    pressed = world.zygotes[0].parked
    world.now += QUIET_SECONDS
    world.tenders[0].turn()

    assert (0, SPARES - 1) == (pressed, world.zygotes[0].parked)
    world.pool.give_back(busy.pop(), "a")  # it ended otherwise, and none comes of it
    world.pool.claim("a")
    _turn_over(world, "a", 1)
    assert SPARES - 1 == world.zygotes[0].parked


def test_claims_that_press_on_are_not_waited_for_for_long() -> None:
    """10. Who calls without a pause gets spares as well."""
    world = _of_weight(10**9)
    for _ in range(ENOUGH):
        world.pool.claim("a")
    _turn_over(world, "a", int(1000 * LONGEST_PRESS_SECONDS))
    assert 0 == world.zygotes[0].parked
    _turn_over(world, "a", 50)

    assert world.zygotes[0].parked
