"""A confined command: a program that runs behind the wall, and how it ended.

The wall's second entry, beside a step's function: builds, bytecode compilation and command steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from orq_runtime._dataclass import dataclass, field
from orq_runtime.model.environment import Interpreter
from orq_runtime.model.limits import GIB, Limits
from orq_runtime.model.outcome import Usage
from orq_runtime.model.policy import Network

__all__ = ["Command", "CommandEnd", "CommandRunner", "StartedCommand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One program: what it is, all that it is told, and all that it may touch.

    `argv` starts with a path, or a name that is looked up in the PATH of `environ`, which is its
    whole environment but for HOME and TMPDIR. `interpreter` builds the wall; the command may read
    it, an ordinary userland and `read_only`. `writable` is the one folder of the host it may write:
    it must be the caller's own, belongs to the run's user meanwhile, and what lies in it afterwards
    is a stranger's. It may hold `writable_bytes`. `folder` is where the program starts; None is a
    private, empty one. `source` is Python that the wall's own interpreter runs, as `-I -S` has it,
    in place of a program: `argv` is then what it finds in `sys.argv`.
    """

    argv: tuple[str, ...]
    interpreter: Interpreter
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    source: str | None = None
    read_only: tuple[Path, ...] = ()
    writable: Path | None = None
    writable_bytes: int = 4 * GIB
    network: Network = "none"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnd:
    """How a command ended. `verdict` is `ok` for exit status 0, else a row of the verdict table.

    `message` says it in words; `isolation` is the tier in force.
    """

    verdict: str
    message: str = ""
    exit_status: int | None = None
    signal: int | None = None
    isolation: str
    enforced_by: Mapping[str, str] = field(default_factory=dict)
    usage: Usage
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.verdict == "ok"


class StartedCommand(Protocol):
    """A command on its way, owned by whoever started it."""

    def end(self) -> CommandEnd:
        """How it ended. Blocks, for as long as its limits say from now.

        Raises `SandboxError` when it could not be started.
        """
        ...

    def close(self) -> None:
        """End it, and all that it has started. Calling it again does nothing."""
        ...


class CommandRunner(Protocol):
    """Runs commands behind the wall. Safe for several threads."""

    @property
    def isolation(self) -> str:
        """The tier that commands get. Raises `WallUnavailable` when there is none."""
        ...

    def run(self, command: Command) -> CommandEnd:
        """Run it to its end. Blocks. Raises `SandboxError` when it could not be started."""
        ...

    def start(self, command: Command) -> StartedCommand:
        """Have it start, and go on meanwhile. Raises `SandboxError` where that is known at once."""
        ...
