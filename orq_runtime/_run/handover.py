"""Artifacts as inputs: how a run comes to read the files that its caller hands over.

::

    <cache>/staging/<share>/in/<one run>/<number>/<name>    a link to an artifact, or its copy

Rules of this file:

1. What a run may read anyway is handed over by its own path, and so is all where there is no wall.
2. The walls of a session's zygotes that take artifacts let their runs read the session's share. In
   it each run has a folder of a name that nobody can guess, in one that no run can list.
3. What cannot be put there cheaply is granted under its own path to a run that starts alone.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import Final

from orq_runtime import _fs
from orq_runtime._run.ground import may_become_others
from orq_runtime.errors import BadCall, NotFound
from orq_runtime.model.artifact import Artifact
from orq_runtime.model.plan import StartMode
from orq_runtime.model.policy import Policy, check_place

__all__ = ["Handover", "Share"]

_MOST_COPIED_BYTES: Final = 32 << 20
_MOST_ENTRIES: Final = 4096
_WALKABLE: Final = 0o311  # and not readable: who does not know a name in it finds none


class Share:
    """The folder of a session through which its zygotes are handed artifacts; made when needed."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._root: Path | None = None

    @property
    def root(self) -> Path:
        """What a wall must grant. Raises `StoreError` when it cannot be made."""
        with self._lock:
            if self._root is None:
                root = self._stack.enter_context(_fs.scratch(self._cache_dir / "staging"))
                root.chmod(0o755)
                (root / "in").mkdir()
                (root / "in").chmod(_WALKABLE)
                self._root = root
            return self._root

    def folder(self) -> Path:
        """A fresh folder for one run, which whoever asked for it takes away."""
        folder = self.root / "in" / os.urandom(16).hex()
        folder.mkdir()
        folder.chmod(0o755)
        return folder

    def close(self) -> None:
        """Remove it with all that is in it."""
        with self._lock:
            self._stack.close()
            self._root = None


class Handover:
    """What one run is handed: call it with an artifact for the path that the run gets.

    Afterwards `readable` is all that its wall must grant, and `start_mode` how the run must be
    started for that. `granted` is granted in any case, and `policy` grants more. It owns the run's
    folder in the share: `forget`.
    """

    def __init__(
        self,
        share: Share,
        *,
        tier: str,
        granted: tuple[str, ...],
        policy: Policy,
        start_mode: StartMode,
    ) -> None:
        self.readable = granted
        self.start_mode = start_mode
        self._share = share
        self._has_wall = tier != "process"
        self._policy = policy
        self._paths: dict[Path, str] = {}
        self._folder: Path | None = None

    def __call__(self, artifact: Artifact) -> str:
        """The path under which the run finds the artifact.

        Raises `NotFound` for one that is not there, and `BadCall` for one that the run could not
        read or must not be given.
        """
        path = artifact.path.resolve()
        if path not in self._paths:
            _check(artifact.path, is_other=self._has_wall and may_become_others())
            self._paths[path] = self._handed(path)
        return self._paths[path]

    def _handed(self, path: Path) -> str:
        known = (*map(Path, self.readable), *self._policy.read_only, *self._policy.writable)
        if not self._has_wall or any(path.is_relative_to(one) for one in known):
            return str(path)
        check_place(path)
        if self.start_mode == "zygote":
            placed = self._placed(path)
            if placed is not None:
                self._grant(self._share.root)
                return str(placed)
        self._grant(path)
        self.start_mode = "exec"
        return str(path)

    def _grant(self, path: Path) -> None:
        self.readable = tuple(dict.fromkeys((*self.readable, str(path))))

    def _placed(self, path: Path) -> Path | None:
        """Where in the share it was put; None when that would cost too much."""
        if self._folder is None:
            self._folder = self._share.folder()
        inside = self._folder / str(len(self._paths))
        inside.mkdir()
        try:
            return _Placing().put(path, inside / path.name)
        except (_TooMuch, OSError):
            return None

    def forget(self) -> None:
        """Take the run's folder away. Twice is fine."""
        folder, self._folder = self._folder, None
        if folder is not None:
            _fs.remove_tree(folder)


class _TooMuch(Exception):
    """More than is worth to be put into the share."""


class _Placing:
    """Puts one artifact into the share: links where one file system holds both, else copies."""

    def __init__(self) -> None:
        self._bytes_left = _MOST_COPIED_BYTES
        self._entries_left = _MOST_ENTRIES

    def put(self, source: Path, target: Path) -> Path:
        if source.is_dir():
            import shutil  # start-up budget: few runs are handed anything

            shutil.copytree(source, target, symlinks=True, copy_function=self._file)
        else:
            self._file(source, target)
        return target

    def _file(self, source: str | Path, target: str | Path) -> None:
        status = Path(source).lstat()
        self._entries_left -= 1
        if self._entries_left < 0 or not stat.S_ISREG(status.st_mode):
            raise _TooMuch
        try:
            os.link(source, target)
        except OSError:  # another file system, or another's file
            self._bytes_left -= status.st_size
            if self._bytes_left < 0:
                raise _TooMuch from None
            import shutil  # the same

            shutil.copyfile(source, target)
            Path(target).chmod(0o444)


def _check(path: Path, *, is_other: bool) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise NotFound(f"no such artifact: `{path}`: {error.strerror}") from error
    is_folder = stat.S_ISDIR(status.st_mode)
    if not is_folder and not stat.S_ISREG(status.st_mode):
        raise BadCall(f"an artifact is a file or a folder: `{path}`")
    needed = 0o5 if is_folder else 0o4
    if (is_other and status.st_mode & needed != needed) or not os.access(path, os.R_OK):
        raise BadCall(
            f"the run's user may not read the artifact `{path}`",
            hint="let others read it: chmod -R o+rX",
        )
