"""What an answer was made from, as the file system stamps it: unchanged stamps, unchanged content.

Rules of this file:

1. A stamp is all that changes when a file is written, replaced or moved: kind and mode, size, times
   of content and of status, inode. No program can set the time of status to hide an edit.
2. Stamps taken soon after a change prove nothing, because a second change may bear the same time
   (git calls it racily clean). They are settled when they lie a moment before the content was read;
   a stamp of whole seconds comes from a file system that counts in seconds.
3. A file that is not there has a stamp too: that it appears is a change.
4. Nothing appears in a folder without changing the stamp of the folder.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from orq_runtime.model.environment import SupplyRequest

__all__ = ["LOCKING", "PACKAGING", "Glance", "Stamp", "is_settled", "paths_behind", "stamps"]

PACKAGING = ("pyproject.toml", "setup.py", "setup.cfg")
LOCKING = ("pylock.toml", "uv.lock")
_DECLARING = ("requirements.txt", *PACKAGING, *LOCKING, "vendor")

_SECOND_NS = 1_000_000_000
_MOMENT_NS = 50_000_000  # kernels stamp by a clock that stands still for up to 10 ms
_COARSE_NS = 3 * _SECOND_NS

Stamp = tuple[int, int, int, int, int] | None


def stamps(paths: Iterable[str]) -> list[Stamp]:
    """The stamp of each path, None for what is not there."""
    found: list[Stamp] = []
    for path in paths:
        try:
            status = os.lstat(path)
        except OSError:
            found.append(None)
        else:
            found.append(
                (
                    status.st_ctime_ns,
                    status.st_mtime_ns,
                    status.st_size,
                    status.st_ino,
                    status.st_mode,
                )
            )
    return found


def is_settled(seen: Sequence[Stamp], read_ns: int) -> bool:
    """Whether no stamp is so young that content read at `read_ns` may be older than a later one."""
    for stamp in seen:
        if stamp is not None:
            changed = max(stamp[0], stamp[1])
            moment = _MOMENT_NS if changed % _SECOND_NS else _COARSE_NS
            if changed > read_ns - moment:
                return False
    return True


class Glance:
    """Few looks that stand for many: while these find what they found, so would those.

    What is not there is not looked for while the folder that it would be in has not changed. To be
    taken before the many looks that it stands for.
    """

    __slots__ = ("_paths", "_seen", "is_good")

    def __init__(self, paths: Iterable[str], read_ns: int | None = None) -> None:
        """`is_good` is False where something is too young to prove anything; `read_ns` is now."""
        read_ns = time.time_ns() if read_ns is None else read_ns
        self._paths = _telling(paths)
        self._seen = stamps(self._paths)
        self.is_good = is_settled(self._seen, read_ns)

    def is_same(self) -> bool:
        """Whether the few looks find what they found."""
        return self.is_good and stamps(self._paths) == self._seen


def _telling(paths: Iterable[str]) -> list[str]:
    """The paths that are there, and the nearest folders that are there of all others."""
    there: dict[str, None] = {}
    folders: dict[str, None] = {}
    for path in paths:
        if os.path.lexists(path):
            there[path] = None
            continue
        folder = next(one for one in Path(path).parents if one.exists())
        # behind a link the folder counts: the stamp of the dot in it
        folders[f"{folder}/." if folder.is_symlink() else f"{folder}"] = None
    return [*there, *folders.keys() - there.keys()]


def paths_behind(
    request: SupplyRequest, *, find_links: Iterable[str] = (), included: Iterable[Path] = ()
) -> list[str]:
    """Every path whose change may change the answer to a request.

    `included` are files that declarations name. Raises `BadComponent` when a tree is unreadable.
    """
    found: dict[str, None] = {}
    for component in request.components:
        root = os.fspath(component.path)
        for name in _DECLARING:
            found[f"{root}/{name}"] = None
        if any(os.path.lexists(f"{root}/{name}") for name in PACKAGING):
            from orq_runtime._supply.tree import tree_paths  # start-up budget: for packages only

            found.update(dict.fromkeys(tree_paths(component.path)))
        _add_listed(found, f"{root}/vendor")
        _add_listed(found, f"{root}/vendor/build")
    for script in request.scripts:
        found[os.fspath(script)] = None
        found[f"{script.parent}/pylock.{script.stem.replace('.', '-')}.toml"] = None
    for place in find_links:
        if "://" not in place:
            _add_listed(found, place)
    found.update(dict.fromkeys(map(os.fspath, included)))
    for path in [Path(name) for name in found]:
        if path.is_symlink():  # the link counts, and what it leads to
            found[os.fspath(path.resolve())] = None
    return list(found)


def _add_listed(found: dict[str, None], folder: str) -> None:
    found[folder] = None
    with contextlib.suppress(OSError):  # that it is no folder is in its stamp
        found.update(dict.fromkeys(os.fspath(path) for path in Path(folder).iterdir()))
