"""The wall of one launch, as data: which tier, and what is granted through it.

Grants stand at their own paths inside, so that every path means the same on both sides.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from orq_runtime._dataclass import dataclass
from orq_runtime.model.command import Command
from orq_runtime.model.environment import Interpreter
from orq_runtime.model.limits import Limits
from orq_runtime.model.plan import RunPlan
from orq_runtime.model.policy import Policy, check_place

__all__ = ["RUN_UIDS", "Wall", "command_wall", "grants_of_plan", "system_grants", "wall_of"]

RUN_UIDS: Final = range(0x70000000, 0x70010000)
"""Host user ids that runs become when we are root: 1879048192 and the 65535 after it."""

_SYSTEM: Final = (
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl/certs",
)
"""The interpreter's libraries and an ordinary userland; no configuration of this machine's."""


_NAMES: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf")
"""How the machine finds others by name: granted with its network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """Everything about confinement that two runs must share to share a zygote."""

    tier: str
    network: str = "none"
    read_only: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    tmp_bytes: int | None = None
    tmp_inodes: int | None = None
    rlimits: tuple[tuple[str, int], ...] = ()

    def policy(self, *, scratch: Path, run_uid: int | None) -> dict[str, object]:
        """The policy document the guest confines itself by."""
        return {
            "tier": self.tier,
            "network": self.network,
            "read_only": [*([path, path] for path in self.read_only), *self._names()],
            "writable": [[path, path] for path in self.writable],
            "devices": list(self.devices),
            "tmp_bytes": self.tmp_bytes,
            "tmp_inodes": self.tmp_inodes,
            "rlimits": dict(self.rlimits),
            "run_uid": run_uid,
            "scratch": str(scratch),
            "host_pid": os.getpid(),
        }

    def _names(self) -> list[list[str]]:
        """Those files by what they are links to, where the host's network is granted."""
        if self.network != "full" or self.tier == "process":
            return []
        return [[os.path.realpath(path), path] for path in _NAMES if Path(path).is_file()]


def wall_of(
    tier: str,
    policy: Policy,
    limits: Limits,
    readable: Iterable[str] = (),
    *,
    has_cgroup: bool,
) -> Wall:
    """The wall of a run: its tier, what it may touch, and the limits set before parking."""
    quantities = dict(limits.before_parking(has_cgroup=has_cgroup))
    rlimits = {
        "open_files": quantities["open_files"],
        "file_bytes": quantities["file_bytes"],
    }
    if "memory_bytes" in quantities:
        rlimits["memory"] = quantities["memory_bytes"]
    if "processes" in quantities and tier == "namespaces":
        rlimits["processes"] = quantities["processes"]  # elsewhere all of this user's count
    if "cpu_seconds" in quantities:
        rlimits["cpu"] = quantities["cpu_seconds"]
    for path in (*policy.read_only, *policy.writable):
        check_place(path.resolve())  # where a link leads counts as well
    more = [] if tier == "process" else [*readable, *map(str, policy.read_only)]
    return Wall(
        tier=tier,
        network=policy.network,
        read_only=tuple(dict.fromkeys(more)),
        writable=() if tier == "process" else tuple(map(str, policy.writable)),
        devices=() if tier == "process" else tuple(map(str, policy.devices)),
        tmp_bytes=limits.tmp_bytes,
        tmp_inodes=limits.tmp_inodes,
        rlimits=tuple((name, int(value)) for name, value in sorted(rlimits.items())),
    )


def command_wall(tier: str, command: Command, bundle: Path, *, has_cgroup: bool) -> Wall:
    """The wall of a command: what it names, its interpreter and an ordinary userland."""
    writable = () if command.writable is None else (command.writable,)
    policy = Policy(network=command.network, writable=writable)
    readable = (*system_grants(command.interpreter, bundle), *_texts(command.read_only))
    return wall_of(tier, policy, command.limits, readable, has_cgroup=has_cgroup)


@functools.cache
def system_grants(interpreter: Interpreter, bundle: Path) -> tuple[str, ...]:
    """What any guest must read: an ordinary userland, its interpreter, and the guest itself."""
    paths = [Path(path) for path in _SYSTEM if os.path.lexists(path)]
    return _texts([*paths, interpreter.prefix, bundle])


def grants_of_plan(plan: RunPlan, bundle: Path) -> tuple[str, ...]:
    """What a run must read: its environment, its component, or its file alone without one.

    Raises `RequestError` for a component that is all of the machine.
    """
    environment = plan.environment
    own = [component.path for component in plan.components]
    if plan.file is not None and not any(plan.file.is_relative_to(path) for path in own):
        own.append(plan.file)
    own += [path.resolve() for path in own]  # a link leads nowhere where its goal is not
    for path in own:
        check_place(path)
    system = system_grants(environment.interpreter, bundle)
    return (*system, *_texts([environment.path, environment.support, *own]))


def _texts(paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(path) for path in paths))
