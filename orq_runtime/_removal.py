"""Removes trees, whatever they hold: read-only, hostile, deeper than any path may be long."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["remove_tree"]


def remove_tree(root: Path) -> None:
    """Remove a folder with all it holds, read-only or hostile. Missing is fine.

    Depth and length of paths do not matter: what lies deeper is moved up before it is looked at.
    Links are removed, never followed.
    """
    try:
        descriptor = _open_folder(root)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        waiting = _emptied(descriptor, descriptor, iter(()))
        numbers = itertools.count()
        while waiting:
            name = waiting.pop()
            inner = _open_folder(name, descriptor)
            try:
                waiting += _emptied(inner, descriptor, (f".orq-{n}" for n in numbers))
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    root.rmdir()


def _open_folder(name: str | Path, parent: int | None = None) -> int:
    """A descriptor of a folder that is no link, made readable and writable for us."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    probe = os.open(name, flags | os.O_PATH, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{probe}").chmod(0o700)
        return os.open(f"/proc/self/fd/{probe}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(probe)


def _emptied(folder: int, top: int, names: Iterator[str]) -> list[str]:
    """Unlink a folder's files; its folders go to `top` under new names, which are given back."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    moved = []
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
        elif folder == top:
            moved.append(name)
        else:
            os.close(_open_folder(name, folder))  # to move a folder one must be able to write to it
            while (new := next(names)) and _exists(new, top):
                continue
            os.rename(name, new, src_dir_fd=folder, dst_dir_fd=top)
            moved.append(new)
    return moved


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
