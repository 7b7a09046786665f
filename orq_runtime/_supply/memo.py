"""Answers remembered, in two ways, each of them without a parser of requirements.

Rules of this file:

1. By place: the same request, and every path behind it bears the stamps that it had (`seen`). That
   holds for any request, and needs no content to be read.
2. By content: the same declarations, byte for byte, wherever they lie. What cannot be seen whole is
   not remembered so: options in a requirements file (they name other files), vendored files,
   find-links, links, more than one script block.
3. An answer counts only while the environment, the support layer and the interpreter it names are
   as they were. The keys of the store are made elsewhere: losing a memo loses nothing.
4. A memo holds what it is of; another request with its key, if there could be one, is none of its.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from orq_runtime import __version__, _fs
from orq_runtime._dataclass import asdict, dataclass, replace
from orq_runtime._digest import Digest, is_preimage
from orq_runtime._supply.seen import (
    LOCKING,
    PACKAGING,
    Glance,
    Stamp,
    is_settled,
    paths_behind,
    stamps,
)
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

__all__ = ["Memo", "Remembered"]

_RECIPE = 3
_MOST_IN_MEMORY = 512
_LARGEST = 4 << 20  # as of any declaration: whoever reads it whole says what is wrong with it
_BLOCK_START, _BLOCK_END = b"# /// script", b"\n# ///"


class _Unseen(Exception):
    """Something that counts cannot be seen whole from here."""


@dataclass(slots=True, kw_only=True)
class Remembered:
    """An answer by place. `paths` have had `seen` when it was read."""

    paths: list[str]
    seen: list[Stamp]
    environment: Environment
    interpreter: str

    def holds(self) -> bool:
        """Whether nothing that it was made from has changed, and all that it names is there."""
        return stamps(self.paths) == self.seen and _is_whole(self.environment, self.interpreter)

    def glance(self, more: Iterable[str]) -> Glance:
        """What tells that it holds still, if it holds now; and that `more` is as it is now."""
        environment = self.environment
        python = os.fspath(environment.interpreter.path)
        named = [*_complete(environment), python, os.path.realpath(python)]
        return Glance([*more, *self.paths, *named])


class Memo:
    """Keys of requests, and the environments they were answered with. Safe for several threads."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._at_hand: dict[SupplyRequest, Remembered] = {}

    def recall(self, request: SupplyRequest) -> Environment | None:
        """The environment of the request, if nothing that counts has changed."""
        if request.freshness.is_new:
            return None
        if environment := self._unchanged(request):
            return environment
        place = self._place_digest(request)
        read_ns = time.time_ns()
        content = self._content_key(request)
        environment = None if content is None else self._with_content(content)
        if environment is not None:
            self._keep_by_place(place, request, environment, (), read_ns)
        return environment

    def at_hand(self, request: SupplyRequest) -> Remembered | None:
        """What this process was answered before, whether it holds or not. Does not block."""
        return None if request.freshness.is_new else self._at_hand.get(request)

    def keep(
        self,
        request: SupplyRequest,
        environment: Environment,
        included: Iterable[Path],
        read_ns: int,
    ) -> None:
        """Remember an answer whose declarations were read since `read_ns` of the clock.

        `included` are files that they name. A store that cannot be written remembers nothing.
        """
        place = self._place_digest(request)
        if self._keep_by_place(place, request, environment, included, read_ns):
            content = self._content_key(request)
            if content is not None:
                self._write(content, self._answer(environment))

    def _unchanged(self, request: SupplyRequest) -> Environment | None:
        answer = self._at_hand.get(request)
        if answer is None:
            place = self._place_digest(request)
            answer = self._read_by_place(place.key(), place)
            if answer is None:
                return None
            self._at_hand[request] = answer
        return answer.environment if answer.holds() else None

    def _read_by_place(self, key: str, place: Digest) -> Remembered | None:
        document = read_json(self._file(key))
        if document is None or not is_preimage(document.get("preimage"), place):
            return None
        try:
            paths, seen = document["paths"], document["seen"]
            assert isinstance(paths, list)
            assert isinstance(seen, list)
            return Remembered(
                paths=paths,
                seen=[None if stamp is None else tuple(stamp) for stamp in seen],
                environment=_environment(document["environment"]),
                interpreter=str(document["interpreter"]),
            )
        except (AssertionError, KeyError, TypeError, ValueError):  # written by another version
            return None

    def _keep_by_place(
        self,
        place: Digest,
        request: SupplyRequest,
        environment: Environment,
        included: Iterable[Path],
        read_ns: int,
    ) -> bool:
        """Whether nothing changed while it was read, nor just before: else it is not kept."""
        try:
            paths = paths_behind(request, find_links=self._settings.find_links, included=included)
        except BadComponent:
            return False
        seen = stamps(paths)
        if not is_settled(seen, read_ns):
            return False
        key = place.key()
        answer = self._answer(environment)
        environment = replace(environment, origin="hit")
        while len(self._at_hand) >= _MOST_IN_MEMORY:
            self._at_hand.pop(next(iter(self._at_hand)), None)
        self._at_hand[request] = Remembered(
            paths=paths,
            seen=seen,
            environment=environment,
            interpreter=str(answer["interpreter"]),
        )
        answer.update(paths=paths, seen=seen, preimage=place.preimage())
        self._write(key, answer)
        return True

    def _with_content(self, key: str) -> Environment | None:
        document = read_json(self._file(key))
        if document is None:
            return None
        try:
            environment = _environment(document["environment"])
        except (KeyError, TypeError, ValueError):  # written by another version
            return None
        return environment if _is_whole(environment, document.get("interpreter")) else None

    def _place_digest(self, request: SupplyRequest) -> Digest:
        digest = Digest("request", _RECIPE)
        digest.texts("components", [os.fspath(item.path) for item in request.components])
        digest.texts("scripts", [os.fspath(path) for path in request.scripts])
        self._add_asked(digest, request)
        for place in self._settings.find_links:
            digest.raw("find_links", place.encode())
        return digest

    def _content_key(self, request: SupplyRequest) -> str | None:
        """The key of what the request declares, or None where that is not seen whole."""
        if self._settings.find_links:
            return None
        digest = Digest("memo", _RECIPE)
        try:
            for component in request.components:
                _add_component(digest, component)
            for script in request.scripts:
                digest.raw("script", _block(_bytes(script)))
                if any(script.parent.glob("pylock.*.toml")):
                    raise _Unseen
        except (_Unseen, OSError, BadComponent):
            return None
        self._add_asked(digest, request)
        return digest.key()

    def _add_asked(self, digest: Digest, request: SupplyRequest) -> None:
        settings = self._settings
        digest.text("version", __version__).text("host", sys.version)
        digest.texts("requirements", request.requirements)
        digest.text("python", request.python or settings.python or _host_identity())
        digest.text("path", settings.tool_environment.get("PATH", ""))
        digest.text("lock_mode", settings.lock_mode)
        digest.texts("allow_build", settings.allow_build)
        digest.text("exclude_newer", settings.exclude_newer or "")
        digest.text("compile", settings.compile)
        for url in (settings.default_index or "", *settings.index):
            digest.raw("index", url.encode())

    def _answer(self, environment: Environment) -> dict[str, object]:
        return {
            "environment": _document(environment),
            "interpreter": _identity(environment.interpreter.path),
        }

    def _write(self, key: str, document: Mapping[str, object]) -> None:
        with contextlib.suppress(OSError, StoreError):
            write_json(self._file(key), document)

    def _file(self, key: str) -> Path:
        return self._store.memos / f"{key}.json"


def _is_whole(environment: Environment, interpreter: object) -> bool:
    """Whether the environment is there, and the interpreter as it was when it was described."""
    if not all(os.access(path, os.F_OK) for path in _complete(environment)):
        return False
    return interpreter == _identity(environment.interpreter.path)


def _complete(environment: Environment) -> tuple[str, str]:
    """What is there when all of it is."""
    return f"{environment.path}/orq.json", f"{environment.support}"


def _add_component(digest: Digest, component: Component) -> None:
    root = component.path
    if os.path.lexists(root / "vendor"):
        raise _Unseen
    for name in LOCKING:
        if os.path.lexists(root / name):
            digest.raw(name, _bytes(root / name))
    names = [name for name in PACKAGING if os.path.lexists(root / name)]
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
    if path.is_symlink():
        raise _Unseen
    return _fs.read_regular(path, _LARGEST)


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
