"""Looks after what no kernel limit holds while a run goes on, on its rounds: `Watched` says what.

A run that ends before the first round costs nothing but its baseline.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from orq_runtime._dataclass import dataclass
from orq_runtime._run.disk import DiskRound
from orq_runtime._run.machine import Machine
from orq_runtime._run.watch import POLL_SECONDS, MemoryWatch, Processes

__all__ = ["MemoryRound", "ProcessRound", "Round", "Sentry", "Watched"]

_ROUND_NS: Final = int(POLL_SECONDS * 1e9)
_REST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The limits of a run that nothing but a sentry holds; None for those that the kernel does.

    `folders` may hold `disk_bytes` and `disk_files` together.
    """

    memory_bytes: int | None = None
    processes: int | None = None
    folders: tuple[Path, ...] = ()
    disk_bytes: int = 0
    disk_files: int = 250_000

    def rounds(self, pidfd: int, ours: int) -> list[Round]:
        """What is to be done for a run of that pidfd, whose first generations are `ours`.

        The pidfd stays the caller's. Raises OSError if nothing can be seen.
        """
        found: list[Round] = []
        if self.memory_bytes is not None or self.processes is not None:
            processes = Processes(pidfd)
            if self.processes is not None:  # first: it stops counting where there are too many
                found.append(ProcessRound(self.processes, processes, ours))
            if self.memory_bytes is not None:
                found.append(MemoryRound(self.memory_bytes, processes))
        if self.folders:
            disk = DiskRound(
                self.folders,
                limit_bytes=self.disk_bytes,
                limit_files=self.disk_files,
                pidfd=pidfd,
                ours=ours,
            )
            found.append(disk)
        return found


class Round(Protocol):
    """One thing to look after."""

    def look(self) -> tuple[str, str] | None:
        """The verdict and the reason for which the run must end now, or None. Raises OSError."""
        ...

    def close(self) -> None:
        """Let go of everything. Twice is fine."""
        ...


class MemoryRound:
    """The memory of a run that no cgroup holds."""

    def __init__(self, limit_bytes: int, processes: Processes) -> None:
        self._limit_bytes = limit_bytes
        self._watch = MemoryWatch(limit_bytes)
        self._processes = processes

    def look(self) -> tuple[str, str] | None:
        """Whether the run holds more than it may."""
        if not self._watch.is_exceeded(self._processes):
            return None
        reason = f"the run needed more than {self._limit_bytes} bytes of memory and was killed"
        return "out_of_memory", reason

    def close(self) -> None:
        """Nothing is held."""


class ProcessRound:
    """How many processes and threads a run has, where neither a cgroup nor an rlimit counts them.

    An rlimit counts all that the host user runs, but for user namespaces.
    """

    def __init__(self, limit: int, processes: Processes, ours: int) -> None:
        """`ours`: how many generations are no step's."""
        self._limit = limit
        self._ours = ours
        self._processes = processes

    def look(self) -> tuple[str, str] | None:
        """Whether the run has more than it may."""
        if self._processes.threads(after=self._ours, most=self._limit) <= self._limit:
            return None
        reason = f"the run had more than {self._limit} processes and threads, and was killed"
        return "processes_exceeded", reason

    def close(self) -> None:
        """Nothing is held."""


class Sentry:
    """One run's. `look` when `due_ns` is over; it stops the run that is over a limit."""

    def __init__(self, rounds: Sequence[Round], *, now_ns: int) -> None:
        self._rounds = rounds
        self.due_ns = now_ns + _ROUND_NS

    def look(self, machine: Machine, now_ns: int) -> None:
        """Look, when it is time. A round that took long is followed by a longer rest."""
        if now_ns < self.due_ns:
            return
        begun_ns = time.monotonic_ns()
        for one in self._rounds:
            try:
                found = one.look()
            except OSError:  # the run has ended, or nothing can be opened just now
                continue
            if found:
                machine.stop(found[0], now_ns, found[1], at_once=True)
                break
        took_ns = time.monotonic_ns() - begun_ns
        self.due_ns = now_ns + took_ns + max(_ROUND_NS, _REST * took_ns)

    def close(self) -> None:
        """Let go of everything. Twice is fine."""
        for one in self._rounds:
            one.close()
