"""Paths as values: absolute by their words."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["absolute"]


def absolute(path: str | os.PathLike[str]) -> Path:
    """The absolute path by the words of `path` and the current folder."""
    # not resolve(): what is reached through a symbolic link keeps the folder it was named by
    return Path(os.path.abspath(path))  # noqa: PTH100 - see above
