"""The strongest tier: a guest in namespaces of its own, below a root that holds only grants.

::

    shepherd                outside; waits
      second shepherd       pid 1 of a pid namespace that nobody else is in; waits
        zygote              pid 1 of its pid namespace; own user, mount, ipc, uts, cgroup, net
          init of a run     pid 1 of the run's pid namespace; own mount and ipc
            step            own user namespace

Rules of this file:

1. Two user namespaces, one in the other: the root is built and entered in the outer one, so that
   in the inner one every mount is locked, even for a zygote that turned hostile. (`pivot_root`
   after that copy fails: locked mounts.) Started by root, the host's own is the outer one.
2. As root the inner one belongs to a user id that is nobody else's. Host user 0 is never mapped:
   the kernel counts no processes for it.
3. The first pid namespace is there for its /proc, which shows nothing: a new /proc can be mounted
   in inner namespaces only where one that reveals as much is in sight.
4. The step's user namespace comes after all mounting: `RLIMIT_NPROC` then counts this run alone,
   and what the step could do in it means nothing to the other namespaces.
"""

from __future__ import annotations

import os
import signal
import typing

from orq_sandbox import forks, kernel
from orq_sandbox.confine import (
    capabilities,
    landlock,
    limits,
    mounts,
    namespaces,
    root,
    seccomp,
    shepherd,
)
from orq_sandbox.confine.descriptors import aside, held
from orq_sandbox.confine.furniture import Furniture
from orq_sandbox.confine.identity import become
from orq_sandbox.confine.rooms import OWN, Rooms, are_full
from orq_sandbox.confine.stages import Stage, Stages
from orq_sandbox.confine.standing import Standing
from orq_sandbox.confine.syscalls import make
from orq_sandbox.confine.traces import Traces
from orq_sandbox.confine.vows import Vows

__all__ = ["NamespacesWall", "enter"]

Mapping = typing.Mapping[str, typing.Any]

_ZYGOTE_PROCESSES = 4096
_INNER = (
    namespaces.NEW_USER
    | namespaces.NEW_NS
    | namespaces.NEW_PID
    | namespaces.NEW_IPC
    | namespaces.NEW_UTS
    | namespaces.NEW_CGROUP
)


class NamespacesWall:
    """The wall around this zygote. Owns descriptors of two of its namespaces and one of its /proc.

    Its `shelf` is the folder of a file system in memory, which its zygote hands to the host.
    """

    tier = "namespaces"
    own_rooms = Rooms(*OWN)  # of every run: each has its own mounts there

    def __init__(
        self, policy: Mapping, stages: Stages, interface: int, shelf: typing.Tuple[int, bool]
    ) -> None:
        self.stages = stages
        self.landlock = interface
        self.shelf = shelf[0]
        self._policy = policy
        self._pid_namespace = held("/proc/self/ns/pid", os.O_RDONLY)
        self._mount_namespace = held("/proc/self/ns/mnt", os.O_RDONLY)
        self._proc = held("/proc", os.O_PATH | os.O_DIRECTORY)
        _, of_run, of_run_but_mounts, _ = _unshares(policy, interface)
        self._standing: typing.Optional[Standing] = None
        # the same for all runs
        furniture = Furniture(policy, has_large_pages=shelf[1])
        mounting = furniture.stage("run: mounts")
        self._traces = Traces(furniture.folders())
        unsharing = ("run: unshare mount ipc", namespaces.unshare, of_run)
        self._settling = stages.program([unsharing, mounting])
        last_pid = namespaces.set_last_pid(aside(namespaces.open_last_pid()))
        leaving = [*namespaces.leaving(self._mount_namespace, of_run), *last_pid]
        self._renewal = stages.program([("run: renew", make, leaving), mounting])
        but_mounts = [*namespaces.leaving(-1, of_run_but_mounts), *last_pid]
        self._part_renewal = stages.program([("run: renew", make, but_mounts)])
        self._vows = Vows(policy, interface, self._proc, list(self._opened_rules()))
        self.is_all_disk_ours = not policy.get("writable")

    def fork_init(self) -> int:
        """Fork an init: 0 in it; here its process id as the zygote sees it. Raises `WallError`."""
        self._standing = self._standing or Standing()
        with self.stages("run: unshare pid"):
            namespaces.unshare(namespaces.NEW_PID)
        pid = -1
        try:
            with self.stages("run: fork init"):
                pid = forks.fork_unheard()
        finally:
            if pid != 0:
                with self.stages("run: setns"):
                    namespaces.enter_pid_namespace(self._pid_namespace)
        if pid == 0:
            kernel.die_with_parent()
        return pid

    def settle_init(self, run: Mapping) -> Rooms:
        """In init: its own mounts and ipc, the run's folders. Raises `WallError`."""
        del run  # all its folders are the policy's
        self._settling.go()
        self._take_over()
        return self.own_rooms

    def renew_init(self, run: Mapping) -> Rooms:
        """In init, when it is the only process of its namespace: all of that anew.

        Files, queues and segments of the last run go with the namespaces that are left here, for
        nobody else was in them. Mounts in which nothing is left of it stay. Raises `WallError`, and
        RuntimeError when a step has changed what its init hands down.
        """
        del run
        if self._standing is None or self._standing.has_changed():
            raise RuntimeError("a run has changed its init")
        if self._traces.are_left():
            self._renewal.go()
            self._take_over()
        else:
            self._part_renewal.go()
        return self.own_rooms

    def _take_over(self) -> None:
        """In init, when its mounts are there."""
        self._traces.note()
        with self.stages("run: landlock"):
            self._vows.bind()

    def is_disk_full(self) -> bool:
        """In init: whether nothing more goes into the run's folders."""
        return are_full()

    def locking(self, run: Mapping, keep: typing.Sequence[int] = ()) -> typing.List[Stage]:
        """What a step does last: it gives everything up, and closes all but 0, 1, 2 and `keep`."""
        return self._vows.stages(run, keep)

    def kill_everything(self, step: int) -> None:
        """In init: SIGKILL every process of the run but init. Does not wait for them."""
        del step  # whatever it forked and wherever that went, it is in our pid namespace
        if os.getpid() != 1:
            raise RuntimeError("only the init of a run may kill everything")
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _opened_rules(self) -> typing.Iterator[typing.Tuple[int, int]]:
        policy = self._policy
        granted = [("/", landlock.READ)]
        granted += [(path, landlock.DEVICE) for path in root.DEVICES]
        granted += [(path, landlock.GRANTED_DEVICE) for path in policy.get("devices", ())]
        granted += [(path, landlock.WRITE) for _, path in policy.get("writable", ())]
        for path, rights in granted:
            descriptor = held(path, os.O_PATH)
            yield descriptor, landlock.fitting(descriptor, rights)


def enter(policy: Mapping, stages: Stages, interface: int) -> NamespacesWall:
    """Go behind the wall; returns in the process inside. Raises `WallError`."""
    scratch, run_uid = policy["scratch"], policy.get("run_uid")
    host = shepherd.watch_host(policy.get("host_pid", os.getppid()))
    with stages("outer namespaces"):
        _unshare_outer(run_uid)
    with stages("first fork"):
        shepherd.fork_inside(host)
    with stages("build root"):
        root.build(scratch, policy)
        mounts.zygote_proc(scratch + "/proc")
        shelf = mounts.shelf(scratch + "/tmp")
    with stages("pivot_root"):
        mounts.change_root(scratch)
        root.seal()
    with stages("inner namespaces"):
        uid = namespaces.INNER_ID
        if run_uid is not None:
            uid = run_uid
            become(uid)
            capabilities.set_dumpable(value=True)  # undone by the new id; the maps need it
        no_network = 0 if policy.get("network") == "full" else namespaces.NEW_NET
        namespaces.unshare(_INNER | no_network)
        namespaces.map_ids(uid, uid)
        kernel.die_with_parent()
    with stages("second fork"):
        shepherd.fork_inside()
    with stages("settle zygote"):
        mounts.zygote_proc("/proc")
        namespaces.set_hostname(policy.get("hostname", "sandbox"))
        namespaces.bound_watching()
        # of all its runs together, each of which has its own; and of a hostile import
        limits.apply({"processes": policy.get("zygote_processes", _ZYGOTE_PROCESSES)})
    with stages("assemble filters"):
        wall = NamespacesWall(policy, stages, interface, shelf)
        filter_ = _seal(policy, interface)
    with stages("capabilities"):
        capabilities.drop_bounding_set()
        capabilities.lock_securebits()
        capabilities.keep_only(capabilities.SYS_ADMIN, capabilities.SYS_CHROOT)
        capabilities.forbid_new_privileges()
        capabilities.set_dumpable(value=False)
    with stages("seal filter"):
        seccomp.install(filter_)
    return wall


def _unshare_outer(run_uid: typing.Optional[int]) -> None:
    if run_uid is not None:
        namespaces.unshare(namespaces.NEW_NS | namespaces.NEW_PID)
        return
    uid, gid = os.getuid(), os.getgid()
    namespaces.unshare(namespaces.NEW_USER | namespaces.NEW_NS | namespaces.NEW_PID)
    namespaces.map_ids(uid, gid)


def _unshares(policy: Mapping, interface: int) -> typing.Tuple[int, int, int, int]:
    """What a run unshares: in the zygote, in init, there again when its mounts stay, in the step.

    One empty network serves all runs (its teardown costs milliseconds) where Landlock keeps them
    off each other's abstract sockets; before that each run has its own.
    """
    of_run = namespaces.NEW_NS | namespaces.NEW_IPC
    if interface < landlock.SCOPE_SINCE and policy.get("network") != "full":
        of_run |= namespaces.NEW_NET
    return (namespaces.NEW_PID, of_run, of_run & ~namespaces.NEW_NS, namespaces.NEW_USER)


def _seal(policy: Mapping, interface: int) -> bytes:
    network = policy.get("network", "none")
    return seccomp.seal(
        network=network,
        unshares=_unshares(policy, interface),
        # with the host's network come the host's abstract sockets
        unix_sockets=network == "none" or interface >= landlock.SCOPE_SINCE,
        memfd=policy.get("memfd", True),
    )
