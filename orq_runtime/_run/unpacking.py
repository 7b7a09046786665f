"""The large values of a result: taken out of the file that came with it.

The layout is drawn in `packing`.

Rules of this file:

1. What comes from a step is a lie until it was measured: that it is a regular file of the run's,
   its length, each part's place, each header against the length of its part.
2. Only a file whose length and content nobody can change any more is mapped, and only if all of it
   is there: a page that is gone or cannot be had would kill this process. It is sealed, or it is
   the run's own and everybody in the run is dead, or nobody has it open for writing and whoever
   tries to waits until they are. Others are copied.
3. Nothing is unpickled. Arrow stays bytes: no parser of ours reads it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import mmap
import os
import signal
import stat
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from orq_runtime._run.codec import TooLarge
from orq_runtime.errors import RequestError
from orq_runtime.model.blob import Blob
from orq_runtime.model.npy import LONGEST_HEADER, read_header
from orq_sandbox import wire

__all__ = ["unpacked"]

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MAPPED: Final = 1 << 20  # below, a copy is cheaper than a mapping, which holds a descriptor
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


class _Part(NamedTuple):
    form: str
    offset: int
    length: int


def unpacked(
    value: object,
    about: object,
    descriptor: int,
    *,
    most_bytes: int,
    owner: int,
    is_apart: bool = False,
    only_ours: bool = False,
) -> object:
    """The value with its blobs in their places: arrays where numpy is installed, else `Blob`s.

    The descriptor stays the caller's; `owner` is the host user that the run was. `only_ours`:
    nobody else can hold a file that the run could write to; `is_apart`: only the run's own
    processes can, which are being ended. Raises `wire.WireError` where anything is not as it says,
    and `TooLarge`.
    """
    if about is None or descriptor < 0:
        raise wire.WireError("blobs without a descriptor, or a descriptor without blobs")
    key, parts = _described(about)
    try:
        size, is_fixed = _measured(descriptor, owner, is_apart=is_apart, only_ours=only_ours)
        if size > most_bytes:
            raise TooLarge(f"the result's blobs are {size} bytes; {most_bytes} are allowed")
        if any(part.offset + part.length > size for part in parts):
            raise wire.WireError("a blob beyond the end of its file")
        content = _content(descriptor, size, is_fixed=is_fixed)
    except OSError as error:
        raise wire.WireError(f"blobs that cannot be read: {error.strerror}") from error
    made: dict[int, object] = {}

    def give(number: object) -> object:
        if type(number) is not int or not 0 <= number < len(parts):
            raise wire.WireError("a blob that is none of the parts")
        if number not in made:
            form, offset, length = parts[number]
            made[number] = _made(form, content[offset : offset + length])
        return made[number]

    return _placed(value, key, give)


def _described(about: object) -> tuple[str, list[_Part]]:
    if not isinstance(about, dict) or about.keys() != {"key", "parts"}:
        raise wire.WireError("a word about blobs that is none")
    key, listed = about["key"], about["parts"]
    if not isinstance(key, str) or not isinstance(listed, list):
        raise wire.WireError("a word about blobs that is none")
    if not 0 < len(listed) <= wire.MOST_BLOBS:
        raise wire.WireError(f"{len(listed)} blobs; {wire.MOST_BLOBS} are allowed")
    return key, [_part_of(item) for item in listed]


def _part_of(item: object) -> _Part:
    if not isinstance(item, list) or len(item) != len(_Part._fields):
        raise wire.WireError("a blob that is none")
    form, offset, length = item
    is_known = isinstance(form, str) and form in ("bytes", "npy", "arrow")
    if not is_known or not all(type(n) is int and 0 <= n < 1 << 62 for n in (offset, length)):
        raise wire.WireError("a blob that is none")
    return _Part(form, offset, length)


def _measured(descriptor: int, owner: int, *, is_apart: bool, only_ours: bool) -> tuple[int, bool]:
    """The length of a step's file, and whether nothing about it can change any more."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise wire.WireError("blobs in something that is no file")
    if status.st_uid != owner:
        raise wire.WireError("blobs in a file that is not the run's own")
    try:
        is_fixed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
    except OSError:  # a file on a disk, from a tier that has no memory files
        return status.st_size, False
    # what the run could only read may be anybody's: a grant, for example
    is_writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
    if is_writable and not is_fixed:
        is_fixed = only_ours or (is_apart and _is_held(descriptor))
        status = os.fstat(descriptor)  # as it is now, and stays
    if is_fixed and status.st_blocks * 512 < status.st_size:
        raise wire.WireError("blobs in a file with holes")
    return status.st_size, is_fixed


def _is_held(descriptor: int) -> bool:
    """Take a lease on the file; the descriptor cannot be written to any more.

    A memory file is none that can be held: who made it writes to it without having opened it.
    The kernel gives one only where nobody has the file open for writing, or mapped so, and lets
    nobody open it for writing as long as it is held, which is as long as the file is mapped: at
    least 45 s, where `lease-break-time` was not changed. By then all of the run is dead. Whoever
    tries has us told by a signal, unless it has no receiver; until then it is one that is ignored.
    """
    try:
        if os.fstat(descriptor).st_dev == _device_of_memory():
            return False
        reading = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.dup2(reading, descriptor, inheritable=False)
        finally:
            os.close(reading)
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, 0)
    except OSError:  # somebody can write to it, or it is not for us to hold
        return False
    return True


@functools.cache
def _device_of_memory() -> int:
    """The device that the kernel has all memory files on. Raises OSError."""
    descriptor = os.memfd_create("orq-device", os.MFD_CLOEXEC)
    try:
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)


def _content(descriptor: int, size: int, *, is_fixed: bool) -> memoryview:
    """The file's bytes, read-only: the file itself if it is fixed and large, else a copy."""
    if is_fixed and size >= _MAPPED:
        return memoryview(mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ))
    if size == 0:
        return memoryview(b"")
    copy = memoryview(_memory(size) if size >= _MAPPED else bytearray(size))
    done = 0
    while done < size:
        count = os.preadv(descriptor, [copy[done:]], done)
        if count == 0:
            raise wire.WireError("a file of blobs that shrank")
        done += count
    return copy.toreadonly()


def _memory(size: int) -> mmap.mmap:
    """Fresh memory, in large pages where the kernel has them."""
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _made(form: str, view: memoryview) -> object:
    if form != "npy":
        return Blob(view, dtype=form)
    try:
        header = read_header(bytes(view[:LONGEST_HEADER]))
        if header.length + header.nbytes != len(view):
            raise wire.WireError("an array that does not fill its place")
        elements = view[header.length :]
        blob = Blob(elements, dtype=header.dtype, shape=header.shape, order=header.order)
    except (ValueError, RequestError) as error:
        raise wire.WireError(f"an array that is none: {error}") from error
    try:
        return blob.to_numpy()
    except ImportError:
        return blob
    except (ValueError, TypeError, OverflowError) as error:
        raise wire.WireError(f"an array that numpy refuses: {str(error)[:200]}") from error


def _placed(value: object, key: str, give: Callable[[object], object]) -> object:
    """Every `{key: n}` replaced, in place; without recursion, for the document is the step's."""
    top: dict[object, object] = {"": value}
    nodes: list[Any] = [top]  # dicts and lists, which share `[]` and no type that says so
    while nodes:
        node = nodes.pop()
        for place, item in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if isinstance(item, dict):
                if len(item) == 1 and key in item:
                    node[place] = give(item[key])
                else:
                    nodes.append(item)
            elif isinstance(item, list) and not set(map(type, item)) <= _SCALARS:
                nodes.append(item)
    return top[""]
