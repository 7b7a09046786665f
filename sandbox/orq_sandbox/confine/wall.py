"""The three tiers behind one small interface: `enter` once per zygote, the rest once per run.

::

    wall = enter(policy)              before the first third-party byte
    pid = wall.fork_init()            0 in init
      rooms = wall.settle_init(run)   in init
        wall.locking(run, keep)       what the step goes through, last before its request
      wall.kill_everything(step)      in init, when the step has ended or must

Rules of this file:

1. All or an error: whoever gets a `WallError` says so and ends; nothing of a user's has run.
2. The tier is the policy's. None stands in for another here.
3. Between `fork_init` and the end of the locking nothing is imported and no thread is started.
"""

from __future__ import annotations

import errno
import typing

from orq_sandbox.confine import landlock, limits, tier_landlock, tier_namespaces, tier_process
from orq_sandbox.confine.identity import refuse_root
from orq_sandbox.confine.stages import Stages, WallError

__all__ = ["Wall", "enter"]

NETWORKS = ("none", "full")

Wall = typing.Union[
    tier_namespaces.NamespacesWall, tier_landlock.LandlockWall, tier_process.ProcessWall
]


def enter(policy: typing.Mapping[str, typing.Any]) -> Wall:
    """Go behind the wall that the policy names; returns in the process inside.

    In the tiers `namespaces` and `landlock` this forks: the caller's own process stays outside as a
    shepherd and never returns. Raises `WallError`, in whichever process it happened.
    """
    stages = Stages()
    with stages("descriptors"):
        limits.leave_descriptors()
    tier, network = policy["tier"], policy.get("network", "none")
    if network not in NETWORKS:
        raise WallError("policy", errno.EINVAL, "unknown network: `%s`" % network)
    if tier == "process":
        return tier_process.enter(policy, stages)
    if tier not in ("namespaces", "landlock"):
        raise WallError("policy", errno.EINVAL, "unknown tier: `%s`" % tier)
    refuse_root(policy.get("run_uid"))
    with stages("landlock version"):
        interface = min(landlock.version(), policy.get("landlock_at_most", landlock.NEWEST))
    if tier == "namespaces":
        return tier_namespaces.enter(policy, stages, interface)
    if interface < 1:
        raise WallError("landlock", errno.ENOSYS, "this kernel has no Landlock, or it is off")
    return tier_landlock.enter(policy, stages, interface)
