"""The tier that must be asked for by name: a fresh process, rlimits, and no wall."""

from __future__ import annotations

import os
import signal
import typing

from orq_sandbox.confine import limits, rooms
from orq_sandbox.confine.descriptors import close_all_but
from orq_sandbox.confine.stages import Stage, Stages
from orq_sandbox.confine.tier_landlock import fork_bound

__all__ = ["ProcessWall", "enter"]

Mapping = typing.Mapping[str, typing.Any]

_UMASK = 0o077
_STANDARD = (0, 1, 2)


class ProcessWall:
    """What stands around a run when nothing does."""

    tier = "process"
    own_rooms = None  # each run has others
    is_all_disk_ours = False
    shelf = -1
    landlock = 0

    def __init__(self, policy: Mapping, stages: Stages) -> None:
        self.stages = stages
        self._policy = policy

    def fork_init(self) -> int:
        """Fork an init: 0 in it, its process id here. Raises `WallError`."""
        return fork_bound(self.stages)

    def settle_init(self, run: Mapping) -> rooms.Rooms:
        """In init: the run's folders, below `run["folder"]` or the scratch. Raises `WallError`."""
        with self.stages("run: folders"):
            return rooms.make(self._policy["scratch"], run.get("folder"))

    def renew_init(self, run: Mapping) -> rooms.Rooms:
        """There are no namespaces that would take with them what a run has left: RuntimeError."""
        del run
        raise RuntimeError("an init of this wall serves one run")

    def is_disk_full(self) -> bool:
        """False: the run's folders are on a disk of the host's, and no size is theirs."""
        return False

    def locking(self, run: Mapping, keep: typing.Iterable[int] = ()) -> typing.List[Stage]:
        """What a step does last: limits, and all descriptors closed but 0, 1, 2 and `keep`."""
        return [
            ("step: descriptors", close_all_but, [*_STANDARD, *keep]),
            (
                "step: limits",
                self._limit,
                {**self._policy.get("rlimits", {}), **run.get("rlimits", {})},
            ),
        ]

    def _limit(self, quantities: Mapping) -> None:
        os.umask(_UMASK)
        limits.apply(quantities)
        limits.bound_threads(limits.threads_now())

    def kill_everything(self, step: int) -> None:
        """In init: SIGKILL the step's process group. What left it, init must look for."""
        try:
            os.killpg(step, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def enter(policy: Mapping, stages: Stages) -> ProcessWall:
    """Nothing is entered."""
    return ProcessWall(policy, stages)
