"""Reading what others wrote: bounded, regular files only, never outside of its folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orq_runtime.errors import BadComponent

__all__ = ["open_left", "open_regular", "read_inside", "read_left", "read_toml", "take_back"]

_CHUNK = 1 << 20
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


def read_toml(text: str) -> dict[str, object]:
    """A TOML document that somebody else wrote. Raises ValueError for what is none, however deep.

    The standard library's parser calls itself for each level, and ends where the stack does.
    """
    import tomllib  # start-up budget: many components have none

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_left(folder: Path | int, relative: str, *, most_bytes: int) -> bytes:
    """The content of a file that a command left in its folder, which is a stranger's.

    Raises OSError, and ValueError for what is no regular file of its own or is too large.
    """
    with open(open_left(folder, relative), "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"more than {most_bytes} bytes: `{relative}`")
    return content


def take_back(folder: Path, relative: str, target: Path, *, most_bytes: int) -> None:
    """Copy a file that a command left in its folder to a new one. Raises as `read_left` does."""
    left = most_bytes
    with open(open_left(folder, relative), "rb") as file, open(target, "xb") as copy:
        while chunk := file.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise ValueError(f"more than {most_bytes} bytes: `{relative}`")
            copy.write(chunk)


def open_left(folder: Path | int, relative: str) -> int:
    """A descriptor of a regular file with one name, reached without a link; the caller closes it.

    Raises OSError, and ValueError for what is no such file.
    """
    *folders, name = relative.split("/")
    place = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    at = os.dup(folder) if isinstance(folder, int) else os.open(folder, place)
    try:
        for part in folders:
            inner = os.open(part, place, dir_fd=at)
            os.close(at)
            at = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=at)
    finally:
        os.close(at)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise ValueError(f"not a regular file of its own: `{relative}`")
    return descriptor
