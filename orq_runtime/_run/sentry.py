"""Looks after a run's memory while it goes on, where no cgroup does: the watcher, on its rounds."""

from __future__ import annotations

from typing import Final

from orq_runtime._run.machine import Machine
from orq_runtime._run.watch import POLL_SECONDS, MemoryWatch, Processes

__all__ = ["Sentry"]

_ROUND_NS: Final = int(POLL_SECONDS * 1e9)


class Sentry:
    """One run's. `look` when `due_ns` is over; it stops the run that is over its memory."""

    def __init__(self, limit_bytes: int, pidfd: int, *, now_ns: int) -> None:
        """The pidfd of the run's init stays the caller's. Raises OSError if nothing can be seen."""
        self._limit_bytes = limit_bytes
        self._watch = MemoryWatch(limit_bytes)
        self._processes = Processes(pidfd)
        self.due_ns = now_ns + _ROUND_NS

    def look(self, machine: Machine, now_ns: int) -> None:
        """Look, when it is time."""
        if now_ns < self.due_ns:
            return
        self.due_ns = now_ns + _ROUND_NS
        try:
            is_exceeded = self._watch.is_exceeded(self._processes)
        except ProcessLookupError:  # the run has ended
            return
        if is_exceeded:
            reason = f"the run needed more than {self._limit_bytes} bytes of memory and was killed"
            machine.stop("out_of_memory", now_ns, reason)
