"""Who waits for a turn, fairly: those who want the same stand in one line, and lines take turns.

Values only: no clock, no threads. Its two users are the facades' own ways to wait.
"""

from __future__ import annotations

import collections
import os
from collections.abc import Hashable
from typing import Generic, TypeVar

from orq_runtime.errors import RequestError, RuntimeSaturated

__all__ = ["Turns"]

T = TypeVar("T")


class Turns(Generic[T]):
    """Up to `most` at once have a turn, up to `queue` wait. Not safe for several threads.

    The first of the line that has waited longest for its turn is next; then its line goes last.
    """

    def __init__(self, most: int | None, queue: int) -> None:
        """`most` is by default twice the processors; `ahead` is how many one caller may ask for."""
        if most is None:
            most = max(4, 2 * (os.cpu_count() or 1))
        if type(most) is not int or most < 1:
            raise RequestError(f"`concurrency` is a number over 0, not: `{most!r}`")
        if type(queue) is not int or queue < 0:
            raise RequestError(f"`queue` is a number from 0 up, not: `{queue!r}`")
        self.most, self._queue = most, queue
        self.ahead = most + min(queue, most)
        self._lines: collections.OrderedDict[Hashable, collections.deque[T]] = (
            collections.OrderedDict()
        )
        self.waiting = 0
        self.taken = 0

    def join(self, key: Hashable, one: T) -> None:
        """Stand at the end of the key's line. Raises `RuntimeSaturated` when all places are taken.

        Where a turn is free one may stand in line for it however short the queue.
        """
        if self.waiting >= self._queue + self.most - self.taken:
            raise RuntimeSaturated(
                f"{self.waiting} runs wait for a turn already",
                hint="try again later, or raise `queue` or `concurrency` of the runtime",
            )
        self._lines.setdefault(key, collections.deque()).append(one)
        self.waiting += 1

    def take(self) -> T | None:
        """Who is next, if a turn is free and anybody waits. It has its turn until `give`."""
        if self.taken >= self.most or not self._lines:
            return None
        key, line = next(iter(self._lines.items()))
        one = line.popleft()
        if line:
            self._lines.move_to_end(key)
        else:
            del self._lines[key]
        self.waiting -= 1
        self.taken += 1
        return one

    def give(self) -> None:
        """A turn is over."""
        self.taken -= 1

    def leave(self, key: Hashable, one: T) -> bool:
        """Wait no more; False when it did not wait."""
        line = self._lines.get(key)
        if line is None or one not in line:
            return False
        line.remove(one)
        if not line:
            del self._lines[key]
        self.waiting -= 1
        return True

    def leave_all(self) -> list[T]:
        """Nobody waits any more: those who did."""
        left = [one for line in self._lines.values() for one in line]
        self._lines.clear()
        self.waiting = 0
        return left
