"""The store as values: what it holds, what a cleaning did, what a check found."""

from __future__ import annotations

from typing import Literal

from orq_runtime._dataclass import dataclass

__all__ = ["CleanReport", "Finding", "StoreSize", "StoredEnvironment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEnvironment:
    """An environment as a list of the store shows it.

    `last_use` is in seconds since the epoch, 0 where it is not known; `bytes` counts files that
    share their content with others in full. `in_use` says whether a lease holds it now, `pinned`
    whether it was pinned.
    """

    key: str
    bytes: int
    last_use: float
    python: str
    packages: tuple[str, ...]
    in_use: bool
    pinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSize:
    """What the store takes on the disk; files that share their content count once.

    `shared_bytes` of the environments are uv's cache's too and counted in `uv_bytes`.
    """

    environments: int
    environment_bytes: int
    shared_bytes: int
    uv_bytes: int
    other_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.environment_bytes + self.uv_bytes + self.other_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanReport:
    """What a cleaning removed, and what it kept and why.

    `removed` are environments, `others` are wheels, builds, locks and the like that led to none,
    `artifacts` the collected outputs of runs.
    """

    removed: int = 0
    others: int = 0
    artifacts: int = 0
    freed_bytes: int = 0
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One folder of the store, checked. No `defects`: it is as it was made.

    A defective one is taken out of use (`quarantined`), and made again if that was asked for
    (`repaired`); one that is used just now stays (`in_use`).
    """

    kind: Literal["environment", "wheel", "support"]
    key: str
    defects: tuple[str, ...] = ()
    state: Literal["whole", "quarantined", "repaired", "in_use"] = "whole"
    message: str = ""
