"""Where guests of a session stand: folders for their roots and runs, and whom they become.

::

    TEMPORARY/orq-runtime-UID/       the user's own, 0711; swept of dead sessions at each start
      SESSION/  SESSION.lock         one session; the lock is held while it lives
        guest-N/                     a guest's scratch: its root is mounted there, or
          run-.../                   the folders of one run, where no wall gives it its own

A guest's files are hostile: they are removed without following or trusting anything of them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import threading
from pathlib import Path

from orq_runtime import _fs
from orq_runtime._dataclass import dataclass
from orq_runtime._run.wall import RUN_UIDS
from orq_runtime.errors import StoreError

__all__ = ["Ground", "Grounds", "may_become_others"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One guest's: `scratch` is its folder, `run_uid` the host user it becomes when we are root."""

    scratch: Path
    run_uid: int | None
    tier: str

    def run_folder(self) -> Path | None:
        """A fresh folder for one run; None where the wall has a private file system for it."""
        if self.tier == "namespaces":
            return None
        folder = self.scratch / f"run-{os.urandom(8).hex()}"
        folder.mkdir(mode=0o700)
        if self.run_uid is not None:
            _give(folder, self.run_uid)
        return folder

    def remove(self) -> None:
        """Take the ground away, once its guest is dead; what stays goes with the session."""
        with contextlib.suppress(OSError):
            _fs.remove_tree(self.scratch)


class Grounds:
    """Makes grounds for one session. Safe for many threads; makes nothing before it is asked."""

    def __init__(self, temporary: Path) -> None:
        self._parent = temporary / f"orq-runtime-{os.geteuid()}"
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._session: Path | None = None
        self._numbers = itertools.count()

    def make(self, tier: str) -> Ground:
        """A ground for one guest. Raises `StoreError` when its folder cannot be made."""
        with self._lock:
            number = next(self._numbers)
            if self._session is None:
                _claim(self._parent)
                _fs.sweep(self._parent)
                self._session = self._stack.enter_context(_fs.scratch(self._parent))
                self._session.chmod(0o711)
            scratch = self._session / f"guest-{number}"
        scratch.mkdir(mode=0o700)
        run_uid = None
        if tier != "process" and may_become_others():
            run_uid = RUN_UIDS[(os.getpid() * 64 + number) % len(RUN_UIDS)]
            scratch.chmod(0o711)  # a guest walks through it, and makes or swaps no name in it
        return Ground(scratch=scratch, run_uid=run_uid, tier=tier)

    def close(self) -> None:
        """Remove all of the session's folders."""
        with self._lock:
            self._stack.close()
            self._session = None


def _give(folder: Path, uid: int) -> None:
    """Make a folder a run's. Not by its name: what a guest put in its place stays what it is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, uid, uid)
    finally:
        os.close(descriptor)


def may_become_others() -> bool:
    """Whether we are a root to whom `RUN_UIDS` belong: in a container they often do not."""
    if os.geteuid() != 0:
        return False
    for line in Path("/proc/self/uid_map").read_text("ascii").splitlines():
        first, _, count = map(int, line.split())
        if first <= RUN_UIDS.start and RUN_UIDS.stop <= first + count:
            return True
    return False


def _claim(parent: Path) -> None:
    """Make sure that the folder is ours: anybody may make names in a temporary folder."""
    try:
        parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        status = parent.lstat()
    except OSError as error:
        raise StoreError(f"cannot make `{parent}`: {error.strerror}", hint="set TMPDIR") from error
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or mode & 0o022:
        raise StoreError(
            f"`{parent}` is not this user's own folder", hint="remove it or set TMPDIR"
        )
