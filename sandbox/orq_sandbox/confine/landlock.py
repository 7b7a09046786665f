"""Landlock: what may be done below which path, to which port, and whom one may signal.

Rules of this file:

1. Every right that the kernel knows is handled, so that what no rule grants is denied.
2. Domains nest: a process in two of them may do what both allow, and neither comes off.
3. A domain with file rules forbids mounting: in the namespaces tier only the step gets one.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import typing

from orq_sandbox.confine.syscalls import call, make, ready
from orq_sandbox.kernel import Call

__all__ = [
    "DEVICE",
    "GRANTED_DEVICE",
    "KEEP",
    "NEWEST",
    "READ",
    "READ_FILES",
    "SCOPE_SINCE",
    "SOCKETS_SINCE",
    "TRUNCATE_SINCE",
    "WRITE",
    "Domain",
    "fitting",
    "restricting",
    "version",
]

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEV, _RESOLVE_UNIX = 1 << 14, 1 << 15, 1 << 16
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
# what each version of the interface added: 13 rights, REFER, TRUNCATE, IOCTL_DEV, RESOLVE_UNIX
_RIGHTS = ((1, 0x1FFF), (2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL_DEV), (9, _RESOLVE_UNIX))
_TCP_SINCE = 4
_BIND_AND_CONNECT_TCP = 3
TRUNCATE_SINCE = 3
SCOPE_SINCE = 6
SOCKETS_SINCE = 9
NEWEST = SOCKETS_SINCE
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3
_PATH_BENEATH = 1
_QUERY_VERSION = 1

READ = _EXECUTE | _READ_FILE | _READ_DIR
READ_FILES = _READ_FILE | _READ_DIR
DEVICE = _READ_FILE | _WRITE_FILE
GRANTED_DEVICE = DEVICE | _IOCTL_DEV
KEEP = 0x1FFFF & ~(_EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV)
"""All that can be done with files that are no programs and no devices."""
WRITE = KEEP | _EXECUTE


def version() -> int:
    """The kernel's Landlock interface: 0 without one, 1 since Linux 5.13."""
    try:
        return call("landlock_create_ruleset", None, 0, _QUERY_VERSION)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def fitting(descriptor: int, rights: int) -> int:
    """Those of the rights that can be granted on what is open there. Raises OSError."""
    is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    return rights if is_folder else rights & _FILE_RIGHTS


def _handled(interface: int, *, tcp: bool) -> typing.Tuple[int, bytes]:
    """The rights over files that a domain of that version handles; all it does, for the kernel."""
    rights = sum(right for since, right in _RIGHTS if interface >= since)
    ports = _BIND_AND_CONNECT_TCP if interface >= _TCP_SINCE and not tcp else 0
    scopes = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if interface >= SCOPE_SINCE else 0
    words = (rights, ports, scopes)
    known = 3 if interface >= SCOPE_SINCE else 2 if interface >= _TCP_SINCE else 1
    return rights, struct.pack("=%dQ" % known, *words[:known])


class Domain:
    """Rules in the making. Owns the ruleset's `descriptor` until `enter`."""

    __slots__ = ("_rights", "descriptor")

    def __init__(self, interface: int, *, tcp: bool) -> None:
        """Rules for that version of the interface. `tcp` leaves ports alone. Raises OSError."""
        self._rights, body = _handled(interface, tcp=tcp)
        self.descriptor = call("landlock_create_ruleset", body, len(body), 0)

    def allow(self, path: str, rights: int) -> None:
        """Grant `rights` from a path down. Raises OSError."""
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            self.add(descriptor, fitting(descriptor, rights))
        finally:
            os.close(descriptor)

    def add(self, descriptor: int, rights: int) -> None:
        """Grant rights that are `fitting` from an open `O_PATH` descriptor down. Raises OSError."""
        make([_adding(self.descriptor, descriptor, rights & self._rights)])

    def enter(self) -> None:
        """Hold this process and all that come from it to the rules, for good."""
        make([restricting(self.descriptor)])
        os.close(self.descriptor)


def restricting(ruleset: int) -> Call:
    """What holds a process and all that come from it to rules that were made, for good."""
    return ready("landlock_restrict_self", ruleset, 0)


def _adding(ruleset: int, number: int, rights: int) -> Call:
    rule = struct.pack("=Qi", rights, number)
    return ready("landlock_add_rule", ruleset, _PATH_BENEATH, rule, 0)
