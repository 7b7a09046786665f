"""Where no cgroup holds a run's memory: a watcher that looks every so often, from the host.

`MemoryWatch` decides and `Processes` reads; who drives them waits `POLL_SECONDS` in between::

    processes, watch = Processes(pidfd), MemoryWatch(limits.memory_bytes)
    while run_is_alive and not watch.is_exceeded(processes): wait
    kill the run: `out_of_memory`

Rules of this file:

1. The decision has no clock and no I/O of its own. What is cheap is asked every time (resident
   pages, about 20 us a process), what is dear (proportional shares, milliseconds) only when the
   cheap number is above the limit.
2. A page that several processes share counts once. Where shares cannot be read, because a process
   made itself undumpable, what a process has beyond the run's init counts, and of shared mappings
   the largest process's: too little rather than too much. Nobody is killed for an estimate that
   counts the zygote's pages for each child.

What it cannot see: memory that comes and goes between two looks (at 2 GB/s that is 100 MB); files
in a tmpfs and memfds that nobody has mapped; the kernel's own memory for the run, such as socket
buffers and page tables; a process that is forked and ends between two looks. Only a cgroup counts
those: an outcome says which of the two held the limit.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

__all__ = ["POLL_SECONDS", "MemoryWatch", "Processes", "Readings"]

POLL_SECONDS: Final = 0.05

_PROC: Final = Path("/proc")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MOST_PROCESSES: Final = 100_000
_THREADS: Final = 17  # of /proc/PID/stat, after the name
_MOST_BYTES: Final = 1 << 16


class Readings(Protocol):
    """What can be read of a run's processes, in bytes. What has ended in between is left out."""

    def resident(self) -> Mapping[int, int]:
        """Resident memory of each process by pid, shared pages in full. Looks anew."""
        ...

    def proportional(self, pid: int) -> int | None:
        """A process's memory with its share of what it shares; None when that is forbidden."""
        ...

    def private(self, pid: int) -> tuple[int, int]:
        """A process's anonymous memory, and its shared mappings that no file is behind."""
        ...

    @property
    def init(self) -> int:
        """The pid of the run's init."""
        ...


class MemoryWatch:
    """Whether a run holds more memory than it may. `peak_bytes` is the most that was confirmed."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self.peak_bytes = 0

    def is_exceeded(self, readings: Readings) -> bool:
        """Look once."""
        resident = readings.resident()
        if sum(resident.values()) <= self._limit:
            return False
        shares = {pid: readings.proportional(pid) for pid in resident}
        known = sum(share for share in shares.values() if share is not None)
        hidden = [pid for pid, share in shares.items() if share is None]
        used = known + (_estimate(readings, hidden) if hidden else 0)
        self.peak_bytes = max(self.peak_bytes, used)
        return used > self._limit


def _estimate(readings: Readings, pids: list[int]) -> int:
    inherited, _ = readings.private(readings.init)
    parts = [readings.private(pid) for pid in pids]
    own = sum(max(0, anonymous - inherited) for anonymous, _ in parts)
    return inherited + own + max(shared for _, shared in parts)


class Processes:
    """The processes of a run, found from its init's pidfd, which stays the caller's.

    Raises `ProcessLookupError` when init has ended, and OSError when no process is to be seen: a
    watcher that sees nothing must not look like one that does.
    """

    def __init__(self, pidfd: int, *, proc: Path = _PROC) -> None:
        self._pidfd = pidfd
        self._proc = proc
        self._init = self._pid()
        # some kernels list no children (CONFIG_PROC_CHILDREN): everybody is asked for a parent then
        self._lists_children = (proc / f"self/task/{os.getpid()}/children").exists()
        if not self._lists_children and not self._by_parent():
            raise FileNotFoundError(errno.ENOENT, "no process is to be seen", str(proc))

    @property
    def init(self) -> int:
        """The pid of the run's init."""
        return self._init

    def _pid(self) -> int:
        """Init's pid, while it has not been reaped: until then no other process has it."""
        fields = (self._proc / f"self/fdinfo/{self._pidfd}").read_text("ascii").splitlines()
        pid = next((int(line.split()[1]) for line in fields if line.startswith("Pid:")), -1)
        if pid <= 0:
            raise ProcessLookupError("init has ended")
        return pid

    def tree(
        self, *, after: int = 0, most: int = _MOST_PROCESSES, generations: int | None = None
    ) -> list[int]:
        """Init and all its descendants. Orphans are init's children and are found too.

        `after`: without so many generations, counted from init. `most`: where there are more, some
        are left out; who forks without end does so faster than anybody counts. `generations`: no
        more than so many.
        """
        found: list[int] = []
        generation, seen = [self._init], {self._init}
        families = {} if self._lists_children else self._by_parent()
        while generation:
            if after <= 0:
                found += generation
            after -= 1
            if generations is not None:
                generations -= 1
                if generations == 0:
                    break
            parents, generation = generation, []
            for pid in parents:
                if len(found) + len(generation) > most:
                    return found + generation
                children = self._children(pid) if self._lists_children else families.get(pid, [])
                for child in children:
                    if child not in seen:
                        seen.add(child)
                        generation.append(child)
        return found

    def threads(self, *, after: int, most: int) -> int:
        """How many threads they have together; many more than `most` are not counted."""
        pids = self.tree(after=after, most=most)
        if len(pids) > most:
            return len(pids)
        count = 0
        for pid in pids:
            with contextlib.suppress(OSError, IndexError, ValueError):  # it has ended
                fields = _read(self._proc / str(pid) / "stat").rpartition(")")[2].split()
                count += int(fields[_THREADS]) if fields[0] not in "ZX" else 1
        return count

    def _children(self, pid: int) -> list[int]:
        children: list[int] = []
        folder = self._proc / str(pid) / "task"
        with contextlib.suppress(OSError):  # it has ended: its children are init's by now
            for thread in folder.iterdir():
                with contextlib.suppress(OSError):
                    children.extend(map(int, _read(thread / "children").split()))
        return children

    def _by_parent(self) -> dict[int, list[int]]:
        families: dict[int, list[int]] = {}
        for entry in (item.name for item in self._proc.iterdir()):
            if entry.isdigit():
                with contextlib.suppress(OSError, IndexError, ValueError):  # it has ended
                    # the name in parentheses may hold anything; the parent comes second after it
                    fields = _read(self._proc / entry / "stat").rpartition(")")[2].split()
                    families.setdefault(int(fields[1]), []).append(int(entry))
        return families

    def resident(self) -> Mapping[int, int]:
        """Resident memory of each process by pid. Raises `ProcessLookupError` at init's end."""
        found: dict[int, int] = {}
        for pid in self.tree():
            with contextlib.suppress(OSError, IndexError):
                found[pid] = int(_read(self._proc / str(pid) / "statm").split()[1]) * _PAGE
        self._pid()  # were init gone by now, the pids could be anybody's
        return found

    def proportional(self, pid: int) -> int | None:
        """The kernel's Pss; 0 for a process that has ended."""
        try:
            text = _read(self._proc / str(pid) / "smaps_rollup")
        except PermissionError:
            return None
        except OSError:
            return 0
        return _kilobytes(text, "Pss:")

    def private(self, pid: int) -> tuple[int, int]:
        """RssAnon and RssShmem, which the kernel tells everybody."""
        try:
            text = _read(self._proc / str(pid) / "status")
        except OSError:
            return 0, 0
        return _kilobytes(text, "RssAnon:"), _kilobytes(text, "RssShmem:")


def _kilobytes(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def _read(file: Path) -> str:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(descriptor, _MOST_BYTES):
            chunks.append(chunk)
        return b"".join(chunks).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
