"""Fills a component's `vendor/`, so that it supplies elsewhere without any index.

    vendor/            every distribution of the lock: wheels for the interpreter, else sdists
    vendor/build/      what the builds of local packages and vendored sdists are made with

A file appears there whole and checked, under the name that the index gave it. What is vendored
already stays.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from orq_runtime._supply.sources import BUILD_VENDOR, VENDOR
from orq_runtime._supply.store import Store
from orq_runtime.errors import BadComponent, ResolutionFailed
from orq_runtime.events import Event, Sink
from orq_runtime.model.environment import LockedPackage
from orq_runtime.settings import Settings

__all__ = ["fill_vendor"]


def fill_vendor(
    root: Path,
    packages: Iterable[LockedPackage],
    tools: Iterable[LockedPackage],
    *,
    store: Store,
    settings: Settings,
    sink: Sink,
) -> list[Path]:
    """Put the files of what is not local into `vendor/` and `vendor/build/`. The new paths. Blocks.

    Raises `IndexUnavailable`, `ResolutionFailed`, and `BadComponent` for a folder that cannot be
    written.
    """
    from orq_runtime._supply.fetch import fetch  # start-up budget: brings in HTTP and TLS

    made: list[Path] = []
    for folder in (root / VENDOR, root / VENDOR / BUILD_VENDOR):
        if folder.is_symlink():
            raise BadComponent(f"leads out of its component: `{folder}`", hint="make it a folder")
    wanted = [(root / VENDOR, pin) for pin in packages if pin.url or not pin.local]
    wanted += [(root / VENDOR / BUILD_VENDOR, pin) for pin in tools if pin.url or not pin.local]
    for folder, pin in wanted:
        if not pin.url:
            raise ResolutionFailed(
                f"it is not known where `{pin.name}=={pin.version}` comes from",
                hint="resolve anew with --refresh",
            )
        place = folder / Path(pin.file).name
        if place.exists():
            continue
        event = Event(phase="download", state="started", subject=pin.name, total=pin.size)
        sink(event)

        def on_bytes(done: int, pin: LockedPackage = pin) -> None:
            sink(
                Event(phase="download", state="moved", subject=pin.name, done=done, total=pin.size)
            )

        with store.scratch() as scratch:
            fetch(pin, scratch / place.name, settings, on_bytes)
            _put(scratch / place.name, place)
        sink(Event(phase="download", state="done", subject=pin.name, total=pin.size))
        made.append(place)
    return made


def _put(file: Path, place: Path) -> None:
    """Give a file its place, whole, though that be on another file system."""
    staged = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "rb") as source, open(staged, "xb") as copy:  # x: follows no link there
            shutil.copyfileobj(source, copy)
        staged.rename(place)
    except OSError as error:
        raise BadComponent(f"cannot write `{place}`: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink()
