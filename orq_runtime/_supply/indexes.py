"""The user's package indexes, as far as an answer depends on them."""

from __future__ import annotations

import os
from pathlib import Path

from orq_runtime._digest import Digest
from orq_runtime.errors import RequestError
from orq_runtime.settings import Settings

__all__ = ["index_digest"]

_RECIPE = 2


def index_digest(settings: Settings) -> str:
    """What stands for the user's indexes in a key. Folders count with what they list.

    Raises `RequestError` for a folder of the settings that cannot be read.
    """
    digest = Digest("index", _RECIPE)
    digest.raw("default", (settings.default_index or "").encode())
    for url in settings.index:
        digest.raw("index", url.encode())
    for place in settings.find_links:
        digest.raw("find_links", place.encode())
        folder = Path(place)
        if "://" in place:
            continue
        for name, size, stamp in _listed(folder):
            digest.raw("listed", f"{name} {size} {stamp}".encode("utf-8", "surrogateescape"))
    return digest.key()


def _listed(folder: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and stamps of what lies in a folder; nothing where there is none."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, _stat(entry)) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RequestError(
            f"cannot read the find-links folder `{folder}`: {error.strerror}",
            hint="name a folder of distributions that you may read",
        ) from error
    return sorted((name, status.st_size, status.st_mtime_ns) for name, status in found)


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except FileNotFoundError:  # a link that leads nowhere
        return entry.stat(follow_symlinks=False)
