"""A run as data: what a language hands to the drivers, and the ways to start it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from orq_runtime._dataclass import dataclass, field
from orq_runtime.model.checks import Checks
from orq_runtime.model.environment import Component, Environment

__all__ = ["CALL", "Manner", "Purpose", "RunPlan", "StartMode"]

StartMode = Literal["zygote", "exec"]
Purpose = Literal["call", "check", "describe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What a run does with its function: `call` it, `check` inputs against it, or `describe` it.

    `shows_locals` has the variables of an exception's frames told; `checks` are how strictly values
    are taken.
    """

    purpose: Purpose = "call"
    shows_locals: bool = False
    checks: Checks = field(default_factory=Checks)


CALL: Final = Manner()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Which function to call, in which environment, with what importable. Data only.

    In place of a function there may be a `command`, whose placeholders are still open. `file` or
    `source` holds the code; `import_roots` go on the guest's path behind the environment's
    packages; `preload` are modules a zygote imports ahead of time, best effort.
    """

    environment: Environment
    function: str
    file: Path | None = None
    source: str | None = None
    import_roots: tuple[Path, ...] = ()
    components: tuple[Component, ...] = ()
    preload: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
