"""Looks after what no kernel limit holds while a run goes on: memory, disk, on its rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from orq_runtime._run.machine import Machine
from orq_runtime._run.watch import POLL_SECONDS, MemoryWatch, Processes

__all__ = ["MemoryRound", "Round", "Sentry"]

_ROUND_NS: Final = int(POLL_SECONDS * 1e9)


class Round(Protocol):
    """One thing to look after."""

    def look(self) -> tuple[str, str] | None:
        """The verdict and the reason for which the run must end now, or None."""
        ...


class MemoryRound:
    """The memory of a run that no cgroup holds."""

    def __init__(self, limit_bytes: int, pidfd: int) -> None:
        """The pidfd of the run's init stays the caller's. Raises OSError if nothing can be seen."""
        self._limit_bytes = limit_bytes
        self._watch = MemoryWatch(limit_bytes)
        self._processes = Processes(pidfd)

    def look(self) -> tuple[str, str] | None:
        """Whether the run holds more than it may."""
        try:
            is_exceeded = self._watch.is_exceeded(self._processes)
        except ProcessLookupError:  # the run has ended
            return None
        if not is_exceeded:
            return None
        reason = f"the run needed more than {self._limit_bytes} bytes of memory and was killed"
        return "out_of_memory", reason


class Sentry:
    """One run's. `look` when `due_ns` is over; it stops the run that is over a limit."""

    def __init__(self, rounds: Sequence[Round], *, now_ns: int) -> None:
        self._rounds = rounds
        self.due_ns = now_ns + _ROUND_NS

    def look(self, machine: Machine, now_ns: int) -> None:
        """Look, when it is time."""
        if now_ns < self.due_ns:
            return
        self.due_ns = now_ns + _ROUND_NS
        for one in self._rounds:
            if found := one.look():
                machine.stop(found[0], now_ns, found[1])
                return
