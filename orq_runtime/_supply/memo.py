"""Answers remembered: the same declarations, byte for byte, have the same environment.

Rules of this file:

1. What it cannot see whole it does not remember: options in a requirements file (they name other
   files), vendored files, find-links, links, more than one script block.
2. An answer counts only while the environment, the support layer and the interpreter it names are
   as they were. The keys of the store are made elsewhere: losing a memo loses nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from orq_runtime import __version__
from orq_runtime._digest import Digest
from orq_runtime._supply.store import Store, read_json, write_json
from orq_runtime.errors import BadComponent, StoreError
from orq_runtime.model.environment import (
    Component,
    Environment,
    Interpreter,
    LockedPackage,
    SupplyRequest,
)
from orq_runtime.settings import Settings

__all__ = ["Memo"]

_RECIPE = 2
_PACKAGE_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_BLOCK_START, _BLOCK_END = b"# /// script", b"\n# ///"


class _Unseen(Exception):
    """Something that counts cannot be seen whole from here."""


class Memo:
    """Keys of requests, and the environments they were answered with."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def key(self, request: SupplyRequest) -> str | None:
        """The key of a request, or None for one that is not remembered."""
        settings = self._settings
        if settings.find_links:
            return None
        digest = Digest("memo", _RECIPE).text("version", __version__).text("host", sys.version)
        try:
            for component in request.components:
                _add_component(digest, component)
            for script in request.scripts:
                digest.raw("script", _block(_bytes(script)))
        except (_Unseen, OSError, BadComponent):
            return None
        digest.texts("requirements", request.requirements)
        digest.text("python", request.python or settings.python or _host_identity())
        digest.text("path", settings.tool_environment.get("PATH", ""))
        digest.texts("index", (settings.default_index or "", *settings.index))
        return digest.text("exclude_newer", settings.exclude_newer or "").key()

    def recall(self, key: str) -> Environment | None:
        """The environment, if all that the answer names is there and unchanged."""
        document = read_json(self._file(key))
        if document is None:
            return None
        try:
            environment = _environment(document["environment"])
        except (KeyError, TypeError, ValueError):  # written by another version
            return None
        is_whole = (environment.path / "orq.json").is_file() and environment.support.is_dir()
        if not is_whole or document.get("interpreter") != _identity(environment.interpreter.path):
            return None
        return environment

    def keep(self, key: str, environment: Environment) -> None:
        """Remember an answer. A store that cannot be written remembers nothing."""
        document = {
            "environment": _document(environment),
            "interpreter": _identity(environment.interpreter.path),
        }
        try:
            write_json(self._file(key), document)
        except (OSError, StoreError):
            return

    def _file(self, key: str) -> Path:
        return self._store.memos / f"{key}.json"


def _add_component(digest: Digest, component: Component) -> None:
    root = component.path
    if os.path.lexists(root / "vendor"):
        raise _Unseen
    names = [name for name in _PACKAGE_FILES if os.path.lexists(root / name)]
    if names:
        from orq_runtime._supply.tree import digest_tree  # start-up budget: for packages only

        digest.text("tree", digest_tree(root))
    if os.path.lexists(root / "requirements.txt"):
        content = _bytes(root / "requirements.txt")
        if any(line.lstrip().startswith(b"-") for line in content.splitlines()):
            raise _Unseen
        digest.raw("requirements.txt", content)
    digest.text("component", " ".join(names))


def _bytes(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise _Unseen
    return path.read_bytes()


def _block(source: bytes) -> bytes:
    start = source.find(_BLOCK_START)
    if start < 0:
        return b""
    end = source.find(_BLOCK_END, start)
    if end < 0 or source.find(_BLOCK_START, end) >= 0 or b"\r" in source[start:end]:
        raise _Unseen
    return source[start:end]


def _host_identity() -> str:
    return _identity(Path(getattr(sys, "_base_executable", None) or sys.executable))


def _identity(python: Path) -> str:
    try:
        status = python.stat()
    except OSError:
        return "gone"
    return f"{python} {status.st_size} {status.st_mtime_ns}"


def _document(environment: Environment) -> dict[str, object]:
    document = asdict(environment)
    document.pop("origin")
    for name in ("path", "python", "site_packages", "support"):
        document[name] = str(document[name])
    interpreter = environment.interpreter
    document["interpreter"] = {
        **asdict(interpreter),
        "path": str(interpreter.path),
        "prefix": str(interpreter.prefix),
    }
    return document


def _environment(document: object) -> Environment:
    if not isinstance(document, Mapping):
        raise TypeError("not an environment")
    values = dict(document)
    found = dict(values["interpreter"])
    found.update(path=Path(found["path"]), prefix=Path(found["prefix"]))
    found["version"] = tuple(found["version"])
    values["interpreter"] = Interpreter(**found)
    for name in ("path", "python", "site_packages", "support"):
        values[name] = Path(values[name])
    values["lock"] = tuple(
        LockedPackage(**{**item, "digests": tuple(item["digests"])}) for item in values["lock"]
    )
    values["modules"] = tuple(values["modules"])
    values["local_modules"] = tuple(values["local_modules"])
    return Environment(**values)
