"""What a zygote and a child parked under it hold of memory, by the kernel's word.

Rules of this file:

1. A page counts where it is written to: what a child shares with its zygote is the zygote's, and
   what a file is behind is nobody's, for the kernel can take that back.
2. The children of a zygote are alike: one is weighed for all.
3. Two questions: the cheap one (resident pages, 20 us a process) gives an upper bound, the dear one
   (a walk through the page tables, a millisecond) is asked `exactly` only where that is too much.
4. Where the walk is forbidden, because a process made itself undumpable, a child holds as many
   pages as it has faulted in, and a zygote all that is anonymous: rather too much than too little.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from orq_runtime._run.watch import Processes

__all__ = ["Scale", "Scales", "Weight"]

_PROC: Final = Path("/proc")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_FAULTS: Final = 7  # minor ones, in /proc/PID/stat after the name
_MOST: Final = 64


class Weight(NamedTuple):
    """Bytes of a zygote with what it needs, and of each child that waits under it."""

    own: int = 0
    child: int = 0
    is_exact: bool = False

    def with_children(self, count: int) -> int:
        """What they hold together."""
        return self.own + count * self.child


class Scales(Protocol):
    """What can be weighed without the zygote that it is of, from any thread."""

    def weigh(self, *, exactly: bool) -> Weight:
        """Weigh once. Takes milliseconds when it is to be exact; what has ended weighs nothing."""
        ...

    def close(self) -> None:
        """Let go of it. Twice is fine."""
        ...


class Scale:
    """Owns pidfds of its own: of the zygote's outermost process, and of a child or None.

    Raises OSError.
    """

    def __init__(self, zygote: int, generations: int, child: int | None) -> None:
        """`generations`: how many processes, one under the other, are the zygote and its walls."""
        self._generations = generations
        self._zygote = self._child = -1
        try:
            self._zygote = os.dup(zygote)
            self._child = -1 if child is None else os.dup(child)
        except OSError:
            self.close()
            raise

    def weigh(self, *, exactly: bool) -> Weight:
        """Weigh once. Takes milliseconds when it is to be exact; what has ended weighs nothing."""
        walls = self._pids(self._zygote, self._generations)
        measure = _own if exactly else _resident
        own = sum(map(measure, walls[:-1]))
        if walls:
            own += _anonymous(walls[-1]) if exactly else _resident(walls[-1])
        return Weight(own, sum(map(measure, self._pids(self._child, None))), exactly)

    @staticmethod
    def _pids(pidfd: int, generations: int | None) -> list[int]:
        if pidfd < 0:
            return []
        with contextlib.suppress(OSError):
            return Processes(pidfd).tree(most=_MOST, generations=generations)
        return []

    def close(self) -> None:
        """Let go of the pidfds. Twice is fine."""
        for pidfd in (self._zygote, self._child):
            if pidfd >= 0:
                os.close(pidfd)
        self._zygote = self._child = -1


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int((_PROC / f"{pid}/statm").read_text("ascii").split()[1]) * _PAGE
    return 0


def _own(pid: int) -> int:
    """What no other process has."""
    try:
        return _kilobytes(_PROC / f"{pid}/smaps_rollup", "Private_Clean:", "Private_Dirty:")
    except PermissionError:
        return min(_faulted(pid), _anonymous(pid))
    except OSError:
        return 0


def _anonymous(pid: int) -> int:
    """What no file is behind, shared or not."""
    try:
        return _kilobytes(_PROC / f"{pid}/status", "RssAnon:", "RssShmem:")
    except OSError:
        return 0


def _faulted(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        text = (_PROC / f"{pid}/stat").read_text("utf-8", "replace")
        return int(text.rpartition(")")[2].split()[_FAULTS]) * _PAGE
    return 0


def _kilobytes(file: Path, *names: str) -> int:
    lines = [line.split() for line in file.read_text("utf-8", "replace").splitlines()]
    return sum(int(words[1]) for words in lines if words and words[0] in names) * 1024
