"""The lock beside the declarations: when it is taken whole, when it is stale, how it is written.

Modes: `open` takes a lock of ours that fits the declarations and lets any other constrain the
resolution; `locked` wants the lock to fit, else fails; `frozen` takes it as it is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from orq_runtime import _fs
from orq_runtime._supply.asked import Asked
from orq_runtime._supply.lock import Lock, Pinned
from orq_runtime._supply.pins import whole
from orq_runtime._supply.pylock import LocalPlace, LockFile, pylock_text
from orq_runtime._supply.requirements import Declared
from orq_runtime._supply.resolve import Spec, with_local
from orq_runtime._supply.tags import marker_environment
from orq_runtime.errors import BadComponent, StaleLock
from orq_runtime.model.environment import Freshness, Interpreter
from orq_runtime.settings import LockMode

__all__ = ["check_held", "constraints_of", "lock_at_hand", "lock_text", "preferred", "write_lock"]

_WRITE = "write it anew: orq-runtime supply --lock"


def lock_at_hand(asked: Asked, spec: Spec, mode: LockMode) -> Lock | None:
    """The lock beside the declarations, where no resolver is needed; else None.

    Raises `StaleLock` where the mode wants one that is not there or does not fit, and
    `ResolutionFailed` where it has no file for the interpreter.
    """
    file = asked.lock
    if file is None:
        if mode != "open" and not asked.pins:
            where = asked.lock_place or "the caller's requirements alone"
            raise StaleLock(f"there is no lock: `{where}`", hint=_WRITE)
        return None
    if mode == "open" and file.declared != spec.declared_key:
        return None
    if mode == "locked":
        _check_fresh(file, spec)
    local = [wheel.name for wheel in spec.local]
    pins = whole(file, spec.interpreter, local)
    return with_local(Lock(packages=pins, direct=spec.direct), spec)


def check_held(lock: Lock, asked: Asked, mode: LockMode) -> None:
    """Raise `StaleLock` if a resolution in a mode other than `open` left what the locks hold."""
    if mode == "open" or asked.lock is not None:
        return
    held = {pin.name for pin in asked.pins}
    free = [item.name for item in lock.packages if item.content is None and item.name not in held]
    if free:
        raise StaleLock(
            f"{asked.pins[0].origin}: it does not have `{free[0]}`, which is required now",
            hint="write it anew: uv lock",
        )


def constraints_of(
    asked: Asked, freshness: Freshness, *, is_rewritten: bool
) -> tuple[Declared, ...]:
    """The pins that constrain a resolution: none that is upgraded or in a lock to be rewritten."""
    if freshness.upgrade:
        return ()
    freed = {canonicalize_name(name) for name in freshness.upgrade_packages}
    place = str(asked.lock_place)
    return tuple(
        pin
        for pin in asked.pins
        if pin.name not in freed and not (is_rewritten and pin.origin == place)
    )


def preferred(file: LockFile | None) -> tuple[Pinned, ...]:
    """The versions of a lock that a new one keeps where it can."""
    entries = () if file is None else file.entries
    return tuple(
        Pinned(name=entry.name, version=entry.version, digests=())
        for entry in entries
        if entry.version and not entry.is_local
    )


def lock_text(lock: Lock, spec: Spec, place: Path) -> str:
    """The lock as the text of a `pylock.toml` that lies at `place`."""
    local = {}
    for wheel in spec.local:
        if wheel.source is not None:
            continue  # an index's, as the others are
        origin = Path(wheel.origin)
        digest = wheel.digest if origin.suffix == ".whl" else ""
        if not digest and not origin.is_dir():
            from orq_runtime._digest import digest_file  # a vendored source distribution

            digest = digest_file(origin)
        local[wheel.name] = LocalPlace(
            path=Path(os.path.relpath(origin, place.parent)).as_posix(), digest=digest
        )
    return pylock_text(
        lock.packages, python=_shown(spec.interpreter), declared=spec.declared_key, local=local
    )


def write_lock(place: Path, text: str) -> Path:
    """Put the text at its place. Raises `BadComponent` when that fails."""
    try:
        _fs.write_atomic(place, text.encode())
        place.chmod(0o644)  # it is a file of the component's, for all who read that
    except OSError as error:
        raise BadComponent(f"cannot write the lock `{place}`: {error.strerror}") from error
    return place


def _shown(interpreter: Interpreter) -> str:
    version = ".".join(str(part) for part in interpreter.version)
    return f"{interpreter.implementation} {version} {interpreter.platform}"


def _check_fresh(file: LockFile, spec: Spec) -> None:
    """Raise unless the lock is of what is declared; one of others' if it satisfies that."""
    if file.declared == spec.declared_key:
        return
    environment = marker_environment(spec.interpreter)
    versions = {entry.name: entry.version for entry in file.entries}
    local = {wheel.name for wheel in spec.local}
    for requirement, origin in _required(spec):
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate(environment)
        if name in local or not applies:
            continue
        version = versions.get(name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            has = f"has `{version}`" if version else "does not have it"
            raise StaleLock(
                f"{file.origin} is stale: `{requirement}` ({origin}), and the lock {has}",
                hint=_WRITE,
            )
    if file.declared is not None:
        raise StaleLock(
            f"{file.origin} is stale: it was made from other declarations, or for another "
            f"interpreter: {file.python}",
            hint=_WRITE,
        )


def _required(spec: Spec) -> Iterator[tuple[Requirement, str]]:
    for item in spec.requirements:
        yield item.requirement, item.origin
    for wheel in spec.local:
        for line in wheel.requires:
            with contextlib.suppress(InvalidRequirement):
                yield Requirement(line), wheel.origin
