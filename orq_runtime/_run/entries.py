"""The entries of a pool, by what their zygotes are launched from."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from orq_runtime._run.entry import Child, Entry
from orq_runtime.errors import NeverStarted
from orq_runtime.model.stats import Stats

__all__ = ["Entries"]

K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=Child)


class Entries(Generic[K, C]):
    """Safe for many threads. `get` gives the entry of a launch, if there is one; does not wait."""

    def __init__(self, make: Callable[[], Entry[C]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._entries: dict[K, Entry[C]] = {}
        self._gone = Stats()
        self._is_closed = False
        self.get = self._entries.get

    def all(self) -> list[Entry[C]]:
        """All of them, in no order."""
        with self._lock:
            return list(self._entries.values())

    def by_use(self) -> list[tuple[K, Entry[C]]]:
        """The least recently used first."""
        with self._lock:
            return sorted(self._entries.items(), key=lambda item: item[1].used)

    @property
    def alive(self) -> int:
        """How many have a zygote."""
        return sum(entry.zygote is not None for entry in self.all())

    @contextlib.contextmanager
    def held(self, what: K) -> Iterator[Entry[C]]:
        """A launch's entry, locked, and not retired while we waited for its lock.

        Raises `NeverStarted` once they are closed.
        """
        while True:
            with self._lock:
                if self._is_closed:
                    raise NeverStarted("the runtime is closed")
                entry = self._entries.get(what)
                if entry is None:
                    entry = self._entries[what] = self._make()
            with entry.lock:
                if not entry.is_gone:
                    yield entry
                    return

    def retire(self, what: K, entry: Entry[C]) -> bool:
        """End what waits there, unless it is wanted; whether a zygote went with it."""
        if not entry.lock.acquire(blocking=False):
            return False
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
        """What is there and was done in all of them, also in those that are gone."""
        with self._lock:
            total, entries = self._gone, list(self._entries.values())
        for entry in entries:
            total = total.plus(entry.told())
        return total

    def shut(self) -> None:
        """Give no more of them to `held`."""
        with self._lock:
            self._is_closed = True

    def close(self) -> None:
        """End every zygote with all that runs under it."""
        with self._lock:
            self._is_closed = True
            entries = list(self._entries.values())
            self._entries.clear()
        for entry in entries:
            with entry.lock:
                entry.retire(even_busy=True)
                entry.drop()
