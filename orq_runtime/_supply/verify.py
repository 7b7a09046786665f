"""Checks what the store holds against what was made, and takes out of use what differs.

Rules of this file:

1. A folder is looked at under a lease, and taken away under the locks of whoever evicts.
2. What was tampered with is kept apart, for people to look at. It is made again from its own lock
   if that is asked for, after uv has forgotten the packages: their files are the same inodes.
3. Whoever may write to the store may forge it whole. This finds accidents and edits, not forgers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from orq_runtime._digest import digest_file
from orq_runtime._supply.clean import folders
from orq_runtime._supply.manifest import defects
from orq_runtime._supply.store import Store, read_json
from orq_runtime.errors import StoreError, SupplyError
from orq_runtime.model.stored import Finding

__all__ = ["verify"]

Repair = Callable[[Path], None]
_Kind = Literal["environment", "wheel", "support"]


def verify(
    store: Store, *, only: Path | None = None, repair: Repair | None = None
) -> Iterator[Finding]:
    """Check wheels, support layers and environments, or one environment; a finding for each.

    `repair` makes an environment again, given the folder it is kept apart in. Reads every byte;
    blocks.
    """
    if only is None:
        for path in folders(store.wheels):
            yield _checked(store, "wheel", path, _wheel_defects, None)
        for path in folders(store.support):
            yield _checked(store, "support", path, defects, None)
    for path in folders(store.environments) if only is None else [only]:
        yield _checked(store, "environment", path, defects, repair)


def _checked(
    store: Store,
    kind: _Kind,
    path: Path,
    look: Callable[[Path], list[str]],
    repair: Repair | None,
) -> Finding:
    try:
        with store.leased(kind, path):
            found = tuple(look(path))
    except StoreError as error:  # removed meanwhile, or being removed
        return Finding(kind=kind, key=path.name, message=error.message)
    if not found:
        return Finding(kind=kind, key=path.name)
    place = store.quarantine / f"{path.name}-{os.urandom(4).hex()}"
    with store.taken(kind, path) as taken:
        if taken is None:
            return Finding(kind=kind, key=path.name, defects=found, state="in_use")
        place.parent.mkdir(parents=True, exist_ok=True)
        taken.rename(place)
    finding = Finding(
        kind=kind, key=path.name, defects=found, state="quarantined", message=str(place)
    )
    return finding if repair is None else _repaired(finding, path, place, repair)


def _repaired(finding: Finding, path: Path, place: Path, repair: Repair) -> Finding:
    try:
        repair(place)
    except SupplyError as error:
        message = f"{place}; not made again: {error.message}"
        return Finding(
            kind=finding.kind,
            key=finding.key,
            defects=finding.defects,
            state="quarantined",
            message=message,
        )
    left = defects(path)
    return Finding(
        kind=finding.kind,
        key=finding.key,
        defects=finding.defects,
        state="repaired" if not left else "quarantined",
        message=str(place) if not left else f"made again, and still so: {left[0]}",
    )


def _wheel_defects(folder: Path) -> list[str]:
    document = read_json(folder / "wheel.json")
    if document is None:
        return ["not there, or not readable: wheel.json"]
    try:
        digest = digest_file(folder / str(document.get("file")))
    except OSError as error:
        return [f"{document.get('file')}: {error.strerror}"]
    name = document.get("file")
    return [] if document.get("digest") == digest else [f"changed: {name}"]
