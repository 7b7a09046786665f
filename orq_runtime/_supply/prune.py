"""Makes the store smaller, by age and by size, without standing in anybody's way.

Rules of this file:

1. The environment that was used longest ago goes first. None that is leased, being made or pinned.
2. What leads to no environment any more goes too: wheels, builds, locks, memos, marks of use, lock
   files. That is looked at only while nobody makes anything; a supply does not wait for it.
3. uv's cache holds the files of environments by hard links: evicting frees what no other holds.
   Where that is not enough, uv prunes it, then forgets packages that no environment has, then all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from orq_runtime import _fs
from orq_runtime._dataclass import dataclass, field
from orq_runtime._supply.clean import folders, list_environments, measure
from orq_runtime._supply.store import Store, read_json
from orq_runtime.errors import SupplyError
from orq_runtime.model.stored import CleanReport, StoredEnvironment

__all__ = ["prune"]

_LOCK_KEPT_SECONDS = 30 * 86400.0

UvCache = Callable[[Sequence[str]], None]


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What has been done so far."""

    removed: int = 0
    others: int = 0
    kept: list[str] = field(default_factory=list)


def prune(
    store: Store,
    *,
    now: float,
    uv_cache: UvCache,
    supports: Iterable[str],
    max_bytes: int | None = None,
    older_than_seconds: float | None = None,
) -> CleanReport:
    """Remove environments not used for that long, then what leads to none, then by size.

    `supports` are the support layers that interpreters here have, `uv_cache` runs `uv cache` with
    words. Blocks while it deletes.
    """
    if not store.root.is_dir():
        return CleanReport()
    tally = _Tally()
    before = measure(store).total_bytes
    _fs.sweep(store.staging)
    if older_than_seconds is not None:
        for item in _by_last_use(store):
            if now - item.last_use > older_than_seconds:
                _evict(store, item, tally)
    _remove_orphans(store, frozenset(supports), now, tally)
    if max_bytes is not None:
        _shrink(store, max_bytes, uv_cache, tally)
        _remove_orphans(store, frozenset(supports), now, tally)
        if measure(store).total_bytes > max_bytes:
            tally.kept.append("what is left is in use, pinned, or not of an environment")
    freed = max(0, before - measure(store).total_bytes)
    kept = tuple(dict.fromkeys(tally.kept))
    return CleanReport(removed=tally.removed, others=tally.others, freed_bytes=freed, kept=kept)


def _by_last_use(store: Store) -> list[StoredEnvironment]:
    return sorted(list_environments(store), key=lambda item: (item.last_use, item.key))


def _evict(store: Store, item: StoredEnvironment, tally: _Tally) -> bool:
    path = store.environments / item.key
    if store.is_pinned(item.key):
        tally.kept.append(f"environment {item.key}: pinned")
        return False
    with store.taken("environment", path) as place:
        if place is not None:
            tally.removed += 1
        elif path.is_dir():
            tally.kept.append(f"environment {item.key}: in use")
    return place is not None


def _shrink(store: Store, max_bytes: int, uv_cache: UvCache, tally: _Tally) -> None:
    def bytes_over() -> int:
        return measure(store).total_bytes - max_bytes

    def tell_uv(*words: str) -> None:
        try:
            uv_cache(words)
        except SupplyError as error:
            tally.kept.append(f"uv's cache: {error.message}")

    if bytes_over() <= 0:
        return
    tell_uv("prune")
    todo = _by_last_use(store)
    alive = {item.key: item for item in todo}
    while todo and (over := bytes_over()) > 0:
        gone = []
        while (
            todo and over > 0
        ):  # by what it holds in full: if others share it, there is more to do
            item = todo.pop(0)
            if _evict(store, item, tally):
                over -= item.bytes
                gone.append(alive.pop(item.key))
        if names := _names(gone) - _names(alive.values()):
            tell_uv("clean", *sorted(names))
    if bytes_over() > 0:
        with store.scratch() as scratch, _idle(store, tally) as is_idle:
            if is_idle and store.uv_cache.is_dir():
                store.uv_cache.rename(scratch / "uv")


def _names(items: Iterable[StoredEnvironment]) -> set[str]:
    return {package.partition("==")[0] for item in items for package in item.packages}


@contextlib.contextmanager
def _idle(store: Store, tally: _Tally) -> Iterator[bool]:
    """Whether nobody makes anything; nobody begins to while it is held."""
    held = _fs.try_lock(store.activity)
    try:
        if held is None:
            tally.kept.append("wheels, locks and uv's cache: a supply is going on")
        yield held is not None
    finally:
        if held is not None:
            os.close(held)


def _remove_orphans(store: Store, supports: frozenset[str], now: float, tally: _Tally) -> None:
    with store.scratch() as scratch, _idle(store, tally) as is_idle:
        if not is_idle:
            return
        environments = {path.name: path for path in folders(store.environments)}
        contents, pins = _used(environments.values())
        gone = [path for path in folders(store.wheels) if path.name not in contents]
        gone += [path for path in _documents(store.builds) if not _leads_to(path, contents)]
        gone += [path for path in _documents(store.memos) if not _names_one(path, environments)]
        gone += [
            path
            for path in _documents(store.locks)
            if _pins(read_json(path)) not in pins
            and now - path.stat().st_mtime > _LOCK_KEPT_SECONDS
        ]
        for marks in (store.used, store.pins):
            gone += [path for path in _entries(marks) if path.name not in environments]
        gone += list(_entries(store.failures))
        for number, path in enumerate(gone):
            path.rename(scratch / str(number))
        tally.others += len(gone)
        for folder in (store.builds, store.memos, store.locks, store.interpreters):
            tally.others += _fs.sweep_drafts(folder)
        tally.others += _remove_guards(store)
    for path in folders(store.support):
        if path.name not in supports:
            with store.taken("support", path) as place:
                tally.others += place is not None


def _used(environments: Iterable[Path]) -> tuple[set[str], set[str]]:
    """The local wheels that environments were made from, and their pins."""
    contents: set[str] = set()
    pins: set[str] = set()
    for path in environments:
        document = read_json(path / "orq.json")
        pins.add(_pins(document))
        packages = document.get("packages") if document else None
        for item in packages if isinstance(packages, list) else ():
            contents.add(str(item.get("content")))
    return contents, pins


def _pins(document: dict[str, object] | None) -> str:
    """A text that two lists of the same packages have in common."""
    packages = document.get("packages") if document else None
    if not isinstance(packages, list):
        return ""
    return repr(sorted((item.get("name"), item.get("version")) for item in packages))


def _leads_to(build: Path, contents: set[str]) -> bool:
    document = read_json(build)
    return document is not None and str(document.get("content")) in contents


def _names_one(memo: Path, environments: dict[str, Path]) -> bool:
    document = read_json(memo)
    environment = document.get("environment") if document else None
    return isinstance(environment, dict) and environment.get("key") in environments


def _remove_guards(store: Store) -> int:
    """Lock files of environments and support layers that are not there."""
    removed = 0
    for guard in _entries(store.activity.parent):
        kind, _, key = guard.name.removeprefix("making-").removesuffix(".lock").partition("-")
        place = {"environment": store.environments, "support": store.support}.get(kind)
        is_orphan = kind in ("lock", "build") or (place is not None and not (place / key).is_dir())
        if is_orphan:
            removed += _fs.remove_lock(guard)
    return removed


def _documents(parent: Path) -> list[Path]:
    return [path for path in _entries(parent) if path.suffix == ".json"]


def _entries(parent: Path) -> list[Path]:
    return sorted(parent.iterdir()) if parent.is_dir() else []
