"""Bytecode that a compiler left in its folder, carried to the sources that it is of.

Rules of this file:

1. What is compiled is never writable to who compiles it: its files may be hard links into uv's
   cache, and an import runs their authors' code. So bytecode comes from a folder apart.
2. Carried back are regular files with the name that a source there gives them. That code in them
   is the source's is not checked: who could forge it runs at every start of the environment anyway.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orq_runtime._supply.files import read_left

__all__ = ["carry_back"]

_LARGEST_FILE: Final = 64 * 1024 * 1024
_MOST_BYTES: Final = 1024 * 1024 * 1024


def carry_back(made: Path, root: Path, cache_tag: str) -> None:
    """Put the bytecode below `made` beside the sources below `root`, which it is named after."""
    suffix = f".{cache_tag}.pyc"
    made /= str(root).lstrip("/")
    left = _MOST_BYTES
    real = root.resolve()
    for folder, name, at in _files(made):
        target = real / folder
        source = target / f"{name.removesuffix(suffix)}.py"
        if not name.endswith(suffix) or not _is_plain(source) or target.resolve() != target:
            continue
        content = read_left(at, name, most_bytes=_LARGEST_FILE)
        left -= len(content)
        if left < 0:
            return
        _put(target / "__pycache__", name, content)


def _files(made: Path) -> Iterator[tuple[str, str, int]]:
    """Folder below `made`, name and folder's descriptor of each; links are not followed."""
    try:
        for folder, _, names, at in os.fwalk(made):
            for name in names:
                if stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                    yield str(Path(folder).relative_to(made)), name, at
    except (OSError, RecursionError):  # what is there was made to hurt: the rest stays uncompiled
        return


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _put(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(exist_ok=True)
    draft = folder / f".{name}.new"
    draft.write_bytes(content)
    draft.replace(folder / name)  # never into a file that is there: it may be a hard link
