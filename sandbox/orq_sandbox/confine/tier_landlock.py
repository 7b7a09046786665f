"""The tier for machines that forbid user namespaces: Landlock, seccomp and a process group.

::

    shepherd                outside; waits, and finds what a hostile zygote leaves behind
      zygote                own Landlock domain, sealed
        init of a run       the same
          step              own domain inside that one, own process group that nobody can leave

Rules of this file:

1. The zygote is in a domain before the first third-party byte, for an import can steal as well as a
   step. It may read /proc, because a run's own entry there cannot be named ahead; another process's
   environment and memory Landlock keeps from it all the same.
2. No socket has an address: paths and datagrams are what Landlock does not see.
3. As root we become a user id that is nobody else's. As anybody else we share the host's: then the
   attributes of files (mode, owner, times) cannot be changed at all.
"""

from __future__ import annotations

import os
import signal
import typing

from orq_sandbox import forks, kernel
from orq_sandbox.confine import capabilities, landlock, limits, rooms, root, seccomp, shepherd
from orq_sandbox.confine.descriptors import close_all_but
from orq_sandbox.confine.identity import become, require_readable
from orq_sandbox.confine.stages import Stage, Stages

__all__ = ["LandlockWall", "enter"]

Mapping = typing.Mapping[str, typing.Any]

_UMASK = 0o077
_THREADS_OF_A_ZYGOTE = 4096
_STANDARD = (0, 1, 2)
_MACHINE_FILES = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat")
# not all of /proc/self: `net`, and `task` by way of it, tell of the host's connections and sockets
_OWN = (
    *("auxv", "cgroup", "cmdline", "comm", "environ", "exe", "fd", "fdinfo", "io", "limits"),
    *("maps", "mountinfo", "mounts", "oom_score", "oom_score_adj", "smaps", "smaps_rollup"),
    *("stat", "statm", "status"),
)
_OWN_FILES = ["/proc/self/" + name for name in _OWN]


class LandlockWall:
    """The wall around this zygote."""

    tier = "landlock"
    own_rooms = None  # each run has others
    is_all_disk_ours = False
    shelf = -1

    def __init__(self, policy: Mapping, stages: Stages, interface: int) -> None:
        self.stages = stages
        self.landlock = interface
        self._policy = policy
        self._rooms = rooms.Rooms("", "")
        self._threads = 0
        self._lock = b""
        if interface >= landlock.SCOPE_SINCE:
            self._lock = seccomp.lock(has_namespaces=False)

    def fork_init(self) -> int:
        """Fork an init: 0 in it, its process id here. Raises `WallError`."""
        return fork_bound(self.stages)

    def settle_init(self, run: Mapping) -> rooms.Rooms:
        """In init: the run's folders, below `run["folder"]` or the scratch. Raises `WallError`."""
        with self.stages("run: folders"):
            self._rooms = rooms.make(self._policy["scratch"], run.get("folder"))
            self._threads = limits.threads_now()
        return self._rooms

    def renew_init(self, run: Mapping) -> rooms.Rooms:
        """There are no namespaces that would take with them what a run has left: RuntimeError."""
        del run
        raise RuntimeError("an init of this wall serves one run")

    def is_disk_full(self) -> bool:
        """False: the run's folders are on a disk of the host's, and no size is theirs."""
        return False

    def locking(self, run: Mapping, keep: typing.Iterable[int] = ()) -> typing.List[Stage]:
        """What a step, a session leader, does last: it gives everything up, and closes all
        descriptors but 0, 1, 2 and `keep`.
        """
        return [
            ("step: landlock", self._bind, None),
            ("step: descriptors", close_all_but, [*_STANDARD, *keep]),
            ("step: limits", self._limit, run.get("rlimits", {})),
            ("step: lock filter", self._filter, None),
        ]

    def _bind(self, _: None) -> None:
        self._domain().enter()

    def _limit(self, quantities: Mapping) -> None:
        limits.apply({**self._policy.get("rlimits", {}), **quantities})
        limits.bound_threads(self._threads)

    def _filter(self, _: None) -> None:
        os.umask(_UMASK)
        # the host is the same user: it must see what the step holds open, to count it. Other
        # runs do not: their domains are not around this one
        if self._policy.get("run_uid") is None:
            capabilities.set_dumpable(value=True)
        lock = self._lock or seccomp.lock(has_namespaces=False, only_signal=os.getpid())
        seccomp.install(lock)

    def kill_everything(self, step: int) -> None:
        """In init: SIGKILL the step's process group, which nothing can have left."""
        try:
            os.killpg(step, signal.SIGKILL)
        except (
            ProcessLookupError,
            PermissionError,
        ):  # PermissionError: all that is left is zombies
            pass

    def _domain(self) -> landlock.Domain:
        domain = _domain(self._policy, self.landlock)
        for path in self._rooms:
            domain.allow(path, landlock.WRITE)
        for path in (*_OWN_FILES, *_MACHINE_FILES):
            try:
                domain.allow(path, landlock.READ_FILES)
            except FileNotFoundError:  # a kernel that was built without it
                pass
        return domain


def fork_bound(stages: Stages) -> int:
    """Fork a process that the kernel kills with us: 0 in it, its process id here."""
    parent = os.getpid()
    with stages("run: fork init"):
        pid = forks.fork_unheard()
    if pid == 0:
        kernel.die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
    return pid


def enter(policy: Mapping, stages: Stages, interface: int) -> LandlockWall:
    """Go behind the wall; returns in the process inside. Raises `WallError`."""
    run_uid = policy.get("run_uid")
    host = shepherd.watch_host(policy.get("host_pid", os.getppid()))
    with stages("first fork"):
        shepherd.fork_inside(host, adopts=True)
    with stages("identity"):
        if run_uid is not None:
            capabilities.drop_bounding_set()
            capabilities.lock_securebits()
            become(run_uid)
            kernel.die_with_parent()
        capabilities.keep_only()
        capabilities.forbid_new_privileges()
        capabilities.set_dumpable(value=False)
        require_readable(policy.get("read_only", ()))
        # a hostile import has no watcher; while we live the user's other programs may grow as well
        limits.bound_threads(limits.threads_now(), _THREADS_OF_A_ZYGOTE)
    with stages("assemble filters"):
        wall = LandlockWall(policy, stages, interface)
        filter_ = _seal(policy, interface)
    with stages("landlock"):
        domain = _domain(policy, interface)
        domain.allow(policy["scratch"], landlock.WRITE)
        domain.allow("/proc", landlock.READ_FILES)
        domain.enter()
    with stages("seal filter"):
        seccomp.install(filter_)
    return wall


def _domain(policy: Mapping, interface: int) -> landlock.Domain:
    """The grants of the policy, which all domains here have in common."""
    domain = landlock.Domain(interface, tcp=policy.get("network") == "full")
    for source, _ in policy.get("read_only", ()):
        domain.allow(source, landlock.READ)
    for source, _ in policy.get("writable", ()):
        domain.allow(source, landlock.WRITE)
    for path in root.DEVICES:
        domain.allow(path, landlock.DEVICE)
    for path in policy.get("devices", ()):
        domain.allow(path, landlock.GRANTED_DEVICE)
    return domain


def _seal(policy: Mapping, interface: int) -> bytes:
    return seccomp.seal(
        network=policy.get("network", "none"),
        unshares=(),
        unix_sockets=interface >= landlock.SOCKETS_SINCE,
        memfd=policy.get("memfd", False),
        own_files=policy.get("run_uid") is None,
        feigns_attributes=policy.get("feigns_attributes", False),
        sees_truncation=interface >= landlock.TRUNCATE_SINCE,
    )
