"""All methods of breaking a supply, by the names they have in RELIABILITY.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from tests.faults import host_faults, index_faults, kernel_faults, process_faults, tap
from tests.faults.trials import Tally

__all__ = ["METHODS", "NEEDS", "Method"]


class Method(Protocol):
    """One method: injects its faults under a folder of its own, and counts."""

    __doc__: str | None

    def __call__(self, room: Path, *, is_long: bool) -> Tally: ...


METHODS: Mapping[str, Method] = {
    "each operation of our own fails": kernel_faults.fs_errors,
    "each operation of our own is the last": kernel_faults.fs_kills,
    "system calls of a supply fail": kernel_faults.supply_errors,
    "system calls of a supply are the last": kernel_faults.supply_kills,
    "power cuts of a publish": kernel_faults.power_cuts,
    "kill -9 at random moments": process_faults.random_kills,
    "builders racing": process_faults.races,
    "a builder stopped": process_faults.stopped_builders,
    "disk full": host_faults.full_disks,
    "read-only store": host_faults.read_only_stores,
    "torn files": host_faults.torn_files,
    "clock going back": host_faults.clocks_gone_back,
    "index answering wrongly": index_faults.index_faults,
}

_TAPPED = (
    kernel_faults.fs_errors,
    kernel_faults.fs_kills,
    kernel_faults.supply_errors,
    kernel_faults.supply_kills,
    kernel_faults.power_cuts,
    process_faults.stopped_builders,
)
_MOUNTED = (host_faults.full_disks, host_faults.read_only_stores)

NEEDS: Mapping[str, tuple[Callable[[], bool], str]] = {
    name: (tap.is_available, "system calls cannot be tapped here")
    if method in _TAPPED
    else (host_faults.can_mount, "nothing can be mounted here")
    for name, method in METHODS.items()
    if method in (*_TAPPED, *_MOUNTED)
}
