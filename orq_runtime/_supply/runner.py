"""The one seam through which every third-party program runs at supply time.

Build backends and imports for bytecode are other people's code. Whoever starts them does it through
a `BuildRunner`, with all that a confined command needs said in one `BuildCommand`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orq_runtime._supply import process
from orq_runtime.errors import BuildFailed
from orq_runtime.settings import Settings

__all__ = ["BuildCommand", "BuildEnd", "BuildRunner", "PlainRunner", "clean_environment", "tail"]

_TAIL_LINES = 40
_LARGEST_LOG = 16 * 1024 * 1024
# 1980-01-01, the oldest date a zip can hold: two builds of one tree then give the same bytes
_SOURCE_DATE_EPOCH = "315532800"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildCommand:
    """One program: its whole environment, the one folder it may write, its deadline, its log."""

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    writable: Path
    deadline_seconds: float
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEnd:
    """How it ended; a negative status is a signal."""

    status: int
    timed_out: bool


class BuildRunner(Protocol):
    """Runs one third-party program."""

    def run(self, command: BuildCommand) -> BuildEnd:
        """Run it to its end and append what it says to its log. Blocks."""
        ...


class PlainRunner:
    """Runs it as an ordinary process of this user: clean environment, own group, deadline.

    Nothing keeps the program from files that the user can reach.
    """

    def run(self, command: BuildCommand) -> BuildEnd:
        """Run it to its end and append what it says to its log. Blocks."""
        with open(command.log, "a", encoding="utf-8") as log:

            def on_line(line: str) -> None:
                if log.tell() < _LARGEST_LOG:
                    log.write(line + "\n")

            try:
                ended = process.run(
                    command.argv,
                    cwd=command.cwd,
                    environment=command.environment,
                    deadline_seconds=command.deadline_seconds,
                    on_line=on_line,
                    with_stdout=True,
                )
            except OSError as error:
                raise BuildFailed(f"cannot run `{command.argv[0]}`: {error.strerror}") from error
        return BuildEnd(status=ended.status, timed_out=ended.timed_out)


def clean_environment(settings: Settings, scratch: Path) -> dict[str, str]:
    """The environment of a third-party program: no name of the user's but PATH, a private home."""
    home = scratch / "home"
    temporary = scratch / "tmp"
    home.mkdir(exist_ok=True)
    temporary.mkdir(exist_ok=True)
    return {
        "PATH": settings.tool_environment.get("PATH", "/usr/bin:/bin"),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": _SOURCE_DATE_EPOCH,
        "PIP_NO_INDEX": "1",
    }


def tail(log: Path) -> str:
    """The last lines of a log."""
    try:
        text = log.read_text("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-_TAIL_LINES:])
