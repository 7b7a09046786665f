"""Memory, processes and processor time of a whole run, held by the kernel where it can be had.

A leaf is one run's group. In order::

    mechanism = choose()                    # once; `record` and `sweep` around it
    leaf = mechanism.leaf(limits)           # when a child is ordered
    leaf.procs_descriptors()                # to the guest, which writes `0` into each before it
    leaf.forget_guest()                     #   forks or runs anything
    leaf.adjust(limits)                     # at dispatch: the run's own limits
    leaf.is_out_of_memory(), ...            # after the run, before `close`
    leaf.renew()                            # before the next run of the same init
    leaf.close()
    mechanism.close()

Rules of this file:

1. A mechanism is found by doing: a leaf is made, limited, read back and removed.
2. Where there is none, the same calls do nothing and say nothing: limits are the rlimits' then,
   and the watcher's (`watch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from orq_runtime._run import cgroup_v1, cgroup_v2
from orq_runtime._run.cgroup_files import KERNEL, Files, Hierarchy, hierarchies
from orq_runtime._run.cgroup_home import record, sweep_parent, sweep_recorded
from orq_runtime.errors import WallUnavailable
from orq_runtime.model.limits import Limits

__all__ = ["Leaf", "Mechanism", "NoMechanism", "choose", "sweep"]

_ROOT: Final = Path("/sys/fs/cgroup")
_PROC: Final = Path("/proc")
_PROOF_SECONDS: Final = 1.0


class Leaf(Protocol):
    """One run's group. One owner at a time; `UnifiedLeaf` says what each method does."""

    def procs_descriptors(self) -> list[int]: ...
    def forget_guest(self) -> None: ...
    def place(self, pid: int) -> None: ...
    def adjust(self, limits: Limits) -> None: ...
    def is_out_of_memory(self) -> bool: ...
    def processes_were_refused(self) -> bool: ...
    def peak_bytes(self) -> int | None: ...
    def renew(self) -> bool: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...


class Mechanism(Protocol):
    """What makes leaves. `notes` say why nothing better was taken, `parents` where it works."""

    @property
    def name(self) -> str: ...
    @property
    def has_cgroup(self) -> bool: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def parents(self) -> tuple[Path, ...]: ...
    def enforced_by(self, limits: Limits) -> Mapping[str, str]: ...
    def leaf(self, limits: Limits, /) -> Leaf: ...
    def tidy(self, patience_seconds: float = 0.0, /) -> int: ...
    def close(self) -> None: ...


class _NoLeaf:
    def procs_descriptors(self) -> list[int]:
        return []

    def forget_guest(self) -> None:
        pass

    def place(self, pid: int) -> None:
        pass

    def adjust(self, limits: Limits) -> None:
        pass

    def is_out_of_memory(self) -> bool:
        return False

    def processes_were_refused(self) -> bool:
        return False

    def peak_bytes(self) -> int | None:
        return None

    def renew(self) -> bool:
        return True

    def kill(self) -> None:
        pass

    def close(self) -> None:
        pass


class NoMechanism:
    """No cgroup: rlimits and the watcher hold what they can, each process for itself."""

    name = "rlimit"
    has_cgroup = False
    parents: tuple[Path, ...] = ()

    def __init__(self, notes: tuple[str, ...] = ()) -> None:
        self.notes = notes

    def enforced_by(self, limits: Limits) -> Mapping[str, str]:
        """What holds each of the limits that a cgroup would hold."""
        held = {"memory_bytes": "rlimit and watcher", "shared_memory": "unlimited"}
        held["processes"] = "rlimit"
        if limits.cpu_millicores is not None:
            held["cpu_millicores"] = "unlimited"
        return held

    def leaf(self, _limits: Limits, /) -> Leaf:
        """A leaf that holds nothing."""
        return _NoLeaf()

    def tidy(self, _patience_seconds: float = 0.0, /) -> int:
        """Nothing is ever left."""
        return 0

    def close(self) -> None:
        """Nothing to do."""


def choose(*, root: Path = _ROOT, proc: Path = _PROC, files: Files = KERNEL) -> Mechanism:
    """The strongest mechanism that works here: version 2, else version 1, else none.

    Takes a millisecond or so; keep what it returns and close it in the end.
    """
    notes: list[str] = []
    try:
        mounted = hierarchies(proc, root)
    except OSError as error:
        return NoMechanism((f"cannot see what is mounted: {error}",))
    for name in (cgroup_v2.NAME, cgroup_v1.NAME):
        try:
            mechanism = _found(name, mounted, proc, files)
        except (OSError, WallUnavailable) as error:
            notes.append(_note(name, error))
            continue
        try:
            _prove(mechanism)
        except WallUnavailable as error:
            notes.append(error.message)
            mechanism.close()
            continue
        mechanism.notes = tuple(notes)
        return mechanism
    return NoMechanism(tuple(notes))


def _prove(mechanism: Mechanism) -> None:
    mechanism.leaf(Limits(cpu_millicores=1000)).close()
    if mechanism.tidy(_PROOF_SECONDS):
        raise WallUnavailable(f"{mechanism.name}: a group that was made cannot be removed")


def _found(
    name: str, mounted: list[Hierarchy], proc: Path, files: Files
) -> cgroup_v1.LegacyMechanism | cgroup_v2.UnifiedMechanism:
    if name == cgroup_v1.NAME:
        return cgroup_v1.find(mounted, proc, files)
    unified = [hierarchy for hierarchy in mounted if hierarchy.version == 2]
    if not unified:
        raise WallUnavailable(f"{name}: it is not mounted")
    return cgroup_v2.find(unified[0], proc, files)


def _note(name: str, error: Exception) -> str:
    if isinstance(error, OSError):
        where = f": `{error.filename}`" if error.filename else ""
        return f"{name}: {error.strerror}{where}"
    return str(error)


def sweep(
    mechanism: Mechanism, register: Path, *, root: Path = _ROOT, files: Files = KERNEL
) -> int:
    """Remove what hosts that were killed left behind; how many homes there were.

    `register` is a folder of the cache in which hosts write down where they have homes, this one
    included. Blocks at most about two seconds for each.
    """
    removed = sum(sweep_parent(parent, files)[0] for parent in mechanism.parents)
    removed += sweep_recorded(register, root, files)
    record(register, mechanism.parents)
    return removed
