"""Version 1: a group in each of several hierarchies holds what one group of version 2 does.

Rules of this file:

1. The `memory` hierarchy must be there; `pids` and `cpu` are used where they are. Some
   of them share a hierarchy and then a group.
2. Groups are made below this process's own: what holds for the host holds for its runs.
3. A group in the `cpu` hierarchy is made when a run has a `cpu_millicores`, at the latest when it
   is dispatched.
4. What is set is read back.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orq_runtime._run.cgroup_files import Files, Hierarchy, counters, own_folder
from orq_runtime._run.cgroup_home import Home, end_processes
from orq_runtime.errors import WallUnavailable
from orq_runtime.model.limits import Limits

__all__ = ["NAME", "LegacyLeaf", "LegacyMechanism", "find"]

NAME: Final = "cgroup v1"
_CONTROLLERS: Final = ("memory", "pids", "cpu")
_PERIOD: Final = 100_000
_OF_ONE_THREAD: Final = "tasks"
"""Who comes in has one thread. A thread that moves itself waits for nobody; to move a whole process
the kernel (5.4 and up) first waits until every processor has passed through it: 6 to 14 ms."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MEMORY: Final = "memory.limit_in_bytes"
_WITH_SWAP: Final = "memory.memsw.limit_in_bytes"


class LegacyLeaf:
    """One run's groups, by controller. Owns them, and the descriptors until `forget_guest`."""

    def __init__(self, homes: Mapping[str, Home], files: Files) -> None:
        self._homes = homes
        self._files = files
        self._folders: dict[str, Path] = {}
        self._made: dict[Home, Path] = {}
        self._read_often: dict[str, Path] = {}
        self._joining: list[int] = []
        self._limits: Limits | None = None
        self._peak: Path | None = None
        self._before = 0

    def _enter(self, controller: str) -> Path:
        """The controller's group, made when it is not there yet."""
        if controller not in self._folders:
            home = self._homes[controller]
            if home not in self._made:
                self._made[home] = home.new()
            self._folders[controller] = self._made[home]
        return self._folders[controller]

    def procs_descriptors(self) -> list[int]:
        """Descriptors into each of which a process writes `0` to come in; still ours."""
        if not self._joining:
            for folder in self._made.values():
                self._joining.append(self._files.hold(folder / _OF_ONE_THREAD))
        return list(self._joining)

    def forget_guest(self) -> None:
        """Close those descriptors, once the guest has its own."""
        while self._joining:
            os.close(self._joining.pop())

    def place(self, pid: int) -> None:
        """Bring in a process. Raises OSError."""
        for folder in self._made.values():
            self._files.write(folder / "cgroup.procs", str(pid))

    def adjust(self, limits: Limits) -> None:
        """Hold these limits from now on. Raises OSError, and `WallUnavailable` if it does not."""
        before, self._limits = self._limits, limits
        if before is None:
            for controller in self._homes:
                if controller != "cpu":
                    self._enter(controller)
            self._peak = self._folders["memory"] / "memory.max_usage_in_bytes"
        if before is None or before.memory_bytes != limits.memory_bytes:
            is_more = before is not None and limits.memory_bytes > before.memory_bytes
            self._set_memory(limits.memory_bytes // _PAGE * _PAGE, is_more=is_more)
        if "pids" in self._homes and (before is None or before.processes != limits.processes):
            self._put("pids", "pids.max", limits.processes + 1)  # one is the run's init
        if limits.cpu_millicores != (before.cpu_millicores if before else None):
            self._set_speed(limits.cpu_millicores)

    def _set_memory(self, value: int, *, is_more: bool) -> None:
        # memory may at no moment be above memory with swap
        names = (_WITH_SWAP, _MEMORY) if is_more else (_MEMORY, _WITH_SWAP)
        for name in names:
            try:
                self._put("memory", name, value)
            except FileNotFoundError:
                if name == _MEMORY:
                    raise
                self._files.write(self._enter("memory") / "memory.swappiness", "0")

    def _set_speed(self, millicores: int | None) -> None:
        if "cpu" not in self._homes:
            return
        is_new = self._homes["cpu"] not in self._made
        folder = self._enter("cpu")
        self._put("cpu", "cpu.cfs_period_us", _PERIOD)
        quota = -1 if millicores is None else millicores * _PERIOD // 1000
        try:
            self._put("cpu", "cpu.cfs_quota_us", quota)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._put("cpu", "cpu.cfs_quota_us", -1)  # a group above is slower than that already
        if is_new:  # parked processes, which fork nothing, are in the other groups already
            for pid in self._files.read(self._folders["memory"] / "cgroup.procs").split():
                self._files.write(folder / "cgroup.procs", pid)

    def _put(self, controller: str, name: str, value: int) -> None:
        file = self._enter(controller) / name
        self._files.write(file, str(value))
        if (found := self._files.read(file)) != str(value):
            raise WallUnavailable(f"{NAME}: `{name}` was set to `{value}` and is `{found}`")

    def _counters(self, controller: str, name: str) -> dict[str, int]:
        try:
            file = self._read_often.get(name)
            if file is None:
                file = self._read_often[name] = self._folders[controller] / name
            return counters(self._files.read(file))
        except (OSError, KeyError):
            return {}

    def _number(self, controller: str, name: str) -> int | None:
        with contextlib.suppress(OSError, KeyError, ValueError):
            return int(self._files.read(self._folders[controller] / name))
        return None

    def is_out_of_memory(self) -> bool:
        """Whether the kernel killed a process of the run for want of memory."""
        found = self._counters("memory", "memory.oom_control")
        if "oom_kill" in found:
            return found["oom_kill"] > 0
        return bool(self._number("memory", "memory.failcnt"))  # before 4.13: limit was reached

    def processes_were_refused(self) -> bool:
        """Whether a process or thread more than allowed was asked for."""
        return self._counters("pids", "pids.events").get("max", 0) > 0

    def peak_bytes(self) -> int | None:
        """The most memory the run held at once; None when one before it held more."""
        peak = self._highest()
        return None if peak <= self._before else peak

    def _highest(self) -> int:
        try:
            return 0 if self._peak is None else int(self._files.read(self._peak))
        except (OSError, ValueError):
            return 0

    def renew(self) -> bool:
        """Take what comes for another run; False where the last one cannot be told from it."""
        self._before = self._highest()
        return not (self.is_out_of_memory() or self.processes_were_refused())

    def kill(self) -> None:
        """SIGKILL everything in the group, which can have no new processes from now on."""
        if "pids" in self._folders:
            with contextlib.suppress(OSError):
                self._files.write(self._folders["pids"] / "pids.max", "0")
        end_processes(self._folders["memory"], self._files)

    def close(self) -> None:
        """Done with it: no method may be called afterwards. Does not wait."""
        self.forget_guest()
        for home, folder in self._made.items():
            home.retire(folder)


class LegacyMechanism:
    """Leaves below this process's own groups. Safe for many threads."""

    name = NAME
    has_cgroup = True

    def __init__(
        self, parents: Mapping[str, Path], files: Files, *, notes: tuple[str, ...] = ()
    ) -> None:
        """Make a home in each hierarchy; `parents` are folders by controller. Raises OSError."""
        self.notes = notes
        self.parents = tuple(dict.fromkeys(parents.values()))
        self._files = files
        self._homes: dict[str, Home] = {}
        made: dict[Path, Home] = {}
        try:
            for controller, parent in parents.items():
                if parent not in made:
                    made[parent] = Home(parent, files)
                self._homes[controller] = made[parent]
        except BaseException:
            for home in made.values():
                home.close()
            raise

    def enforced_by(self, limits: Limits) -> Mapping[str, str]:
        """What holds each of the limits that a cgroup can hold."""
        held = {"memory_bytes": NAME, "shared_memory": NAME}
        held["processes"] = NAME if "pids" in self._homes else "rlimit"
        if limits.cpu_millicores is not None:
            held["cpu_millicores"] = NAME if "cpu" in self._homes else "unlimited"
        return held

    def leaf(self, limits: Limits) -> LegacyLeaf:
        """Groups for one run. Raises `WallUnavailable` when they do not hold the limits."""
        self.tidy()
        leaf = LegacyLeaf(self._homes, self._files)
        try:
            leaf.adjust(limits)
        except OSError as error:
            leaf.close()
            raise WallUnavailable(f"{NAME}: {error}") from error
        except BaseException:
            leaf.close()
            raise
        return leaf

    def tidy(self, patience_seconds: float = 0.0) -> int:
        """Remove the groups of closed leaves that are empty; how many are left."""
        return sum(home.tidy(patience_seconds) for home in dict.fromkeys(self._homes.values()))

    def close(self) -> None:
        """Remove all groups of this host. Blocks until what was killed is dead."""
        for home in dict.fromkeys(self._homes.values()):
            home.close()


def find(mounted: list[Hierarchy], proc: Path, files: Files) -> LegacyMechanism:
    """The mechanism of this process's place. Raises OSError saying why there is none."""
    parents: dict[str, Path] = {}
    for controller in _CONTROLLERS:
        for hierarchy in mounted:
            if hierarchy.version == 1 and controller in hierarchy.controllers:
                folder = own_folder(proc, hierarchy)
                if folder is not None and os.access(folder, os.W_OK):
                    parents.setdefault(controller, folder)
    if "memory" not in parents:
        raise OSError(errno.EACCES, "no `memory` hierarchy in which this process may make groups")
    return LegacyMechanism(parents, files)
