"""Lists what the store holds, and removes what nobody uses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from orq_runtime import _fs
from orq_runtime._supply.store import Store, read_json
from orq_runtime.model.environment import CleanReport, StoredEnvironment

__all__ = ["clean", "list_environments"]


def list_environments(store: Store) -> list[StoredEnvironment]:
    """The environments in the store, the last used first."""
    found = [_stored(store, path) for path in _folders(store.environments)]
    return sorted(found, key=lambda item: (-item.last_use, item.key))


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
        for path in _folders(parent):
            size = _size(path)
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
                freed += sum(_size(path) for path in _take_the_rest(store, scratch))
            finally:
                os.close(idle)
    return CleanReport(removed=removed, freed_bytes=freed, kept=tuple(kept))


def _take_the_rest(store: Store, scratch: Path) -> Iterator[Path]:
    """Move all that leads to environments out of the way; where each thing is now."""
    for path in (
        *(store.wheels, store.builds, store.locks),
        *(store.memos, store.interpreters, store.uv_cache),
    ):
        with contextlib.suppress(FileNotFoundError):
            yield path.rename(scratch / path.name)


def _stored(store: Store, path: Path) -> StoredEnvironment:
    document = read_json(path / "orq.json") or {}
    interpreter, packages = document.get("interpreter"), document.get("packages")
    return StoredEnvironment(
        key=path.name,
        bytes=_size(path),
        last_use=store.last_use(path.name),
        python=str(interpreter["version"]) if isinstance(interpreter, dict) else "",
        packages=tuple(f"{item['name']}=={item['version']}" for item in packages)
        if isinstance(packages, list)
        else (),
        in_use=_in_use(store.guard("environment", path.name)),
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


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _size(root: Path) -> int:
    total = 0
    for folder, _, files in os.walk(root):
        for name in files:
            with contextlib.suppress(OSError):
                total += Path(folder, name).lstat().st_size
    return total
