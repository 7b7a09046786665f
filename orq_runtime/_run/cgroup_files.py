"""The few things that are done to a cgroup file system, and what a hierarchy's files say.

`Files` is the seam: tests give a tree of ordinary files that reacts as the kernel does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from orq_runtime._dataclass import dataclass

__all__ = ["KERNEL", "Files", "Hierarchy", "counters", "hierarchies", "own_folder"]

_CHUNK: Final = 1 << 12
_LONGEST_RECORD: Final = 1 << 11
"""Of a control file. The kernel gives as many whole ones as there is room for: a chunk with room
left for another is the last."""

_OCTAL = re.compile(r"\\([0-7]{3})")


class Files(Protocol):
    """A cgroup file system. Every method may raise OSError."""

    def read(self, file: Path) -> str:
        """What a control file says, without the line's end."""
        ...

    def write(self, file: Path, text: str) -> None:
        """Give a control file a value, in one write."""
        ...

    def make(self, folder: Path) -> None:
        """Make a group that only its owner sees into."""
        ...

    def remove(self, folder: Path) -> None:
        """Remove a group, which must hold neither processes nor groups."""
        ...

    def hold(self, file: Path) -> int:
        """A descriptor of a control file to write to; the caller closes it."""
        ...


class _Kernel:
    def read(self, file: Path) -> str:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            chunks = []
            while chunk := os.read(descriptor, _CHUNK):
                chunks.append(chunk)
                if len(chunk) <= _CHUNK - _LONGEST_RECORD:
                    break
            return b"".join(chunks).decode("ascii", "replace").strip()
        finally:
            os.close(descriptor)

    def write(self, file: Path, text: str) -> None:
        descriptor = self.hold(file)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)

    def make(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)

    def remove(self, folder: Path) -> None:
        folder.rmdir()

    def hold(self, file: Path) -> int:
        return os.open(file, os.O_WRONLY | os.O_CLOEXEC)


KERNEL: Final[Files] = _Kernel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """A mounted hierarchy. `controllers` is empty for version 2, whose groups name their own.

    `root` is the group at the mount point, as /proc/self/cgroup would write it.
    """

    version: int
    mount: Path
    root: str
    controllers: frozenset[str]


def hierarchies(proc: Path, under: Path) -> list[Hierarchy]:
    """The hierarchies mounted at or below a folder, by /proc/self/mountinfo."""
    found = []
    for line in (proc / "self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        words, kind = before.split(" "), after.split(" ")
        if len(words) < 6 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        mount = Path(_plain(words[4]))
        if mount.is_relative_to(under):
            is_second = kind[0] == "cgroup2"
            controllers = frozenset() if is_second else frozenset(kind[2].split(","))
            version = 2 if is_second else 1
            root = _plain(words[3])
            found.append(
                Hierarchy(version=version, mount=mount, root=root, controllers=controllers)
            )
    return found


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def own_folder(proc: Path, hierarchy: Hierarchy) -> Path | None:
    """The folder of this process's own group; None where the mount does not show it."""
    for controllers, group in _own_groups(proc):
        is_it = not controllers if hierarchy.version == 2 else controllers & hierarchy.controllers
        if is_it:
            inside = os.path.relpath(group, hierarchy.root)
            folder = hierarchy.mount / inside
            return None if inside.startswith("..") or not folder.is_dir() else folder
    return None


def _own_groups(proc: Path) -> Iterator[tuple[frozenset[str], str]]:
    for line in (proc / "self/cgroup").read_text("utf-8", "surrogateescape").splitlines():
        _, controllers, group = line.split(":", 2)
        yield frozenset(controllers.split(",")) - {""}, group


def counters(text: str) -> dict[str, int]:
    """The numbers of a control file with a name and a number a line."""
    found = {}
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        if number.isdigit():
            found[name] = int(number)
    return found
