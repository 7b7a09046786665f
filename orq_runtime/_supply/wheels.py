"""Wheels of our own: what they say of themselves, and a digest of what they hold.

A wheel's *content* digest covers the names and bytes of its files and not the archive around them:
building the same tree twice gives one content. `RECORD` follows from the rest, and the long
description in `METADATA` (mostly a README) changes nothing that can be imported: both stay out.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from orq_runtime import _fs
from orq_runtime._dataclass import dataclass
from orq_runtime._digest import Digest, digest_file
from orq_runtime._supply.lock import Pinned
from orq_runtime._supply.store import Store, read_json, stage_json
from orq_runtime._supply.tree import check_members
from orq_runtime.errors import BadComponent, StoreError

if TYPE_CHECKING:
    import zipfile
    from email.message import Message

__all__ = ["LocalWheel", "keep_wheel", "required_by", "stored_wheel"]

_RECIPE = 2
_LARGEST_METADATA = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalWheel:
    """A wheel in the store that was built from a component or lay in its `vendor/`.

    `content` names its folder; `digest` is of the file, as an installer checks it. `requires` are
    its `Requires-Dist` lines, `origin` says where it came from, for people. `source` is the source
    distribution of an index that it was built from, if it was.
    """

    name: str
    version: str
    content: str
    digest: str
    path: Path
    requires: tuple[str, ...]
    requires_python: str | None
    origin: str
    source: Pinned | None = None


def required_by(wheel: LocalWheel) -> Iterator[str]:
    """The canonical names of all that a wheel requires, under whatever condition."""
    for line in wheel.requires:
        with contextlib.suppress(InvalidRequirement):
            yield canonicalize_name(Requirement(line).name)


def keep_wheel(store: Store, file: Path, origin: str) -> LocalWheel:
    """Copy a wheel into the store, under its content. Raises `BadComponent` if it is no wheel."""
    with store.scratch() as scratch:
        staged = scratch / "wheel"
        staged.mkdir()
        shutil.copyfile(file, staged / file.name)
        content = _described(staged, file.name, origin)
        _fs.publish(staged, store.wheels / content)
    kept = stored_wheel(store, content, origin)
    if kept is None:
        raise StoreError(f"a wheel vanished while it was kept: `{origin}`", hint="try again")
    return kept


def _described(staged: Path, file_name: str, origin: str) -> str:
    """Write `wheel.json` beside a wheel; its content digest."""
    import zipfile  # start-up budget: only a miss needs them
    import zlib

    try:
        name, version, _, _ = parse_wheel_filename(file_name)
        with zipfile.ZipFile(staged / file_name) as archive:
            check_members(archive)
            content, digests = _content(archive, file_name)
            _check_record(archive, digests)
            headers = _metadata(archive)
    except (
        *(OSError, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError),
        *(InvalidWheelFilename, zipfile.BadZipFile, zlib.error, csv.Error),
    ) as error:
        raise BadComponent(f"not a wheel: `{origin}`: {error}") from error
    document = {
        "digest": digest_file(staged / file_name),
        "name": canonicalize_name(name),
        "version": str(version),
        "file": file_name,
        "requires": headers.get_all("Requires-Dist") or [],
        "requires_python": headers["Requires-Python"],
    }
    stage_json(staged / "wheel.json", document)
    return content


def stored_wheel(store: Store, content: str, origin: str) -> LocalWheel | None:
    """The wheel with a content, or None when the store has none (any more)."""
    document = read_json(store.wheels / content / "wheel.json")
    if document is None:
        return None
    requires = document["requires"]
    assert isinstance(requires, list)
    requires_python = document["requires_python"]
    return LocalWheel(
        name=str(document["name"]),
        version=str(document["version"]),
        content=content,
        digest=str(document["digest"]),
        path=store.wheels / content / str(document["file"]),
        requires=tuple(str(line) for line in requires),
        requires_python=None if requires_python is None else str(requires_python),
        origin=origin,
    )


def _content(archive: zipfile.ZipFile, file_name: str) -> tuple[str, dict[str, bytes]]:
    """The digest of what the wheel holds, and the SHA-256 of each file in it."""
    digests: dict[str, bytes] = {}
    digest = Digest("wheel", _RECIPE).text("file", file_name)
    for info in sorted(archive.infolist(), key=lambda item: item.filename):
        folder, _, name = info.filename.rpartition("/")
        # its own, at the top: a wheel may hold others' with all that they had (setuptools does)
        in_dist_info = folder.endswith(".dist-info") and "/" not in folder
        if info.is_dir() or (in_dist_info and name == "RECORD"):
            continue
        digest.text("name", info.filename)
        digest.text("mode", oct((info.external_attr >> 16) & 0o111))
        if in_dist_info and name == "METADATA":
            metadata = archive.read(info)
            digests[info.filename] = hashlib.sha256(metadata).digest()
            digest.texts("metadata", _significant(metadata))
            continue
        hashed = hashlib.sha256()
        with archive.open(info) as member:
            while chunk := member.read(1 << 20):
                hashed.update(chunk)
        digests[info.filename] = hashed.digest()
        digest.text("content", hashed.hexdigest())
    return digest.key(), digests


def _check_record(archive: zipfile.ZipFile, digests: Mapping[str, bytes]) -> None:
    """Raise ValueError where the wheel's own list is not true: an environment is checked by it."""
    for name in archive.namelist():
        if name.count("/") != 1 or not name.endswith(".dist-info/RECORD"):
            continue
        if archive.getinfo(name).file_size > _LARGEST_METADATA:
            raise ValueError("its RECORD is too large")
        for row in csv.reader(io.StringIO(archive.read(name).decode("utf-8"))):
            algorithm, _, text = row[1].partition("=") if len(row) > 1 else ("", "", "")
            if algorithm != "sha256" or row[0] == name:
                continue
            path = row[0]
            if path not in digests:
                raise ValueError(f"its RECORD lists what it does not have: `{path}`")
            if base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) != digests[path]:
                raise ValueError(f"its RECORD is not true of `{path}`")


def _significant(metadata: bytes) -> list[str]:
    """The header lines of a `METADATA` without the description, which may also be a header."""
    message = _parsed(metadata)
    return sorted(f"{key}: {value}" for key, value in message.items() if key != "Description")


def _metadata(archive: zipfile.ZipFile) -> Message:
    names = [
        name
        for name in archive.namelist()
        if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
    ]
    if len(names) != 1 or archive.getinfo(names[0]).file_size > _LARGEST_METADATA:
        raise ValueError("it has no METADATA")
    return _parsed(archive.read(names[0]))


def _parsed(metadata: bytes) -> Message:
    from email import message_from_bytes  # start-up budget: only a miss needs it

    return message_from_bytes(metadata)
