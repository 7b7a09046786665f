"""Reading what others wrote: bounded, regular files only, never outside of its folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orq_runtime.errors import BadComponent

__all__ = ["open_regular", "read_inside"]

_LARGEST_DECLARATION = 4 * 1024 * 1024


def open_regular(path: Path, *, follow: bool = False) -> int:
    """A descriptor of a regular file; the caller closes it. Raises `BadComponent` for others.

    Opened without blocking, so that a FIFO with a declaration's name hangs nobody.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise BadComponent(f"cannot read `{path}`: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadComponent(f"not a regular file: `{path}`")
    return descriptor


def read_inside(path: Path, root: Path) -> bytes:
    """The content of a declaration file under `root`; a link may not lead out of it.

    Raises `BadComponent` when it does, when it cannot be read and when it is too large to be one.
    """
    try:
        real = path.resolve(strict=True)
        inside = real.is_relative_to(root.resolve(strict=True))
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = getattr(error, "strerror", None) or error
        raise BadComponent(f"cannot read `{path}`: {reason}") from error
    if not inside:
        raise BadComponent(f"leads out of its component: `{path}`")
    descriptor = open_regular(real)
    with open(descriptor, "rb") as file:
        content = file.read(_LARGEST_DECLARATION + 1)
    if len(content) > _LARGEST_DECLARATION:
        raise BadComponent(f"too large for a declaration file: `{path}`")
    return content
