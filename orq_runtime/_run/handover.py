"""Artifacts as inputs: what a run must be let read, checked before anything is started."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from orq_runtime._run.ground import may_become_others
from orq_runtime.errors import BadCall, NotFound
from orq_runtime.model.artifact import Artifact
from orq_runtime.model.policy import check_place

__all__ = ["grants_for"]


def grants_for(artifacts: Iterable[Artifact], tier: str, granted: Iterable[str]) -> tuple[str, ...]:
    """The paths to grant beside those granted already: none where there is no wall.

    Raises `NotFound` for an artifact that is not there, and `BadCall` for one that the run could
    not read or must not be given.
    """
    is_other = tier != "process" and may_become_others()
    known = [Path(path) for path in granted]
    more: list[str] = []
    for artifact in artifacts:
        path = artifact.path.resolve()
        _check(artifact.path, is_other=is_other)
        if tier != "process" and not any(path.is_relative_to(one) for one in known):
            check_place(path)
            more.append(str(path))
    return tuple(dict.fromkeys(more))


def _check(path: Path, *, is_other: bool) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise NotFound(f"no such artifact: `{path}`: {error.strerror}") from error
    is_folder = stat.S_ISDIR(status.st_mode)
    if not is_folder and not stat.S_ISREG(status.st_mode):
        raise BadCall(f"an artifact is a file or a folder: `{path}`")
    needed = 0o5 if is_folder else 0o4
    if (is_other and status.st_mode & needed != needed) or not os.access(path, os.R_OK):
        raise BadCall(
            f"the run's user may not read the artifact `{path}`",
            hint="let others read it: chmod -R o+rX",
        )
