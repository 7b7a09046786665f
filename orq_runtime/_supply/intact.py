"""What no distribution may do to the environment that it is installed into.

An interpreter believes the files around it before it runs a line: a `pyvenv.cfg` that names another
home gives it another standard library, outside of every wall. So the frame of an environment is
noted while it is empty, and compared when everything is installed.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from orq_runtime.errors import BadComponent
from orq_runtime.model.environment import Interpreter

__all__ = ["check_frame", "frame_of"]

Frame = Mapping[str, tuple[int, ...]]

_LEADING: Final = frozenset({"pyvenv.cfg", "pybuilddir.txt"})
"""Files that an interpreter looks for beside itself."""


def frame_of(environment: Path) -> dict[str, tuple[int, ...]]:
    """The frame of an empty environment: what it consists of before anything is installed."""
    return {name: _identity(environment / name) for name in _frame_names(environment)}


def check_frame(environment: Path, frame: Frame, interpreter: Interpreter) -> None:
    """Raise `BadComponent` when an installed distribution has changed the frame, or added to it."""
    for name, identity in frame.items():
        path = environment / name
        if not os.path.lexists(path) or _identity(path) != identity:
            raise _refused(environment, name)
    for name in _frame_names(environment):
        leads = name.rpartition("/")[2] in _LEADING or name.endswith("._pth")
        if leads and name not in frame:
            raise _refused(environment, name)
    library = environment / "lib" / f"python{interpreter.minor}"
    for path in library.iterdir():
        if path.name != "site-packages":
            raise _refused(environment, str(path.relative_to(environment)))
    zipped = f"lib/python{interpreter.minor.replace('.', '')}.zip"
    if os.path.lexists(environment / zipped):
        raise _refused(environment, zipped)


def _frame_names(environment: Path) -> Iterator[str]:
    for folder in ("", "bin"):
        with os.scandir(environment / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}".lstrip("/")
                if name == "lib64" or not entry.is_dir(follow_symlinks=False):
                    yield name


def _identity(path: Path) -> tuple[int, ...]:
    status = path.lstat()
    return (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns)


def _refused(environment: Path, name: str) -> BadComponent:
    who = next(_owners(environment, name), "a distribution")
    return BadComponent(
        f"{who} writes over what is the environment's own: `{name}`",
        hint="it would decide what the interpreter itself runs: do not use it",
    )


def _owners(environment: Path, name: str) -> Iterator[str]:
    for record in environment.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        with open(record, encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.reader(file):
                site = record.parent.parent
                if row and os.path.normpath(site / row[0]) == str(environment / name):
                    yield f"`{record.parent.name.partition('-')[0]}`"
