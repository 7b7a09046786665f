"""What processes under this one have used and hold, as the kernel tells it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Spent", "children", "private_bytes", "share_bytes", "spares", "spent", "under"]

_TICK = os.sysconf("SC_CLK_TCK")
_PRIVATE = re.compile(r"^Private_\w+:\s+(\d+) kB$", re.MULTILINE)
_SHARE = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


class Spent(NamedTuple):
    """Processor time and minor faults."""

    cpu_seconds: float
    minor_faults: int

    def since(self, before: Spent) -> Spent:
        """What was spent between two moments."""
        return Spent(self.cpu_seconds - before.cpu_seconds, self.minor_faults - before.minor_faults)


def children(pid: int) -> list[int]:
    """The processes that it started, or adopted, and did not bury yet."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # it ended meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text("ascii").split())
    return found


def under(pid: int) -> Iterator[int]:
    """It and all that are below it."""
    yield pid
    for child in children(pid):
        yield from under(child)


def spent(pid: int) -> Spent:
    """By a process, by all below it, and by all that those have buried."""
    ticks = faults = 0
    for one in under(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
            faults += int(fields[7]) + int(fields[8])
    return Spent(ticks / _TICK, faults)


def spares(pid: int) -> list[tuple[int, int]]:
    """The pairs below a process: each step that has no children, with its init."""
    return [
        (parent, child)
        for parent in under(pid)
        for child in children(parent)
        if parent != pid and not children(child)
    ]


def private_bytes(pid: int) -> int:
    """What it shares with nobody."""
    return 1024 * sum(map(int, _PRIVATE.findall(_rollup(pid))))


def share_bytes(pid: int) -> int:
    """What it holds, each page divided by the number of those that map it."""
    return 1024 * sum(map(int, _SHARE.findall(_rollup(pid))))


def _rollup(pid: int) -> str:
    return Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
