"""What a power cut may leave: the operations of a program, replayed as far as a disk may have them.

Rules of this file:

1. A disk has what was synced. Of what came later it may have any part: names may appear without
   content, and later operations without earlier ones. `fsync` of a file brings its content, of a
   folder its names; `syncfs` brings everything.
2. Files are followed as inodes: content that was written before a rename goes with it.
3. The operations are those that the kernel was asked for (`tap`), not those we think we make.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.faults.tap import Call

__all__ = ["Operation", "Tree", "operations", "states"]

_MOST_OPEN = 13  # operations at one moment that may or may not be on the disk: 2**13 states

Tree = dict[str, bytes | None]  # path: content of a file, None for a folder
_O_CREAT = 0o100


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation on paths under the root; `kind` is what it does to a disk."""

    kind: str
    path: str
    target: str = ""
    content: bytes = b""


def operations(calls: Sequence[Call], root: str) -> list[Operation]:
    """The operations among the calls that change a disk, or sync it."""
    found: list[Operation] = []
    for call in calls:
        paths = [os.path.relpath(path, root) for path in call.paths]
        match call.name:
            case "mkdir" | "mkdirat":
                found.append(Operation(kind="mkdir", path=paths[0]))
            case "open" | "openat" if call.arguments[call.name == "openat"] and _creates(call):
                found.append(Operation(kind="create", path=paths[0]))
            case "write":
                found.append(Operation(kind="write", path=paths[0], content=call.content))
            case "rename" | "renameat" | "renameat2":
                found.append(Operation(kind="rename", path=paths[0], target=paths[1]))
            case "unlink" | "unlinkat" | "rmdir":
                found.append(Operation(kind="unlink", path=paths[0]))
            case "fsync" | "fdatasync" | "syncfs":
                kind = "syncfs" if call.name == "syncfs" else "fsync"
                found.append(Operation(kind=kind, path=paths[0]))
            case _:
                continue
    return found


def _creates(call: Call) -> bool:
    flags = call.arguments[2 if call.name == "openat" else 1]
    return bool(flags & _O_CREAT)


def states(found: Sequence[Operation]) -> Iterator[tuple[int, Tree]]:
    """Every state that a power cut may leave, with the operation it happened after."""
    for length in range(len(found) + 1):
        fixed, loose = _settled(found[:length])
        if len(loose) > _MOST_OPEN:  # the last ones matter: the first are then all there, or none
            early = set(loose[: len(loose) - _MOST_OPEN])
            bases = [fixed | early, fixed]
            loose = loose[len(early) :]
        else:
            bases = [fixed]
        for base in bases:
            for chosen in _subsets(loose):
                kept = base | chosen
                yield length, _replay([(n, op) for n, op in enumerate(found) if n in kept])


def _subsets(numbers: Sequence[int]) -> Iterator[frozenset[int]]:
    for size in range(len(numbers) + 1):
        yield from map(frozenset, itertools.combinations(numbers, size))


def _settled(done: Sequence[Operation]) -> tuple[frozenset[int], list[int]]:
    """Which operations are on the disk for certain, and which may be."""
    fixed: set[int] = set()
    where = _Names()
    for number, operation in enumerate(done):
        where.follow(number, operation)
        if operation.kind == "syncfs":
            fixed.update(range(number))
        elif operation.kind == "fsync":
            fixed.update(where.behind(operation.path))
    changes = [n for n, op in enumerate(done) if op.kind not in ("fsync", "syncfs")]
    return frozenset(fixed), [n for n in changes if n not in fixed]


class _Names:
    """Which operations made the content of a file, and which the names in a folder."""

    def __init__(self) -> None:
        self._content: dict[str, set[int]] = {}
        self._names: dict[str, set[int]] = {}

    def follow(self, number: int, operation: Operation) -> None:
        path = operation.path
        if operation.kind == "write":
            self._content.setdefault(path, set()).add(number)
        elif operation.kind in ("mkdir", "create", "unlink", "rename"):
            for name in filter(None, (path, operation.target)):
                folder = str(PurePosixPath(name).parent)
                self._names.setdefault(folder, set()).add(number)
        if operation.kind == "rename":
            for table in (self._content, self._names):
                for name in [n for n in table if n == path or n.startswith(f"{path}/")]:
                    moved = operation.target + name.removeprefix(path)
                    table[moved] = table.pop(name)

    def behind(self, path: str) -> set[int]:
        return self._content.get(path, set()) | self._names.get(path, set())


def _replay(done: Sequence[tuple[int, Operation]]) -> Tree:
    """The tree that the operations make, those whose folder is not there left out."""
    tree: Tree = {".": None}
    inodes: dict[str, list[bytes]] = {}
    for _, operation in done:
        _apply(operation, tree, inodes)
    return {name: b"".join(inodes[name]) if name in inodes else None for name in tree}


def _apply(operation: Operation, tree: Tree, inodes: dict[str, list[bytes]]) -> None:
    path, target = operation.path, operation.target
    parent = str(PurePosixPath(path).parent)
    if operation.kind == "mkdir" and parent in tree:
        tree.setdefault(path, None)
    elif operation.kind == "create" and parent in tree and path not in tree:
        tree[path] = b""
        inodes[path] = []
    elif operation.kind == "write" and path in inodes:
        inodes[path].append(operation.content)
    elif operation.kind == "unlink":
        for name in [n for n in tree if n == path or n.startswith(f"{path}/")]:
            del tree[name]
            inodes.pop(name, None)
    elif operation.kind == "rename" and path in tree and str(PurePosixPath(target).parent) in tree:
        for name in [n for n in tree if n == path or n.startswith(f"{path}/")]:
            moved = target + name.removeprefix(path)
            tree[moved] = tree.pop(name)
            if name in inodes:
                inodes[moved] = inodes.pop(name)


Check = Callable[[Tree], bool]
