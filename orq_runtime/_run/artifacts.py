"""Where collected files go: content-addressed artifacts of the cache, or a folder of the caller's.

::

    <cache>/artifacts/v1/<key>/<name>    one artifact, a file or a folder; complete and read-only

The key is the digest of name and content, so that the same output of two runs is kept once. When a
run last gave it is the folder's mtime. Nothing is removed but by `clean`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from orq_runtime import _fs
from orq_runtime._digest import Digest
from orq_runtime._run.workdir import Entry, Refused, WorkFolder
from orq_runtime.model.artifact import Artifact

__all__ = ["ArtifactStore", "PlainFolder", "clean"]

_CHUNK: Final = 1 << 20


class ArtifactStore:
    """The artifacts of a cache folder. Within it, drafts lie in a folder of their own."""

    def __init__(self, cache_dir: Path) -> None:
        self._root = cache_dir / "artifacts" / "v1"
        self._scratch = _fs.scratch(cache_dir / "staging")
        self._drafts = Path()
        self._count = 0

    def __enter__(self) -> Self:
        self._drafts = self._scratch.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._scratch.__exit__(kind, error, trace)

    def file(self, work: WorkFolder, entry: Entry) -> Artifact:
        """Keep one file under its own name."""
        name = Path(entry.shown).name
        draft = self._draft()
        digest, size = _copied(work, entry, draft / name, is_sealed=True)
        key = Digest("artifact", 1).text("name", name).text("content", digest).key()
        target = self._publish(draft, key)
        return Artifact(target / name, digest=digest, size_bytes=size, kind="file")

    def folder(self, work: WorkFolder, path: str, entries: Iterable[Entry]) -> Artifact:
        """Keep a folder under its own name."""
        name = Path(path).name
        draft = self._draft()
        (draft / name).mkdir(mode=0o755)
        digest, size = Digest("artifact-folder", 1), 0
        for entry in entries:
            inside = entry.shown.removeprefix(path + "/")
            content, length = _copied(work, entry, draft / name / inside, is_sealed=True)
            digest.text("path", inside).text("content", content)
            size += length
        content = "tree:" + digest.key()
        key = Digest("artifact", 1).text("name", name).text("content", content).key()
        for folder, _, _ in os.walk(draft / name):
            Path(folder).chmod(0o555)
        target = self._publish(draft, key)
        return Artifact(target / name, digest=content, size_bytes=size, kind="folder")

    def _draft(self) -> Path:
        self._count += 1
        draft = self._drafts / str(self._count)
        draft.mkdir(mode=0o755)
        return draft

    def _publish(self, draft: Path, key: str) -> Path:
        target = self._root / key
        self._root.mkdir(parents=True, exist_ok=True)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            os.utime(target)  # its last use
        else:
            target.chmod(0o555)  # not before: a folder without its write bit cannot be moved
        return target


def clean(cache_dir: Path, *, older_than_seconds: float = 0.0) -> tuple[int, int]:
    """Remove the artifacts that no run gave for so long; how many, and their bytes.

    Whoever still needs one has put it elsewhere: nothing says that it is in use.
    """
    root = cache_dir / "artifacts" / "v1"
    latest = time.time() - older_than_seconds
    removed = freed = 0
    for target in sorted(root.iterdir()) if root.is_dir() else ():
        if target.stat().st_mtime > latest:
            continue
        freed += sum(path.lstat().st_size for path in target.rglob("*") if path.is_file())
        with _fs.scratch(cache_dir / "staging") as folder:
            target.chmod(0o700)  # a folder that is not writable cannot be moved
            target.rename(folder / target.name)
        removed += 1
    return removed, freed


class PlainFolder:
    """A folder of the caller's: files lie in it by their paths, and appear whole."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> Self:
        self._root.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        return

    def file(self, work: WorkFolder, entry: Entry) -> Artifact:
        """Keep one file, in place of one that is there."""
        target = self._root / entry.shown
        digest, size = self._put(work, entry, target)
        return Artifact(target, digest=digest, size_bytes=size, kind="file")

    def folder(self, work: WorkFolder, path: str, entries: Iterable[Entry]) -> Artifact:
        """Keep a folder's files. What else lies in a folder of that name stays."""
        target = self._root / path
        target.mkdir(parents=True, exist_ok=True)
        digest, size = Digest("artifact-folder", 1), 0
        for entry in entries:
            content, length = self._put(work, entry, self._root / entry.shown)
            digest.text("path", entry.shown.removeprefix(path + "/")).text("content", content)
            size += length
        return Artifact(target, digest="tree:" + digest.key(), size_bytes=size, kind="folder")

    def _put(self, work: WorkFolder, entry: Entry, target: Path) -> tuple[str, int]:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".orq-{os.urandom(6).hex()}")
        try:
            found = _copied(work, entry, draft, is_sealed=False)
            draft.replace(target)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
        return found


def _copied(work: WorkFolder, entry: Entry, target: Path, *, is_sealed: bool) -> tuple[str, int]:
    """Copy a file to a new one; its digest and length. Sealed: on the disk, and read-only.

    Raises `Refused` when it is longer than it was when it was looked at.
    """
    if entry.shown != entry.path:
        raise Refused(f"a name that is no UTF-8: `{entry.shown}`")
    target.parent.mkdir(parents=True, exist_ok=True)
    hashed, length = hashlib.sha256(), 0
    with work.opened(entry.path) as source, open(target, "xb") as file:
        for chunk in _chunks(source):
            length += len(chunk)
            if length > entry.size_bytes:
                raise Refused("a file that grew while it was read")
            hashed.update(chunk)
            file.write(chunk)
        if is_sealed:
            os.fchmod(file.fileno(), 0o444)
            file.flush()
            os.fsync(file.fileno())
    return "sha256:" + hashed.hexdigest(), length


def _chunks(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, _CHUNK):
        yield chunk
