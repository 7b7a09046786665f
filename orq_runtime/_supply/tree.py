"""Source trees: what of a folder belongs to a build, its digest, and a private copy of it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orq_runtime._digest import Digest, digest_file
from orq_runtime.errors import BadComponent

if TYPE_CHECKING:
    import tarfile
    import zipfile

__all__ = ["check_members", "copy_tree", "digest_tree", "tree_paths", "unpack"]


_OURS = (errno.ENOSPC, errno.EDQUOT)  # the store's disk is full, and no component's fault
_RECIPE = 1
_MOST_BYTES: Final = 4 * 1024 * 1024 * 1024
_MOST_FILES: Final = 250_000
_LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", ".bzr", "CVS", "_darcs"}
    | {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".cache"}
    | {".tox", ".nox", ".venv", ".eggs", "node_modules", ".ipynb_checkpoints"}
)


def digest_tree(root: Path) -> str:
    """The digest of a tree: names, executable bits and content. Its place is not in it."""
    digest = Digest("tree", _RECIPE)
    for relative, mode in _entries(root):
        path = root / relative
        digest.raw("path", os.fsencode(relative))
        if stat.S_ISLNK(mode):
            digest.raw("link", os.fsencode(path.readlink()))
        elif stat.S_ISREG(mode):
            digest.text("file", ("x " if mode & 0o100 else "- ") + _digest(path))
    return digest.key()


def copy_tree(root: Path, target: Path) -> None:
    """Copy what belongs to a build. Links stay links; devices, pipes and sockets stay behind."""
    target.mkdir()
    for relative, mode in _entries(root):
        source, copy = root / relative, target / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            if stat.S_ISLNK(mode):
                copy.symlink_to(source.readlink())
            else:
                shutil.copyfile(source, copy, follow_symlinks=False)
                copy.chmod(0o700 if mode & 0o100 else 0o600)
        except OSError as error:
            if error.errno in _OURS:
                raise
            raise BadComponent(f"cannot read `{source}`: {error.strerror}") from error


def unpack(file: Path, target: Path, origin: str) -> Path:
    """Unpack a source distribution; the folder of its tree. Raises `BadComponent`.

    Nothing is written outside of `target`, and not more than a build may be.
    """
    import tarfile  # start-up budget: only a miss needs them
    import zipfile
    import zlib

    target.mkdir()
    try:
        if file.name.endswith(".zip"):
            with zipfile.ZipFile(file) as archive:
                check_members(archive)
                archive.extractall(target)
        else:
            with tarfile.open(file, "r:gz") as tar:
                _extract_all(tar, target)
    except (
        *(OSError, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError),
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error),
    ) as error:
        if isinstance(error, OSError) and error.errno in _OURS:
            raise
        raise BadComponent(f"not a source distribution: `{origin}`: {error}") from error
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def check_members(archive: zipfile.ZipFile) -> None:
    """Raise ValueError when an archive's members lead out of it, are links, or are too much."""
    seen: set[str] = set()
    total = 0
    for info in archive.infolist():
        name = info.filename
        total += info.file_size
        if name.startswith("/") or "\\" in info.orig_filename or ".." in name.split("/"):
            raise ValueError(f"a member leads out of it: `{name}`")
        if any(ord(letter) < 32 for letter in info.orig_filename):
            raise ValueError(f"a member's name has control characters: {name!r}")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ValueError(f"a member is a link: `{name}`")
        if name in seen:
            raise ValueError(f"two members have one name: `{name}`")
        seen.add(name)
        _check_amount(total, len(seen))


def _check_amount(total: int, files: int) -> None:
    if total > _MOST_BYTES or files > _MOST_FILES:
        raise ValueError(f"it unpacks to more than {_MOST_BYTES} bytes or {_MOST_FILES} files")


def _extract_all(tar: tarfile.TarFile, target: Path) -> None:
    total = files = 0
    for member in tar:
        total, files = total + member.size, files + 1
        _check_amount(total, files)
        _extract(tar, member, target)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """One member: files, folders and links, none of them outside of `target`.

    The standard library's own filter came with 3.11.4, and Debian 12 has 3.11.2.
    """
    root = target.resolve()
    path = root / member.name
    link = path.parent / member.linkname if member.issym() else path
    for place in (path.parent, link):  # resolved: an earlier member may be a link on the way
        if ".." in Path(member.name).parts or not place.resolve().is_relative_to(root):
            raise ValueError(f"a member leads out of it: `{member.name}`")
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        path.symlink_to(member.linkname)
    elif (content := tar.extractfile(member)) is None:
        raise ValueError(f"a member is no file, folder or link: `{member.name}`")
    else:
        with content, open(path, "xb") as file:
            shutil.copyfileobj(content, file)
        path.chmod(0o700 if member.mode & 0o100 else 0o600)


def tree_paths(root: Path) -> list[str]:
    """Every path whose stamp tells of a change in the tree: folders too, and the root."""
    return [os.fspath(root), *(f"{root}/{relative}" for relative, _ in _walk(root))]


def _entries(root: Path) -> Iterator[tuple[str, int]]:
    """Relative paths of files and links in a fixed order, with their modes."""
    return (entry for entry in _walk(root) if not stat.S_ISDIR(entry[1]))


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    """Files, links and folders; also a folder that is left out for what it holds."""
    todo = [""]
    left_files, left_bytes = _MOST_FILES, _MOST_BYTES
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(root / folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise BadComponent(f"cannot read `{root / folder}`: {error.strerror}") from error
        for entry in entries:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            status = entry.stat(follow_symlinks=False)
            mode = status.st_mode
            if _is_clutter(entry.name) or (not folder and _is_lock(entry.name)):
                continue
            left_files -= 1
            left_bytes -= status.st_size
            if left_files < 0 or left_bytes < 0:
                limits = f"{_MOST_FILES} files or {_MOST_BYTES} bytes"
                raise BadComponent(f"more than {limits} belong to a build of `{root}`")
            if stat.S_ISDIR(mode):
                yield relative, mode
                if not _is_left_out(entry, relative):
                    todo.append(relative)
            elif stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                yield relative, mode


def _is_lock(name: str) -> bool:
    """A lock at the root: it says what is beside the wheel, and is written after it was built."""
    return name == "uv.lock" or (name.startswith("pylock.") and name.endswith("toml"))


def _is_clutter(name: str) -> bool:
    """Version control and caches."""
    return name in _LEFT_OUT or name.endswith(".pyc")


def _is_left_out(entry: os.DirEntry[str], relative: str) -> bool:
    """Virtual environments and what earlier builds left."""
    if entry.name.endswith(".egg-info") or os.path.lexists(os.path.join(entry.path, "pyvenv.cfg")):  # noqa: PTH118 - entry.path is a text
        return True
    if relative == "build":
        names = [path.name for path in Path(entry.path).iterdir()]
        return any(name == "lib" or name.startswith(("lib.", "bdist.")) for name in names)
    return relative == "dist"


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError as error:
        raise BadComponent(f"cannot read `{path}`: {error.strerror}") from error
