"""Turns: fair between lines, bounded, and nobody is lost or served twice, whatever happens."""

from __future__ import annotations

import asyncio
import random

import pytest

from orq_runtime._aturns import AsyncTurns
from orq_runtime._turns import Turns
from orq_runtime.errors import RequestError, RuntimeSaturated
from orq_runtime.model.when import When


def test_lines_take_turns() -> None:
    """A long line delays a short one by one turn, not by its length."""
    turns: Turns[str] = Turns(100, 100)
    for key, one in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1")]:
        turns.join(key, one)

    assert ["a1", "b1", "c1", "a2", "a3", None] == [turns.take() for _ in range(6)]


def test_who_finds_a_free_turn_does_not_need_the_queue() -> None:
    """`queue=0` means that nobody waits, not that nobody runs."""
    turns: Turns[int] = Turns(1, 0)
    turns.join("a", 1)
    assert 1 == turns.take()
    with pytest.raises(RuntimeSaturated):
        turns.join("a", 2)
    turns.give()
    turns.join("a", 2)

    assert 2 == turns.take()


@pytest.mark.parametrize(("most", "queue"), [(0, 1), (True, 1), (1, -1), (1, 1.5)])
def test_bad_numbers_are_refused(most: int, queue: int) -> None:
    """Neither no turns at all, nor a queue of less than nobody."""
    with pytest.raises(RequestError):
        Turns(most, queue)


@pytest.mark.parametrize("seed", range(20))
def test_any_schedule_serves_everybody_once(seed: int) -> None:
    """Who joined was taken, or left, or waits; and never more than `most` have a turn."""
    chooser = random.Random(seed)
    turns: Turns[int] = Turns(3, 5)
    waiting: dict[int, str] = {}
    served: list[int] = []
    for number in range(1000):
        choice = chooser.random()
        if choice < 0.5:
            key = chooser.choice("abc")
            try:
                turns.join(key, number)
            except RuntimeSaturated:
                assert len(waiting) >= 5
            else:
                waiting[number] = key
        elif choice < 0.7 and waiting:
            left = chooser.choice(list(waiting))
            assert turns.leave(waiting.pop(left), left)
            assert not turns.leave("a", left)
        elif choice < 0.85 and turns.taken:
            turns.give()
        elif (one := turns.take()) is not None:
            del waiting[one]
            served.append(one)
        assert len(waiting) == turns.waiting <= 8
        assert 0 <= turns.taken <= 3

    assert len(served) == len(set(served))


@pytest.mark.parametrize("seed", range(20))
def test_tasks_cancelled_at_any_point_lose_no_turn(seed: int) -> None:
    """After any mix of cancels, deadlines and ends all turns are free again."""

    async def main() -> tuple[int, int]:
        chooser = random.Random(seed)
        turns = AsyncTurns(2, 1000)
        most = at_once = 0

        async def work(key: str, timeout: float | None) -> None:
            nonlocal most, at_once
            if not await turns.take(key, When.now(timeout)):
                return
            at_once += 1
            most = max(most, at_once)
            try:
                for _ in range(chooser.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                at_once -= 1
                turns.give()

        tasks = [
            asyncio.ensure_future(work(chooser.choice("ab"), chooser.choice([None, None, 1e-4])))
            for _ in range(100)
        ]
        for _ in range(150):
            chooser.choice(tasks).cancel()
            await asyncio.sleep(0)
        await asyncio.wait(tasks, timeout=60)
        await turns.take("a", When.now())
        await turns.take("b", When.now())
        return most, turns.waiting

    assert (2, 0) == asyncio.run(main())
