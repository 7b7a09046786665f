"""`pylock.toml` (PEP 751), read and written: what uv resolves into, what a component may hold.

Nothing in a lock is taken as it is written: a name, a version, a file's name and a hash are what
they must be, or the lock is none. A line for uv can be made of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.utils import canonicalize_name
from packaging.version import Version

from orq_runtime._dataclass import dataclass
from orq_runtime._supply.files import read_toml
from orq_runtime._supply.lock import Pinned
from orq_runtime.errors import BadComponent

__all__ = [
    "LocalPlace",
    "LockEntry",
    "LockFile",
    "LockedFile",
    "bare_url",
    "checked_digest",
    "checked_file",
    "checked_name",
    "checked_version",
    "preferences_text",
    "pylock_text",
    "read_pylock",
]

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
_HASHES = ("sha256", "sha384", "sha512")
_LOCAL = ("directory", "archive", "vcs")
_TOOL = "orq-runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One file of a locked distribution. `digests` are `algorithm:hex`."""

    name: str
    url: str
    size: int
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEntry:
    """One package of a lock file. `is_local` marks a folder, an archive or a checkout."""

    name: str
    version: str
    marker: str
    files: tuple[LockedFile, ...]
    is_local: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """A lock file. `declared` says, in one of ours, what it was made from and for."""

    origin: str
    entries: tuple[LockEntry, ...]
    declared: str | None = None
    python: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlace:
    """Where something local lies, relative to its lock. An archive has a digest, a folder none."""

    path: str
    digest: str


def read_pylock(text: str, origin: str) -> LockFile:
    """The lock file. Raises `BadComponent` where it is not what PEP 751 says."""
    try:
        document: Any = read_toml(text)  # what is in it is looked at below
        if not str(document["lock-version"]).startswith("1."):
            raise BadComponent(f"{origin}: unknown lock version: `{document['lock-version']}`")
        entries = tuple(_entry(table) for table in document.get("packages", []))
        own = document.get("tool", {}).get(_TOOL, {})
        return LockFile(
            origin=origin,
            entries=entries,
            declared=own.get("declared"),
            python=str(own.get("python", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadComponent(
            f"{origin}: not a lock file: {type(error).__name__}: {error}",
            hint="see PEP 751; `supply --lock` writes one",
        ) from error


def _entry(table: Mapping[str, object]) -> LockEntry:
    files = [
        *_tables(table.get("wheels", [])),
        *_tables([table[k] for k in ("sdist",) if k in table]),
    ]
    return LockEntry(
        name=checked_name(table["name"]),
        version=checked_version(table.get("version", "")),
        marker=str(table.get("marker", "")),
        files=tuple(_file(file) for file in files),
        is_local=any(kind in table for kind in _LOCAL),
    )


def _tables(value: object) -> Sequence[Mapping[str, object]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TypeError("not a list of tables")
    return value


def _file(table: Mapping[str, object]) -> LockedFile:
    url = str(table.get("url") or table.get("path") or "")
    hashes = table["hashes"]
    if not isinstance(hashes, dict):
        raise TypeError("`hashes` is not a table")
    size = table.get("size", 0)
    return LockedFile(
        name=checked_file(table.get("name") or unquote(PurePosixPath(urlsplit(url).path).name)),
        url=url,
        size=size if isinstance(size, int) else 0,
        digests=tuple(
            checked_digest(f"{kind}:{hashes[kind]}") for kind in _HASHES if kind in hashes
        ),
    )


def checked_name(value: object) -> str:
    """The canonical name of a distribution. Raises ValueError for what is none."""
    return canonicalize_name(str(value), validate=True)


def checked_version(value: object) -> str:
    """A version, or nothing. Raises ValueError for what is neither."""
    return str(Version(str(value))) if value else ""


def checked_file(value: object) -> str:
    """The name of a file. Raises ValueError for what is a path, or no name that an index has."""
    name = str(value)
    if name and not _FILE.fullmatch(name):
        raise ValueError(f"not the name of a distribution's file: `{name}`")
    return name


def checked_digest(value: object) -> str:
    """An algorithm and hex digits. Raises ValueError for anything else."""
    text = str(value)
    if not _DIGEST.fullmatch(text):
        raise ValueError(f"not a hash: `{text}`")
    return text


def bare_url(url: str) -> str:
    """A URL without what may be a credential: user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def preferences_text(pins: Iterable[Pinned]) -> str:
    """A lock of names and versions only: a resolver that finds it keeps to it where it can."""
    lines = ['lock-version = "1.0"', 'created-by = "orq-runtime"']
    for pin in pins:
        lines += ["[[packages]]", f"name = {_quoted(pin.name)}"]
        lines += [f"version = {_quoted(pin.version)}"]
    return "\n".join([*lines, ""])


def pylock_text(
    pins: Iterable[Pinned], *, python: str, declared: str, local: Mapping[str, LocalPlace]
) -> str:
    """The lock as `pylock.toml`. `local` says where the local distributions among the pins lie."""
    lines = [
        "# Made by `orq-runtime supply --lock`; make it anew rather than edit it.",
        'lock-version = "1.0"',
        'created-by = "orq-runtime"',
    ]
    pinned = sorted(pins, key=lambda item: item.name)
    if not pinned:
        lines.append("packages = []")
    for pin in pinned:
        lines += ["", "[[packages]]", f"name = {_quoted(pin.name)}"]
        lines += [f"version = {_quoted(pin.version)}"]
        lines += [_local(local[pin.name]) if pin.name in local else _index(pin)]
    lines += ["", f"[tool.{_TOOL}]", f"declared = {_quoted(declared)}"]
    return "\n".join([*lines, f"python = {_quoted(python)}", ""])


def _local(place: LocalPlace) -> str:
    if not place.digest:
        return f"directory = {{ path = {_quoted(place.path)} }}"
    return f"archive = {{ path = {_quoted(place.path)}, hashes = {{ {_hashes([place.digest])} }} }}"


def _index(pin: Pinned) -> str:
    parts = [f"name = {_quoted(pin.file)}"] if pin.file else []
    parts += [f"url = {_quoted(pin.url)}"] if pin.url else []
    parts += [f"size = {pin.size}"] if pin.size else []
    table = ", ".join([*parts, f"hashes = {{ {_hashes(pin.digests)} }}"])
    is_wheel = not pin.file or pin.file.endswith(".whl")
    return f"wheels = [{{ {table} }}]" if is_wheel else f"sdist = {{ {table} }}"


def _hashes(digests: Iterable[str]) -> str:
    parts = (digest.partition(":") for digest in digests)
    return ", ".join(f"{kind} = {_quoted(value)}" for kind, _, value in parts)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # a TOML basic string
