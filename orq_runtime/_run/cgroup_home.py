"""A host's own folder in one hierarchy: the groups of its runs, and who clears up after it.

::

    PARENT/orq-runtime.HEX/     the home: locked by the host that made it, as long as it lives
        run-PID-N/              one leaf: a run

Rules of this file:

1. A home belongs to whoever holds its lock: the kernel's own, on the folder itself, so that it is
   free the moment the host is dead. A home whose lock is free is garbage, processes and all.
2. A group that has processes cannot be removed. A leaf that is done with waits in a list until its
   last process has left; whoever wants the next leaf has it removed (`tidy`).
3. Pids are only signalled through a pidfd of a process that was seen in the group afterwards.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import select
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from orq_runtime import _fs
from orq_runtime._digest import sha256
from orq_runtime._run.cgroup_files import Files
from orq_runtime.errors import StoreError

__all__ = ["Home", "end_processes", "record", "sweep_parent", "sweep_recorded"]

_PREFIX: Final = "orq-runtime."
_POLL_SECONDS: Final = 0.002
_SWEEP_SECONDS: Final = 2.0
_ROUNDS: Final = 64


class Home:
    """A host's folder under `parent`. Safe for many threads. Owns the folder and its lock."""

    def __init__(self, parent: Path, files: Files) -> None:
        """Make and lock it. Raises OSError."""
        self._files = files
        self._maker = os.getpid()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._retired: list[Path] = []
        self.path, self._held = _make(parent, files)

    def new(self) -> Path:
        """A new, empty leaf. Raises OSError."""
        while True:  # a fork of the host counts on from the same number
            leaf = self.path / f"run-{os.getpid()}-{next(self._numbers)}"
            with contextlib.suppress(FileExistsError):
                self._files.make(leaf)
                return leaf

    def retire(self, leaf: Path) -> None:
        """Have a leaf removed as soon as it is empty."""
        with self._lock:
            self._retired.append(leaf)

    def tidy(self, patience_seconds: float = 0.0) -> int:
        """Remove the retired leaves that are empty; how many are left. May block that long."""
        deadline = time.monotonic() + patience_seconds
        while True:
            with self._lock:
                leaves, self._retired = self._retired, []
            left = [leaf for leaf in leaves if not _is_removed(leaf, self._files)]
            with self._lock:
                self._retired.extend(left)
            if not left or time.monotonic() >= deadline:
                return len(left)
            # polled: version 1 tells nobody when a group becomes empty
            select.select([], [], [], _POLL_SECONDS)

    def close(self) -> None:
        """End what runs in any leaf, remove everything, let go of the lock. Blocks.

        In a fork of the host it only lets go: the runs are not the fork's.
        """
        if self._held < 0:
            return
        if os.getpid() == self._maker:
            _clear(self.path, self._files)  # what stays is swept at the next start
        os.close(self._held)
        self._held = -1


def _make(parent: Path, files: Files) -> tuple[Path, int]:
    while True:
        path = parent / (_PREFIX + os.urandom(6).hex())
        files.make(path)
        held = _lock(path)
        if held is not None:
            return path, held
        _is_removed(path, files)


def _lock(path: Path) -> int | None:
    """A descriptor that holds the folder's lock; None when another has it, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_removed(folder: Path, files: Files) -> bool:
    try:
        files.remove(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def end_processes(leaf: Path, files: Files) -> None:
    """SIGKILL everything in a group. Returns when that is sent, not when all are dead."""
    with contextlib.suppress(OSError):  # before Linux 5.14, and in version 1: one by one
        files.write(leaf / "cgroup.kill", "1")
        return
    for _ in range(_ROUNDS):  # what forks faster than that meets `pids.max`
        pids = _pids(leaf, files)
        if not sum(_end(pid, leaf, files) for pid in pids):
            return


def _pids(leaf: Path, files: Files) -> list[int]:
    try:
        words = files.read(leaf / "cgroup.procs").split()
    except OSError:
        return []
    return [int(word) for word in words if word.isdigit() and int(word) > 0]


def _end(pid: int, leaf: Path, files: Files) -> bool:
    """Whether a signal was sent to a living process of the group."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if poll.poll(0) or pid not in _pids(leaf, files):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(pidfd)
    return True


# -- after a host that was killed --------------------------------------------------------------


def sweep_parent(parent: Path, files: Files) -> tuple[int, int]:
    """Remove the homes of dead hosts under a folder: how many went, how many are still there."""
    removed = left = 0
    for home in _folders(parent, _PREFIX):
        held = _lock(home)
        if held is None:
            left += home.exists()
            continue
        try:
            is_gone = _clear(home, files)
        finally:
            os.close(held)
        removed += is_gone
        left += not is_gone
    return removed, left


def _clear(home: Path, files: Files) -> bool:
    deadline = time.monotonic() + _SWEEP_SECONDS
    leaves = _folders(home, "run-")
    for leaf in leaves:
        end_processes(leaf, files)
    while leaves := [leaf for leaf in leaves if not _is_removed(leaf, files)]:
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], _POLL_SECONDS)  # polled: as in `Home.tidy`
    return _is_removed(home, files)


def _folders(parent: Path, prefix: str) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [
                parent / entry.name
                for entry in entries
                if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []


def record(register: Path, parents: Iterable[Path]) -> None:
    """Write down where this host has homes, for a later one that lives in another group.

    A register that cannot be written remembers nothing.
    """
    for parent in parents:
        name = sha256(os.fsencode(parent)).hexdigest()[:16]
        if not (register / name).exists():
            with contextlib.suppress(OSError, StoreError):
                _fs.write_atomic(register / name, os.fsencode(parent))


def sweep_recorded(register: Path, root: Path, files: Files) -> int:
    """Remove the homes of dead hosts at all recorded places under `root`; how many there were."""
    removed = 0
    for entry in register.iterdir() if register.is_dir() else ():
        if entry.name.startswith("."):
            continue
        try:
            parent = Path(os.fsdecode(entry.read_bytes()))
        except FileNotFoundError:  # another host sweeps at the same time
            continue
        is_ours = parent.is_relative_to(root)
        gone, left = sweep_parent(parent, files) if is_ours else (0, 0)
        removed += gone
        if not left:
            entry.unlink(missing_ok=True)
            if is_ours and _folders(parent, _PREFIX):  # a host came meanwhile, and saw the entry
                record(register, [parent])
    return removed
