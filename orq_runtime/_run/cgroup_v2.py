"""Version 2: one group holds memory, processes and processor time of a run.

Rules of this file:

1. What is set is read back, and anything else is an error: properties that were silently not
   applied have happened.
2. The operator's configuration stays as it is. A group other than our own is only used where it
   already hands the controllers down, and never to get out from under a limit of a group between.
   Only when this process is alone in its group does it move, one level down, to make room.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from orq_runtime._run.cgroup_files import Files, Hierarchy, counters, own_folder
from orq_runtime._run.cgroup_home import Home, end_processes
from orq_runtime.errors import WallUnavailable
from orq_runtime.model.limits import Limits

__all__ = ["NAME", "UnifiedLeaf", "UnifiedMechanism", "find"]

NAME: Final = "cgroup v2"
_WANTED: Final = ("memory", "pids", "cpu")
_PERIOD: Final = 100_000
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_NO_LIMITS: Final = (("memory.max", "max"), ("memory.high", "max"), ("cpu.max", "max"))


class UnifiedLeaf:
    """One run's group. Owns the folder, and the descriptor until `forget_guest`."""

    def __init__(self, home: Home, files: Files, controllers: frozenset[str]) -> None:
        self._home = home
        self._files = files
        self._controllers = controllers
        self._limits: Limits | None = None
        self._joining = -1
        self._before = 0
        self._folder = home.new()

    def procs_descriptors(self) -> list[int]:
        """Descriptors into each of which a process writes `0` to come in; still ours."""
        if self._joining < 0:
            self._joining = self._files.hold(self._folder / "cgroup.procs")
        return [self._joining]

    def forget_guest(self) -> None:
        """Close those descriptors, once the guest has its own."""
        if self._joining >= 0:
            os.close(self._joining)
            self._joining = -1

    def place(self, pid: int) -> None:
        """Bring in a process. Raises OSError."""
        self._files.write(self._folder / "cgroup.procs", str(pid))

    def adjust(self, limits: Limits) -> None:
        """Hold these limits from now on. Raises OSError, and `WallUnavailable` if it does not."""
        before, self._limits = self._limits, limits
        if before is None or before.memory_bytes != limits.memory_bytes:
            self._put("memory.max", limits.memory_bytes // _PAGE * _PAGE)
        if before is None:
            for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                with contextlib.suppress(FileNotFoundError):  # no swap accounting; before 4.19
                    self._files.write(self._folder / name, value)
        if "pids" in self._controllers and (before is None or before.processes != limits.processes):
            self._put("pids.max", limits.processes + 1)  # one is the run's init
        if "cpu" in self._controllers and limits.cpu_millicores != (
            before.cpu_millicores if before else None
        ):
            quota = limits.cpu_millicores
            part = "max" if quota is None else str(quota * _PERIOD // 1000)
            self._put("cpu.max", f"{part} {_PERIOD}")

    def _put(self, name: str, value: object) -> None:
        file = self._folder / name
        self._files.write(file, str(value))
        if (found := self._files.read(file)) != str(value):
            raise WallUnavailable(f"{NAME}: `{name}` was set to `{value}` and is `{found}`")

    def _count(self, file: str, name: str) -> int:
        with contextlib.suppress(OSError):
            return counters(self._files.read(self._folder / file)).get(name, 0)
        return 0

    def is_out_of_memory(self) -> bool:
        """Whether the kernel killed a process of the run for want of memory."""
        return self._count("memory.events", "oom_kill") > 0

    def processes_were_refused(self) -> bool:
        """Whether a process or thread more than allowed was asked for."""
        return self._count("pids.events", "max") > 0

    def peak_bytes(self) -> int | None:
        """The most memory the run held at once; None when one before it held more, or not told.

        It is told since Linux 5.19.
        """
        peak = self._highest()
        return None if peak <= self._before else peak

    def _highest(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return int(self._files.read(self._folder / "memory.peak"))
        return 0

    def renew(self) -> bool:
        """Take what comes for another run; False where the last one cannot be told from it."""
        self._before = self._highest()
        return not (self.is_out_of_memory() or self.processes_were_refused())

    def kill(self) -> None:
        """SIGKILL everything in the group."""
        end_processes(self._folder, self._files)

    def close(self) -> None:
        """Done with it: no method may be called afterwards. Does not wait."""
        self.forget_guest()
        self._home.retire(self._folder)


class UnifiedMechanism:
    """Leaves under a group that hands its controllers down. Safe for many threads."""

    name = NAME
    has_cgroup = True

    def __init__(
        self, parent: Path, files: Files, *, host: Path | None = None, notes: tuple[str, ...] = ()
    ) -> None:
        """Make a home there. Raises OSError."""
        self.notes = notes
        self.parents = (parent,)
        self._files = files
        self._host = host
        self._home = Home(parent, files)
        try:
            self._controllers = _offered(self._home.path, files)
            wanted = " ".join(f"+{name}" for name in _WANTED if name in self._controllers)
            files.write(self._home.path / "cgroup.subtree_control", wanted)
        except BaseException:
            self._home.close()
            raise

    def enforced_by(self, limits: Limits) -> Mapping[str, str]:
        """What holds each of the limits that a cgroup can hold."""
        held = {"memory_bytes": NAME, "shared_memory": NAME}
        held["processes"] = NAME if "pids" in self._controllers else "rlimit"
        if limits.cpu_millicores is not None:
            held["cpu_millicores"] = NAME if "cpu" in self._controllers else "unlimited"
        return held

    def leaf(self, limits: Limits) -> UnifiedLeaf:
        """A group for one run. Raises `WallUnavailable` when it does not hold the limits."""
        self.tidy()
        try:
            leaf = UnifiedLeaf(self._home, self._files, self._controllers)
            try:
                leaf.adjust(limits)
            except BaseException:
                leaf.close()
                raise
        except OSError as error:
            raise WallUnavailable(f"{NAME}: {error}") from error
        return leaf

    def tidy(self, patience_seconds: float = 0.0) -> int:
        """Remove the groups of closed leaves that are empty; how many are left."""
        return self._home.tidy(patience_seconds)

    def close(self) -> None:
        """Remove all groups of this host. Blocks until what was killed is dead."""
        self._home.close()
        if self._host is not None:
            with contextlib.suppress(OSError):  # we are in it ourselves: the next start's
                self._files.remove(self._host)


def find(hierarchy: Hierarchy, proc: Path, files: Files) -> UnifiedMechanism:
    """The mechanism of this process's place in the hierarchy. Raises OSError saying why not."""
    own = own_folder(proc, hierarchy)
    if own is None:
        raise OSError(errno.ENOENT, "the group of this process is not to be seen there")
    if "memory" not in _offered(hierarchy.mount, files):
        raise OSError(errno.ENOENT, "it is mounted without the memory controller")
    refused: OSError = OSError(errno.EBUSY, "no group above this process hands controllers down")
    host = _make_room(own, hierarchy, files)
    for parent in _parents(own, hierarchy, files):
        try:
            # joining is up to the permissions of the nearest group above both
            if "memory" in _handed_down(parent, files) and os.access(
                parent / "cgroup.procs", os.W_OK
            ):
                return UnifiedMechanism(parent, files, host=host)
        except OSError as error:
            refused = error
    raise refused


def _parents(own: Path, hierarchy: Hierarchy, files: Files) -> Iterator[Path]:
    """Our own group and those above, as far as no limit would be escaped from."""
    folder = own
    while True:
        yield folder
        if folder == hierarchy.mount or _is_limited(folder, files):
            return
        folder = folder.parent


def _is_limited(folder: Path, files: Files) -> bool:
    for name, free in _NO_LIMITS:
        with contextlib.suppress(FileNotFoundError):
            if files.read(folder / name).split()[:1] != [free]:
                return True
    return False


def _make_room(own: Path, hierarchy: Hierarchy, files: Files) -> Path | None:
    """Move down from our own group, if nobody else is in it, and have it hand controllers down.

    The group that we are in now; None where nothing was changed.
    """
    if own == hierarchy.mount and hierarchy.root == "/" and not (own / "cgroup.type").exists():
        return None  # the machine's own root: it may have processes and hand down
    host = own / f"orq-host.{os.urandom(6).hex()}"
    me = str(os.getpid())
    try:
        if files.read(own / "cgroup.procs").split() != [me]:
            return None
        files.make(host)
    except OSError:
        return None
    try:
        files.write(host / "cgroup.procs", me)
        wanted = " ".join(f"+{name}" for name in _WANTED if name in _offered(own, files))
        files.write(own / "cgroup.subtree_control", wanted)
    except OSError:
        with contextlib.suppress(OSError):
            files.write(own / "cgroup.procs", me)
            files.remove(host)
        return None
    return host


def _offered(folder: Path, files: Files) -> frozenset[str]:
    return frozenset(files.read(folder / "cgroup.controllers").split())


def _handed_down(folder: Path, files: Files) -> frozenset[str]:
    return frozenset(files.read(folder / "cgroup.subtree_control").split())
