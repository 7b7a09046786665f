"""What an environment must hold: told when it is made, looked at when somebody doubts it.

Rules of this file:

1. Files that a distribution's RECORD lists with a digest are vouched for by it. All others, the
   RECORDs themselves and bytecode included, are digested when the folder is made: `files.json`.
2. A RECORD is believed once it was found to be true, before the folder is published: one that lies
   would have its files found tampered with later, and files that were edited in uv's cache, which
   every environment shares, would go on from there.
3. A published folder has these files and no other, and none that may be written.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from orq_runtime._supply.store import read_json, stage_json

__all__ = ["defects", "false_records", "write_manifest"]

_NAME = "files.json"
_RECORD = ".dist-info/RECORD"
_BYTECODE = "/__pycache__/"


def write_manifest(root: Path) -> None:
    """Write down what no RECORD vouches for. The last thing before a folder is published."""
    recorded = _recorded(root)
    own = {
        name: _digest(root / name, mode)
        for name, mode in _entries(root)
        if name not in recorded or name.endswith(_RECORD) or not stat.S_ISREG(mode)
    }
    stage_json(root / _NAME, {"files": own})


def false_records(root: Path) -> dict[str, str]:
    """The distributions whose RECORD is not true of one of their files, and that file of each.

    By the names of their folders. Reads everything that is listed with a digest; blocks.
    """
    found: dict[str, str] = {}
    for name, (digest, distribution) in _listed(root).items():
        if distribution not in found and not _is_true(root, name, digest):
            found[distribution] = name
    return found


def _is_true(root: Path, name: str, digest: str) -> bool:
    if name.startswith(("../", "/")):  # nothing out there is of the environment, nor read
        return False
    try:
        return _digest(root / name, (root / name).lstat().st_mode) == digest
    except OSError:
        return False


def defects(root: Path) -> list[str]:
    """What is not as it was made: one sentence for each file. Reads everything; blocks."""
    document = read_json(root / _NAME)
    own = document.get("files") if document else None
    if not isinstance(own, dict):
        return [f"not there, or not readable: {_NAME}"]
    expected = {**_recorded(root), **own}
    found: list[str] = []
    for name, mode in _entries(root):
        wanted = expected.pop(name, None)
        if wanted is None:
            found.append(f"of nobody: {name}")
        elif _digest(root / name, mode) != wanted:
            found.append(f"changed: {name}")
        if mode & 0o222 and not stat.S_ISLNK(mode):
            found.append(f"can be written: {name}")
    return [*found, *(f"gone: {name}" for name in sorted(expected))]


def _recorded(root: Path) -> dict[str, str]:
    """The digests in the RECORDs, by path."""
    return {name: digest for name, (digest, _) in _listed(root).items()}


def _listed(root: Path) -> dict[str, tuple[str, str]]:
    """The digests in the RECORDs and whose each is, by path.

    Without what several of them list, and without bytecode: that is made here.
    """
    found: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for site in (root, *root.glob("lib/python*/site-packages")):
        for record in sorted(site.glob(f"*{_RECORD}")):
            for name, digest in _rows(record):
                path = os.path.normpath(site.relative_to(root) / name)
                if path in seen:
                    found.pop(path, None)
                elif digest is not None and _BYTECODE not in path:
                    found[path] = (digest, record.parent.name)
                seen.add(path)
    return found


def _rows(record: Path) -> Iterator[tuple[str, str | None]]:
    with open(record, encoding="utf-8", errors="surrogateescape", newline="") as file:
        for row in csv.reader(file):
            if len(row) < 2:
                continue
            kind, _, text = row[1].partition("=")
            yield row[0], _hex(text) if kind == "sha256" else None


def _hex(text: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
    except ValueError:
        return None


def _entries(root: Path) -> Iterator[tuple[str, int]]:
    """All that is under a folder but its own list: paths and modes, links not followed."""
    todo = [""]
    while todo:
        folder = todo.pop()
        with os.scandir(root / folder) as listing:
            for entry in listing:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if name == _NAME:
                    continue
                mode = entry.stat(follow_symlinks=False).st_mode
                yield name, mode
                if stat.S_ISDIR(mode):
                    todo.append(name)


def _digest(path: Path, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return f"link {os.fsdecode(path.readlink())}"
    if stat.S_ISDIR(mode):
        return "folder"
    if not stat.S_ISREG(mode):
        return "special"
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
