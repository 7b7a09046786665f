"""Whether a process that a zygote handed over is one that it forked.

A hostile import may answer an order with any descriptor that it has: the kernel gives out one of
this host itself (`SO_PEERPIDFD`), and behind Landlock one of every process. What may be killed is
therefore asked first whose child it is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import struct
from pathlib import Path
from typing import Final

__all__ = ["Offspring"]

_PROC: Final = Path("/proc")
_GET_INFO: Final = 0xC040FF0B  # PIDFD_GET_INFO, since Linux 6.13
_INFO: Final = struct.Struct("=QQIII28x")  # what it tells, the group, pid, thread group, parent
_MOST_SHEPHERDS: Final = 3


class Offspring:
    """The children of a zygote that is `top`, a child of ours, or somewhere below it."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._zygote = -1

    def pid(self, descriptor: int) -> int:
        """The id of a process of the zygote's, 0 when it has ended. Raises ValueError for others.

        All are children of one process, which is looked for the first time.
        """
        try:
            pid, parent = _child_and_parent(descriptor)
        except ProcessLookupError:
            return 0
        except (OSError, IndexError) as error:
            raise ValueError("it is no process") from error
        if self._zygote < 0 and self._descends(pid):
            self._zygote = parent
        if parent != self._zygote:
            raise ValueError("it is another's process")
        return pid

    def _descends(self, pid: int) -> bool:
        """Twice, for a pid that is used again in between would lead astray."""
        line = self._line(pid)
        return self._top in line and line == self._line(pid)

    def _line(self, pid: int) -> list[int]:
        line: list[int] = []
        with contextlib.suppress(OSError, ValueError, IndexError):  # somebody has ended
            while pid > 1 and self._top not in line and len(line) <= _MOST_SHEPHERDS:
                pid = _parent(pid)
                line.append(pid)
        return line


def _child_and_parent(descriptor: int) -> tuple[int, int]:
    """Raises `ProcessLookupError` for a process that has ended."""
    told = bytearray(_INFO.size)
    try:
        fcntl.ioctl(descriptor, _GET_INFO, told)
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise
        return _read(descriptor)  # an older kernel, or no process
    _, _, pid, _, parent = _INFO.unpack(told)
    return pid, parent


def _read(descriptor: int) -> tuple[int, int]:
    """The same from /proc."""
    fields = (_PROC / f"self/fdinfo/{descriptor}").read_text("ascii").splitlines()
    pid = next((int(line.split()[1]) for line in fields if line.startswith("Pid:")), 0)
    if pid == 0:
        raise ValueError("it is no process that can be seen from here")
    if pid < 0:
        raise ProcessLookupError(errno.ESRCH, "it has ended")
    return pid, _parent(pid)


def _parent(pid: int) -> int:
    # the name in parentheses may hold anything; the parent comes second after it
    return int((_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[1])
