"""Assembles seccomp programs: a binary search over system call numbers, with checks of arguments.

Rules of this file:

1. A verdict is a return value or a short list of instructions that ends in one on every path.
2. The search is binary: the kernel walks every number through a program when it is installed, and
   each call of the process walks it again; a chain of comparisons has ten times the steps.
3. Arguments are compared by their low 32 bits, which is all that the kernel looks at in the ones
   we check (an `ioctl` with the high half set is still that `ioctl`: CVE-2023-1523).
"""

from __future__ import annotations

import struct
import typing

from orq_sandbox.confine.syscalls import AUDIT_ARCHITECTURE, HAS_X32

__all__ = [
    "ALLOW",
    "KILL",
    "Verdict",
    "assemble",
    "both",
    "error",
    "unless_in",
    "when_bits",
    "when_in",
    "when_masked",
]

Instruction = typing.Tuple[int, int, int, int]
Verdict = typing.Union[int, typing.Tuple[Instruction, ...]]

ALLOW = 0x7FFF0000
KILL = 0x80000000  # the whole process
_ERRNO = 0x00050000

_LOAD = 0x20
_AND = 0x54
_JUMP_EQUAL = 0x15
_JUMP_AT_LEAST = 0x35
_JUMP_BITS = 0x45
_JUMP = 0x05
_RETURN = 0x06
_NUMBER_OFFSET = 0
_ARCHITECTURE_OFFSET = 4
_FARTHEST = 255
_X32 = 0x40000000
_ENOSYS = 38


def error(code: int) -> int:
    """Do not make the call, and fail it with `code`; 0 pretends that it was made."""
    return _ERRNO | code


def _load(index: int) -> Instruction:
    return (_LOAD, 0, 0, 16 + 8 * index)


def _end(verdict: Verdict) -> typing.Tuple[Instruction, ...]:
    return ((_RETURN, 0, 0, verdict),) if isinstance(verdict, int) else verdict


def when_in(index: int, values: typing.Sequence[int], then: Verdict, other: Verdict) -> Verdict:
    """`then` where argument `index` is one of `values`, else `other`."""
    tests = []
    tail = _end(other)
    for position, value in enumerate(values):
        rest = len(values) - position - 1
        tests.append((_JUMP_EQUAL, rest + len(tail), 0, value & 0xFFFFFFFF))
    return (_load(index), *tests, *tail, *_end(then))


def unless_in(index: int, values: typing.Sequence[int], then: Verdict) -> Verdict:
    """Allowed where argument `index` is one of `values`, else `then`."""
    return when_in(index, values, ALLOW, then)


def when_bits(index: int, mask: int, then: Verdict, other: Verdict = ALLOW) -> Verdict:
    """`then` where argument `index` has any bit of `mask`, else `other`."""
    tail = _end(other)
    return (_load(index), (_JUMP_BITS, len(tail), 0, mask), *tail, *_end(then))


def when_masked(index: int, mask: int, masked: int, then: Verdict, other: Verdict) -> Verdict:
    """`then` where argument `index` under `mask` is `masked`, else `other`."""
    tail = _end(other)
    return (
        _load(index),
        (_AND, 0, 0, mask),
        (_JUMP_EQUAL, len(tail), 0, masked),
        *tail,
        *_end(then),
    )


def both(first: int, equals: int, second: int, mask: int, masked: int, other: Verdict) -> Verdict:
    """Allowed where argument `first` is `equals` and `second` under `mask` is `masked`."""
    tail = _end(other)
    return (
        _load(first),
        (_JUMP_EQUAL, 0, 3, equals),
        _load(second),
        (_AND, 0, 0, mask),
        (_JUMP_EQUAL, len(tail), 0, masked),
        *tail,
        *_end(ALLOW),
    )


def assemble(verdicts: typing.Mapping[int, Verdict], default: int) -> bytes:
    """The program that answers each number with its verdict and any other with `default`.

    A foreign architecture (32-bit calls) kills; x32 numbers are ENOSYS where they exist.
    """
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_EQUAL, 1, 0, AUDIT_ARCHITECTURE),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    if HAS_X32:
        program += [(_JUMP_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, error(_ENOSYS))]
    program += _search(_ranges(verdicts, default))
    pack = struct.Struct("=HBBI").pack
    return b"".join([pack(*instruction) for instruction in program])


def _ranges(
    verdicts: typing.Mapping[int, Verdict], default: int
) -> typing.List[typing.Tuple[int, Verdict]]:
    """First numbers of the runs of equal verdicts, from 0 on."""
    ranges: typing.List[typing.Tuple[int, Verdict]] = []
    expected = 0
    for number in sorted(verdicts):
        if number > expected:
            _extend(ranges, expected, default)
        _extend(ranges, number, verdicts[number])
        expected = number + 1
    _extend(ranges, expected, default)
    return ranges


def _extend(ranges: typing.List[typing.Tuple[int, Verdict]], number: int, verdict: Verdict) -> None:
    if not ranges or ranges[-1][1] != verdict:
        ranges.append((number, verdict))


def _search(
    ranges: typing.Sequence[typing.Tuple[int, Verdict]],
) -> typing.List[Instruction]:
    if len(ranges) == 1:
        return list(_end(ranges[0][1]))
    middle = len(ranges) // 2
    low, high = _search(ranges[:middle]), _search(ranges[middle:])
    pivot = ranges[middle][0]
    if len(low) <= _FARTHEST:
        return [(_JUMP_AT_LEAST, len(low), 0, pivot), *low, *high]
    return [(_JUMP_AT_LEAST, 0, 1, pivot), (_JUMP, 0, 0, len(low)), *low, *high]
