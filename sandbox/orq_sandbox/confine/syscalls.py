"""The kernel's own door: system calls by name, for what the standard library of 3.8 does not offer.

Calls can be made ready ahead, and made one after another later: then there is nothing to look up.
Only x86_64 and aarch64 are known; elsewhere `NUMBERS` is empty and every call is ENOSYS.
"""

from __future__ import annotations

import ctypes
import errno
import os
import typing

from orq_sandbox.confine.syscall_table import TABLES
from orq_sandbox.kernel import Call

__all__ = [
    "AUDIT_ARCHITECTURE",
    "HAS_X32",
    "NUMBERS",
    "Picture",
    "call",
    "make",
    "prctl",
    "ready",
    "text",
]

_MACHINE = os.uname().machine
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

AUDIT_ARCHITECTURE = _AUDIT.get(_MACHINE, 0)
HAS_X32 = _MACHINE == "x86_64"


def _numbers() -> typing.Dict[str, int]:
    numbers = {}
    number = 0
    for word in TABLES.get(_MACHINE, "").split():
        if word.isdigit():
            number = int(word)
        else:
            numbers[word] = number
            number += 1
    return numbers


NUMBERS = _numbers()
_libc = ctypes.CDLL(None, use_errno=True)
_syscall, _memcmp = _libc.syscall, _libc.memcmp
_syscall.restype = ctypes.c_long
# a pointer's type takes a number for all of a register, and bytes and references for their address
_syscall.argtypes = (ctypes.c_long, *[ctypes.c_void_p] * 6)
_UNUSED = (None,) * 6


def call(name: str, *arguments: typing.Any) -> int:
    """Make a system call: numbers as numbers, None as a null pointer, bytes as where they lie.

    Raises OSError with the call's name.
    """
    _, function, words = ready(name, *arguments)
    result = function(*words)
    if result == -1:
        raise _failed(function, words, result)
    return result


def ready(name: str, *arguments: typing.Any, gives: typing.Optional[int] = 0) -> Call:
    """A call for `make`, and what it must give. Raises OSError where none has that name."""
    if name not in NUMBERS:
        raise OSError(errno.ENOSYS, "%s: not known on %s" % (name, _MACHINE))
    return gives, _syscall, (NUMBERS[name], *arguments, *_UNUSED[len(arguments) :])


def make(calls: typing.Iterable[Call]) -> None:
    """Make calls that are `ready`, one after another.

    Raises OSError with the name of the first that does not give what it must. No other follows.
    """
    for gives, function, words in calls:
        result = function(*words)
        if result != gives and gives is not None:
            raise _failed(function, words, result)


def _failed(function: typing.Any, words: typing.Sequence[typing.Any], result: int) -> OSError:
    code = ctypes.get_errno() if result == -1 else errno.EPROTO
    name = function.__name__
    if function is _syscall:
        name = next(name for name, known in NUMBERS.items() if known == words[0])
    return OSError(
        code, "%s: %s" % (name, os.strerror(code) if result == -1 else "gave %d" % result)
    )


class Picture:
    """What calls that are made ready leave in memory, and whether it is what they left there once.

    Nothing is made of it to find out: an init does so at every run.
    """

    def __init__(self, size: int) -> None:
        self._now, self._once = (ctypes.create_string_buffer(size) for _ in range(2))
        self._parts = (self._once, self._now, size)
        self.place = ctypes.addressof(self._now)
        """Where in memory the calls are to write, `size` bytes."""

    def keep(self) -> None:
        """This is how it was once."""
        ctypes.memmove(*self._parts)

    def has_changed(self) -> bool:
        """Whether it is otherwise now."""
        return int(_memcmp(*self._parts)) != 0


def text(path: typing.Optional[str]) -> typing.Optional[bytes]:
    """A path or word as the kernel takes it."""
    return None if path is None else os.fsencode(path)


def prctl(option: int, *words: int) -> int:
    """`prctl(2)`; raises OSError."""
    return call("prctl", option, *(words + (0,) * (4 - len(words))))
