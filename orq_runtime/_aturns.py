"""Turns in an event loop: who waits is woken in the order of `Turns`."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from orq_runtime._turns import Turns
from orq_runtime.model.when import When

__all__ = ["AsyncTurns"]


class AsyncTurns:
    """Up to `most` at once have a turn, up to `queue` wait. For one event loop."""

    def __init__(self, most: int | None, queue: int) -> None:
        self._turns: Turns[asyncio.Future[None]] = Turns(most, queue)
        self.ahead = self._turns.ahead

    @property
    def waiting(self) -> int:
        """How many have no turn yet."""
        return self._turns.waiting

    async def take(self, key: Hashable, when: When) -> bool:
        """Wait for a turn; False when there was none in time. Raises `RuntimeSaturated`."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.join(key, mine)
        self._grant()
        if mine.done():
            return True
        left = when.left_seconds()
        try:
            await asyncio.wait([mine], timeout=None if left is None else max(0.0, left))
        except asyncio.CancelledError:
            if not self._turns.leave(key, mine):
                self.give()
            raise
        if not mine.done():
            self._turns.leave(key, mine)
        return mine.done()

    def give(self) -> None:
        """A turn is over."""
        self._turns.give()
        self._grant()

    def _grant(self) -> None:
        while (one := self._turns.take()) is not None:
            one.set_result(None)
