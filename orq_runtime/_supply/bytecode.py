"""Bytecode that a compiler left in its folder, put beside the sources that it is of.

::

    WORK/bytecode.N     what the compiler's N-th process has made: one record after the other
    record              length of the path, length of the bytecode (4 bytes each, the high one
                        first), the source's full path, the bytecode

Rules of this file:

1. What is compiled is never writable to who compiles it: its files may be hard links into uv's
   cache, and an import runs their authors' code. So bytecode comes from a folder apart.
2. It comes in one file, for making a file costs a kernel more than what is in it.
3. What is no record ends its file. Written is only below the root, only beside a source, and only
   with the name that this gives to bytecode. That code in it is the source's is not checked: who
   could forge it runs at every start of the environment anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from orq_runtime._supply.files import open_left

__all__ = ["carry_back"]

_LARGEST_PATH: Final = 4096
_LARGEST_FILE: Final = 64 * 1024 * 1024
_MOST_BYTES: Final = 1024 * 1024 * 1024


def carry_back(work: Path, processes: int, root: Path, cache_tag: str) -> None:
    """Put the bytecode that so many processes left below `root`, beside what it is of."""
    left = _MOST_BYTES
    beside = _Sources(root.resolve(), f".{cache_tag}.pyc")
    for number in range(processes):
        try:
            descriptor = open_left(work, f"bytecode.{number}")
        except (OSError, ValueError):  # none, or no file of its own
            continue
        with open(descriptor, "rb") as file:
            for path, content in _records(file):
                left -= len(content)
                if left < 0:
                    return
                if place := beside.place(path, root):
                    _put(place, content)


def _records(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    while len(head := file.read(8)) == 8:
        lengths = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
        if lengths[0] > _LARGEST_PATH or lengths[1] > _LARGEST_FILE:
            return
        path, content = map(file.read, lengths)
        if (len(path), len(content)) != lengths:
            return
        yield os.fsdecode(path), content


class _Sources:
    """The sources below a root, looked at a folder at a time."""

    def __init__(self, root: Path, suffix: str) -> None:
        self._root = root
        self._suffix = suffix
        self._seen: dict[str, frozenset[str]] = {}

    def place(self, source: str, root: Path) -> str | None:
        """Where the bytecode of a source belongs, None for what is none below the root."""
        inside = source.removeprefix(f"{root}/")
        if inside == source or "\0" in inside or os.path.normpath(inside) != inside:
            return None
        folder, _, name = f"{self._root}/{inside}".rpartition("/")
        if folder not in self._seen:
            self._seen[folder] = self._look(Path(folder))
        if name not in self._seen[folder]:
            return None
        return f"{folder}/__pycache__/{name.removesuffix('.py')}{self._suffix}"

    def _look(self, folder: Path) -> frozenset[str]:
        """The names of the sources of a folder, which can take bytecode then."""
        try:
            if not folder.is_relative_to(self._root) or folder.resolve() != folder:
                return frozenset()
            with os.scandir(folder) as entries:
                names = [one.name for one in entries if one.is_file(follow_symlinks=False)]
            (folder / "__pycache__").mkdir(exist_ok=True)
        except (OSError, RuntimeError):
            return frozenset()
        return frozenset(name for name in names if name.endswith(".py"))


def _put(path: str, content: bytes) -> None:
    """As a new file, never into one that is there: it may be a hard link."""
    Path(path).unlink(missing_ok=True)
    with open(path, "xb") as file:
        file.write(content)
