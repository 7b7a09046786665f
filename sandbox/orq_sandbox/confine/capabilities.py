"""Linux capabilities of this process: what it may never get again, and what it keeps.

(The host's `_run.capabilities` is about what a machine can do; this is `capabilities(7)`.)
"""

from __future__ import annotations

import errno
import struct

from orq_sandbox.confine.syscalls import make, prctl, ready
from orq_sandbox.kernel import Call

__all__ = [
    "SYS_ADMIN",
    "SYS_CHROOT",
    "drop_bounding_set",
    "dumpable",
    "forbid_new_privileges",
    "keep_only",
    "lock_securebits",
    "only",
    "securebits",
    "set_dumpable",
]

SYS_CHROOT = 18
SYS_ADMIN = 21

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
# NOROOT, NO_SETUID_FIXUP, KEEP_CAPS cleared, NO_CAP_AMBIENT_RAISE, and the lock of each
_SECUREBITS = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40 | 0x80
_VERSION_3 = 0x20080522
_HIGHEST = 63


def keep_only(*numbers: int) -> None:
    """Have exactly these capabilities, effective and permitted, and none inheritable."""
    make([only(*numbers)])


def only(*numbers: int) -> Call:
    """The call of `keep_only`."""
    bits = 0
    for number in numbers:
        bits |= 1 << number
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = struct.pack("=Ii", _VERSION_3, 0)
    sets = struct.pack("=6I", low, low, 0, high, high, 0)
    return ready("capset", header, sets)


def drop_bounding_set() -> None:
    """No program that is executed from here on can gain a capability from its file."""
    for number in range(_HIGHEST + 1):
        try:
            prctl(_PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:  # past this kernel's last capability
                return
            raise


def lock_securebits() -> None:
    """User id 0 means nothing special, and neither that nor ambient capabilities can come back."""
    make([securebits()])


def securebits() -> Call:
    """The call of `lock_securebits`."""
    return ready("prctl", _PR_SET_SECUREBITS, _SECUREBITS)


def forbid_new_privileges() -> None:
    """No set-id bit and no file capability counts for this process and all that come from it."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(*, value: bool) -> None:
    """Whether others of the same user may look into this process, and whether it dumps core."""
    make([dumpable(value=value)])


def dumpable(*, value: bool) -> Call:
    """The call of `set_dumpable`."""
    return ready("prctl", _PR_SET_DUMPABLE, int(value))
