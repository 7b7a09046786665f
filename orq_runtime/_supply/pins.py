"""What locks among the declarations hold to: `pylock.toml`, `pylock.NAME.toml` and `uv.lock`.

Rules of this file:

1. A lock never adds a distribution: its pins are constraints, unless it is taken whole (`whole`).
2. A lock of ours that was made from the very declarations at hand is taken whole, without a
   resolver. Which interpreter it fits is for the files in it to say.
3. Where a lock says that a file lies is not believed: indexes are the user's to choose, and have
   the file with that hash, or nobody has.
4. What is local in a lock (a folder, an archive, a checkout) says nothing: components are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.markers import InvalidMarker, Marker

from orq_runtime._supply.files import read_inside, read_toml
from orq_runtime._supply.lock import Pinned
from orq_runtime._supply.pylock import (
    LockedFile,
    LockEntry,
    LockFile,
    checked_digest,
    checked_file,
    checked_name,
    checked_version,
    read_pylock,
)
from orq_runtime._supply.requirements import Declared, declared
from orq_runtime._supply.tags import marker_environment, rank, ranks
from orq_runtime.errors import BadComponent, ResolutionFailed
from orq_runtime.model.environment import Interpreter

__all__ = ["PYLOCK", "UV_LOCK", "lock_beside", "pins_for", "read_lock", "whole"]

PYLOCK = "pylock.toml"
UV_LOCK = "uv.lock"


def lock_beside(place: Path) -> Path:
    """Where the lock of a component's folder or of a step's file lies, by the names of PEP 751."""
    if place.suffix == ".py":
        return place.with_name(f"pylock.{place.stem.replace('.', '-')}.toml")
    return place / PYLOCK


def read_lock(path: Path) -> LockFile | None:
    """The lock file, None where there is none. Raises `BadComponent` for one that is unusable."""
    if not path.is_symlink() and not path.exists():
        return None
    try:
        text = read_inside(path, path.parent).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadComponent(f"{path}: not UTF-8 text") from error
    return (_read_uv_lock if path.name == UV_LOCK else read_pylock)(text, str(path))


def pins_for(lock: LockFile, interpreter: Interpreter) -> tuple[Declared, ...]:
    """The constraints that a lock stands for: `name==version` with the hashes of its files.

    A name that is there with several versions for the interpreter is left to the resolver.
    """
    by_name: dict[str, list[LockEntry]] = {}
    for entry in _applying(lock, interpreter):
        by_name.setdefault(entry.name, []).append(entry)
    return tuple(
        _pin(entries[0], lock.origin)
        for entries in by_name.values()
        if len(entries) == 1 and entries[0].version
    )


def whole(lock: LockFile, interpreter: Interpreter, local: Iterable[str]) -> tuple[Pinned, ...]:
    """Everything in the lock that is not local, each by the file that fits the interpreter best.

    Raises `ResolutionFailed` when one has no such file, or is local and not among `local`.
    """
    own = set(local)
    by_tag = ranks(interpreter)
    pins: list[Pinned] = []
    for entry in _applying(lock, interpreter, is_local=None):
        if entry.name in own:
            continue
        if entry.is_local:
            raise ResolutionFailed(
                f"{lock.origin}: `{entry.name}` is local, and no component given provides it",
                hint="name its folder too",
            )
        fitting = [(place, f) for f in entry.files if (place := rank(f.name, by_tag)) is not None]
        if not fitting:
            raise ResolutionFailed(
                f"{lock.origin}: no file of `{entry.name}=={entry.version}` fits Python "
                f"{interpreter.minor}"
                + (f"; the lock was made for {lock.python}" if lock.python else ""),
                hint="choose that interpreter with --python, or make the lock anew with --lock",
            )
        file = min(fitting, key=lambda pair: pair[0])[1]
        pins.append(
            Pinned(
                name=entry.name,
                version=entry.version,
                digests=file.digests,
                file=file.name,
                size=file.size,
            )
        )
    return tuple(sorted(pins, key=lambda item: item.name))


def _applying(
    lock: LockFile, interpreter: Interpreter, *, is_local: bool | None = False
) -> Iterator[LockEntry]:
    environment = marker_environment(interpreter)
    try:
        for entry in lock.entries:
            if is_local is not None and entry.is_local != is_local:
                continue
            if not entry.marker or Marker(entry.marker).evaluate(environment):
                yield entry
    except InvalidMarker as error:
        raise BadComponent(f"{lock.origin}: not a marker: {error}") from error


def _pin(entry: LockEntry, origin: str) -> Declared:
    pin = declared(f"{entry.name}=={entry.version}", origin)
    hashes = {digest for file in entry.files for digest in file.digests}
    return Declared(requirement=pin.requirement, origin=origin, hashes=tuple(sorted(hashes)))


def _read_uv_lock(text: str, origin: str) -> LockFile:
    try:
        document: Any = read_toml(text)  # what is in it is looked at below
        if document["version"] != 1:
            raise BadComponent(f"{origin}: unknown lock version: `{document['version']}`")
        entries = tuple(_uv_entry(table) for table in document.get("package", []))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadComponent(
            f"{origin}: not a lock of uv: {type(error).__name__}: {error}",
            hint="write it anew: uv lock",
        ) from error
    return LockFile(origin=origin, entries=entries)


def _uv_entry(table: Mapping[str, object]) -> LockEntry:
    source, markers = table.get("source", {}), table.get("resolution-markers", [])
    wheels, sdist = table.get("wheels", []), table.get("sdist")
    if not isinstance(wheels, list) or not isinstance(markers, list):
        raise TypeError("not a list")
    files = [*wheels, *([sdist] if sdist else [])]
    return LockEntry(
        name=checked_name(table["name"]),
        version=checked_version(table.get("version", "")),
        marker=" or ".join(f"({marker})" for marker in markers),
        files=tuple(_uv_file(file) for file in files if "hash" in file),
        is_local=not (isinstance(source, dict) and "registry" in source),
    )


def _uv_file(table: Mapping[str, object]) -> LockedFile:
    url = str(table.get("url") or table.get("path") or "")
    size = table.get("size", 0)
    return LockedFile(
        name=checked_file(table.get("filename") or unquote(url.rpartition("/")[2])),
        url=url,
        size=size if isinstance(size, int) else 0,
        digests=(checked_digest(table["hash"]),),
    )
