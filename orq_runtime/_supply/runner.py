"""What every third-party program at supply time is given: limits, and an environment of its own.

Build backends and imports for bytecode are other people's code. All of it runs through the one
`CommandRunner`, behind the wall: without network, the user's variables, or the cache to write to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from orq_runtime.model.command import CommandEnd
from orq_runtime.model.limits import GIB, Limits

__all__ = ["BUILD_LIMITS", "COMPILE_LIMITS", "clean_environment", "tail", "workplace"]

_TAIL_LINES: Final = 40
_LONGEST_TAIL: Final = 16_000
# 1980-01-01, the oldest date a zip can hold: two builds of one tree then give the same bytes
_SOURCE_DATE_EPOCH: Final = "315532800"
_SYSTEM_PATH: Final = "/usr/local/bin:/usr/bin:/bin"

BUILD_LIMITS: Final = Limits(
    wall_seconds=3600.0,
    memory_bytes=4 * GIB,
    processes=512,
    open_files=4096,
    tmp_bytes=2 * GIB,
    tmp_inodes=262_144,
)
"""What one build may use; a compiler with many processes needs more than a step."""

COMPILE_LIMITS: Final = Limits(
    wall_seconds=300.0, memory_bytes=4 * GIB, processes=512, open_files=4096
)
"""What the making of one environment's bytecode may use; its imports start threads."""


def workplace(scratch: Path, name: str = "work") -> Path:
    """A folder for one command to write, in a scratch folder that its user can walk through."""
    scratch.chmod(0o711)
    work = scratch / name
    work.mkdir(mode=0o700)
    return work


def clean_environment(work: Path, *programs: Path) -> dict[str, str]:
    """The environment of a third-party program: nothing of the user's, a home in its own folder."""
    home, temporary = work / "home", work / "tmp"
    home.mkdir()
    temporary.mkdir()
    return {
        "PATH": ":".join([*map(str, programs), _SYSTEM_PATH]),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": _SOURCE_DATE_EPOCH,
        "PIP_NO_INDEX": "1",
    }


def tail(end: CommandEnd) -> str:
    """The last lines of what a program said: on stdout, then on stderr."""
    said = f"{end.stdout.rstrip()}\n{end.stderr.rstrip()}".strip()
    return "\n".join(said.splitlines()[-_TAIL_LINES:])[-_LONGEST_TAIL:]
