"""Lists what the store holds, measures it, and empties it of all that nobody uses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from orq_runtime import _fs
from orq_runtime._supply.store import Store, read_json
from orq_runtime.errors import RequestError
from orq_runtime.model.stored import CleanReport, StoredEnvironment, StoreSize

__all__ = ["clean", "find", "folder_bytes", "folders", "list_environments", "measure"]

_Inode = tuple[int, int]


def list_environments(store: Store) -> list[StoredEnvironment]:
    """The environments in the store, the last used first."""
    found = [_stored(store, path) for path in folders(store.environments)]
    return sorted(found, key=lambda item: (-item.last_use, item.key))


def find(store: Store, text: str) -> Path:
    """The environment that a key, or the beginning of one, names. Raises `RequestError`."""
    found = [path for path in folders(store.environments) if path.name.startswith(text)]
    if len(found) == 1 and text:
        return found[0]
    what = "several environments begin so" if found and text else "no such environment"
    raise RequestError(f"{what}: `{text}`", hint="`orq-runtime cache list` has their keys")


def measure(store: Store) -> StoreSize:
    """What the store takes on the disk. Blocks: it looks at every file."""
    seen: set[_Inode] = set()
    uv = _new_bytes(store.uv_cache, seen)
    mine = set(seen)
    environments = _new_bytes(store.environments, seen)
    shared = _shared_bytes(store.environments, mine)
    return StoreSize(
        environments=len(folders(store.environments)),
        environment_bytes=environments,
        shared_bytes=shared,
        uv_bytes=uv,
        other_bytes=_new_bytes(store.root, seen),
    )


def clean(store: Store) -> CleanReport:
    """Remove all that no lease and no supply in progress holds. Blocks while it deletes.

    A supply waits for none of it: names are taken away at once, and files removed afterwards.
    """
    if not store.root.is_dir():
        return CleanReport()
    removed = freed = 0
    kept: list[str] = []
    _fs.sweep(store.staging)
    for kind, parent in (("environment", store.environments), ("support", store.support)):
        for path in folders(parent):
            if kind == "environment" and store.is_pinned(path.name):
                kept.append(f"{kind} {path.name}: pinned")
                continue
            size = folder_bytes(path)
            if _is_removed(store, kind, path):
                freed += size
                removed += kind == "environment"
            elif path.is_dir():  # else another cleaning was faster
                kept.append(f"{kind} {path.name}: in use")
    with store.scratch() as scratch:
        idle = _fs.try_lock(store.activity)
        if idle is None:
            kept.append("wheels, locks and uv's cache: a supply is going on")
        else:
            try:
                freed += sum(folder_bytes(path) for path in _take_the_rest(store, scratch))
            finally:
                os.close(idle)
    return CleanReport(removed=removed, freed_bytes=freed, kept=tuple(kept))


def _take_the_rest(store: Store, scratch: Path) -> Iterator[Path]:
    """Move all that leads to environments out of the way; where each thing is now."""
    for path in (
        *(store.wheels, store.builds, store.locks),
        *(store.memos, store.interpreters, store.uv_cache),
        *(store.failures, store.quarantine),
    ):
        with contextlib.suppress(FileNotFoundError):
            yield path.rename(scratch / path.name)


def _stored(store: Store, path: Path) -> StoredEnvironment:
    document = read_json(path / "orq.json") or {}
    interpreter, packages = document.get("interpreter"), document.get("packages")
    return StoredEnvironment(
        key=path.name,
        bytes=folder_bytes(path),
        last_use=store.last_use(path.name),
        python=str(interpreter["version"]) if isinstance(interpreter, dict) else "",
        packages=tuple(f"{item['name']}=={item['version']}" for item in packages)
        if isinstance(packages, list)
        else (),
        in_use=_in_use(store.guard("environment", path.name)),
        pinned=store.is_pinned(path.name),
    )


def _in_use(guard: Path) -> bool:
    if not guard.exists():
        return False
    held = _fs.try_lock(guard)
    if held is not None:
        os.close(held)
    return held is None


def _is_removed(store: Store, kind: str, path: Path) -> bool:
    """Take the name away first: a folder that is half removed has no name in the store."""
    with store.taken(kind, path) as place:
        return place is not None


def folders(parent: Path) -> list[Path]:
    """The folders in one, by name; none where there is no such folder."""
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [parent / name for name in sorted(names)]


def folder_bytes(root: Path) -> int:
    """The bytes of all files under a folder, each in full."""
    return sum(size for _, size in _files(root))


def _new_bytes(root: Path, seen: set[_Inode]) -> int:
    total = 0
    for inode, size in _files(root):
        if inode not in seen:
            seen.add(inode)
            total += size
    return total


def _shared_bytes(root: Path, others: set[_Inode]) -> int:
    return sum({inode: size for inode, size in _files(root) if inode in others}.values())


def _files(root: Path) -> Iterator[tuple[_Inode, int]]:
    """The files under a folder, as far as they are still there when they are looked at."""
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                status = Path(folder, name).lstat()
                yield (status.st_dev, status.st_ino), status.st_size
