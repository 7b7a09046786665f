"""A run as data: what a language hands to the drivers, and the ways to start it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orq_runtime.model.environment import Component, Environment

__all__ = ["RunPlan", "StartMode"]

StartMode = Literal["zygote", "exec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Which function to call, in which environment, with what importable. Data only.

    `file` or `source` holds the code; `import_roots` go on the guest's path behind the
    environment's packages; `preload` are modules a zygote imports ahead of time, best effort.
    """

    environment: Environment
    function: str
    file: Path | None = None
    source: str | None = None
    import_roots: tuple[Path, ...] = ()
    components: tuple[Component, ...] = ()
    preload: tuple[str, ...] = ()
