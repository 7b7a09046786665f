"""What holds each limit of a run, by name; and what of it is left to a sentry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orq_runtime._run.cgroup import Mechanism
from orq_runtime._run.sentry import Watched
from orq_runtime._run.slot import Slot
from orq_runtime.model.limits import Limits

__all__ = ["WATCHER", "enforced_by", "watched_of_run"]

WATCHER: Final = "watcher"
_BY_THE_HOST: Final = {
    "wall_seconds": "host clock",
    "stdout_bytes": "host",
    "stderr_bytes": "host",
    "result_bytes": "host",
    "blob_bytes": "host",
}


def enforced_by(mechanism: Mechanism, isolation: str, limits: Limits) -> dict[str, str]:
    """The name of the mechanism for each limit."""
    held = {**_BY_THE_HOST, **mechanism.enforced_by(limits)}
    held["open_files"] = held["file_bytes"] = "rlimit"
    if limits.cpu_seconds is not None:
        held["cpu_seconds"] = "rlimit"
    held["tmp_bytes"] = held["tmp_inodes"] = "tmpfs" if isolation == "namespaces" else WATCHER
    is_counted = isolation == "namespaces" and not mechanism.has_cgroup
    if held["processes"] == "rlimit" and not is_counted:
        held["processes"] = WATCHER  # the rlimit would count all that this user runs
    return held


def watched_of_run(held: Mapping[str, str], limits: Limits, slot: Slot) -> Watched | None:
    """What a run's sentry is to look after; None where the kernel holds all of it."""
    watches_memory = WATCHER in held["memory_bytes"]
    watches_processes = held["processes"] == WATCHER
    folders = () if slot.folder is None or held["tmp_bytes"] != WATCHER else (slot.folder,)
    if not (watches_memory or watches_processes or folders):
        return None
    return Watched(
        memory_bytes=limits.memory_bytes if watches_memory else None,
        processes=limits.processes if watches_processes else None,
        folders=folders,
        disk_bytes=limits.tmp_bytes,
        disk_files=limits.tmp_inodes,
    )
