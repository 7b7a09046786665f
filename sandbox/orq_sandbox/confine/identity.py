"""Whose rights the guest has: as root, a host user id that is nobody else's."""

from __future__ import annotations

import errno
import os
import typing

from orq_sandbox.confine.stages import WallError

__all__ = ["become", "refuse_root", "require_readable"]

_READ_AND_WALK = os.R_OK | os.X_OK


def become(uid: int) -> None:
    """Be that user and group of the host, and of no other group. Raises OSError.

    The kernel forgets `die_with_parent` over it.
    """
    if uid <= 0:
        raise OSError(errno.EINVAL, "the user id of a run is %d" % uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def refuse_root(run_uid: typing.Optional[int]) -> None:
    """Raise `WallError` for the machine's root without a user id to become."""
    if run_uid is None and os.getuid() == 0 and _is_initial():
        raise WallError("identity", errno.EPERM, "root must name a `run_uid` to become")


def _is_initial() -> bool:
    """Whether user ids here are those of the machine."""
    with open("/proc/self/uid_map") as table:
        return table.read().split() == ["0", "0", "4294967295"]


def require_readable(grants: typing.Iterable[typing.Sequence[str]]) -> None:
    """Raise OSError with the first granted path that this process cannot read."""
    for source, _ in grants:
        wanted = _READ_AND_WALK if os.path.isdir(source) else os.R_OK
        if not os.access(source, wanted):
            # whoever may not walk there cannot say whether it exists; the host has seen it
            said = "`%s` cannot be read by user id %d" % (source, os.getuid())
            raise OSError(errno.EACCES, said)
