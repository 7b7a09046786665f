"""From a spec (everything declared) to a lock (every distribution, pinned and hashed).

Rules of this file:

1. A spec's key takes what is declared, never where it stands: order, comments and folders are not
   in it. Index URLs enter as a digest, so that credentials are not kept.
2. Local wheels enter by content, and the resolution as direct references: no version on any index
   beats them.
3. A lock is made once per spec and kept; a source distribution never runs here (`--no-build`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from orq_runtime._digest import Digest
from orq_runtime._supply.requirements import Declared
from orq_runtime._supply.store import Store, read_json, write_json
from orq_runtime._supply.uv import Uv
from orq_runtime._supply.wheels import LocalWheel
from orq_runtime.errors import ResolutionFailed, SupplyError
from orq_runtime.events import Event, Sink
from orq_runtime.model.environment import Interpreter, LockedPackage
from orq_runtime.settings import Settings

__all__ = ["Lock", "Pinned", "Resolver", "Spec", "identify", "index_digest"]

_RECIPE = 1
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)")
_DIRECT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*) @ ")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Everything that is asked of one environment. `index_digest` stands for the user's indexes.

    `beaten` are names that some metadata requires by URL and a local wheel provides instead.
    """

    requirements: tuple[Declared, ...]
    constraints: tuple[Declared, ...]
    local: tuple[LocalWheel, ...]
    interpreter: Interpreter
    index_digest: str
    exclude_newer: str | None
    beaten: tuple[str, ...] = ()

    def digest(self) -> Digest:
        """The digest whose key names the lock."""
        digest = Digest("spec", _RECIPE)
        digest.texts("requirements", sorted({item.key_line for item in self.requirements}))
        digest.texts("constraints", sorted({item.key_line for item in self.constraints}))
        digest.texts("local", sorted(f"{item.name} {item.content}" for item in self.local))
        identify(digest, self.interpreter)
        digest.text("index", self.index_digest)
        digest.text("exclude_newer", self.exclude_newer or "")
        return digest

    @property
    def direct(self) -> tuple[str, ...]:
        """Names of the distributions that are asked for by name."""
        names = {item.name for item in self.requirements} | {wheel.name for wheel in self.local}
        return tuple(sorted(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One distribution of a lock. `content` is a local wheel's; `digests` may be installed."""

    name: str
    version: str
    digests: tuple[str, ...]
    content: str | None = None

    @property
    def package(self) -> LockedPackage:
        """As the rest of the library sees it."""
        return LockedPackage(
            name=self.name,
            version=self.version,
            digests=self.digests if self.content is None else (f"content:{self.content}",),
            local=self.content is not None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The distributions of an environment, sorted by name. `direct` are those asked for by name."""

    packages: tuple[Pinned, ...]
    direct: tuple[str, ...]


def identify(digest: Digest, interpreter: Interpreter) -> None:
    """Add what makes two interpreters the same for an installed environment."""
    digest.text("implementation", interpreter.implementation)
    digest.texts("python", [str(part) for part in interpreter.version])
    digest.text("soabi", interpreter.soabi)
    digest.text("platform", interpreter.platform)
    digest.text("libc", interpreter.libc)
    digest.raw("base", bytes(interpreter.path))


class Resolver:
    """Gives a spec its lock: from the store, or by uv, once."""

    def __init__(self, *, settings: Settings, store: Store, uv: Uv, sink: Sink) -> None:
        self._settings = settings
        self._store = store
        self._uv = uv
        self._sink = sink

    def known(self, spec: Spec) -> Lock | None:
        """The lock that the store has for the spec; starts nothing."""
        return self._read(spec.digest().key())

    def resolve(self, spec: Spec, *, cached_first: bool = False) -> Lock:
        """The lock of the spec. Blocks. Raises `ResolutionFailed` with uv's reason.

        `cached_first` takes what uv's cache has if that solves it, without asking an index.
        """
        digest = spec.digest()
        key = digest.key()
        if lock := self._read(key):
            return lock
        waiting = Event(phase="wait", state="started", subject=key, message="another is resolving")
        with self._store.exclusively("lock", key, on_wait=lambda: self._sink(waiting)):
            if lock := self._read(key):
                return lock
            lock = self._asked(spec, cached_first=cached_first)
            document = _document(lock)
            document["preimage"] = digest.preimage()
            write_json(self._store.locks / f"{key}.json", document)
            return lock

    def _read(self, key: str) -> Lock | None:
        document = read_json(self._store.locks / f"{key}.json")
        return None if document is None else _lock(document)

    def _asked(self, spec: Spec, *, cached_first: bool) -> Lock:
        own = [
            Pinned(name=w.name, version=w.version, digests=(), content=w.content)
            for w in spec.local
        ]
        if not spec.requirements and not any(wheel.requires for wheel in spec.local):
            return Lock(packages=tuple(sorted(own, key=lambda p: p.name)), direct=spec.direct)
        count = len({item.name for item in spec.requirements})
        self._sink(Event(phase="resolve", state="started", total=count))
        with self._store.scratch() as scratch:
            text = self._compile(spec, scratch, cached_first=cached_first)
        packages = _merge(_parse(text), own, spec.requirements)
        self._sink(Event(phase="resolve", state="done", done=len(packages), total=len(packages)))
        return Lock(packages=packages, direct=spec.direct)

    def _compile(self, spec: Spec, scratch: Path, *, cached_first: bool) -> str:
        wanted = [item.line for item in spec.requirements]
        wanted += [f"{wheel.name} @ {wheel.path.as_uri()}" for wheel in spec.local]
        wins = [f"{w.name} @ {w.path.as_uri()}" for w in spec.local if w.name in spec.beaten]
        limits = [item.line for item in spec.constraints]
        arguments = ["pip", "compile", _listed(scratch / "wanted.in", wanted)]
        if limits:
            arguments += ["--constraints", _listed(scratch / "limits.in", limits)]
        if wins:
            arguments += ["--overrides", _listed(scratch / "wins.in", wins)]
        arguments += ["--output-file", str(scratch / "lock.txt")]
        arguments += ["--python", str(spec.interpreter.path), "--generate-hashes", "--no-build"]
        arguments += ["--no-header", "--no-annotate", "--no-config", "--no-sources"]
        if spec.exclude_newer:
            arguments += ["--exclude-newer", spec.exclude_newer]
        try:
            if cached_first:
                self._uv.run_cached_first("resolve", arguments)
            else:
                self._uv.run("resolve", arguments, indexes=True)
        except SupplyError as error:
            raise _named(error, spec, scratch) from error.__cause__
        return (scratch / "lock.txt").read_text("utf-8")


def _listed(file: Path, lines: Iterable[str]) -> str:
    file.write_text("".join(f"{line}\n" for line in sorted(set(lines))), "utf-8")
    return str(file)


def _parse(text: str) -> list[Pinned]:
    """The pins that uv wrote: one logical line each, hashes behind it."""
    found: list[Pinned] = []
    for line in text.replace("\\\n", " ").splitlines():
        if pin := _PIN.match(line):
            found.append(
                Pinned(
                    name=canonicalize_name(pin["name"]),
                    version=pin["version"],
                    digests=tuple(sorted(_HASH.findall(line))),
                )
            )
        elif line.strip() and not _DIRECT.match(line) and not line.lstrip().startswith("#"):
            raise ResolutionFailed(f"uv wrote a lock line that is not known: `{line.strip()}`")
    return found


def _merge(
    found: Sequence[Pinned], own: Sequence[Pinned], requirements: Iterable[Declared]
) -> tuple[Pinned, ...]:
    """Local wheels beside the index's, declared hashes applied, sorted."""
    declared_hashes: dict[str, set[str]] = {}
    for line in requirements:
        if line.hashes:
            declared_hashes.setdefault(line.name, set()).update(line.hashes)
    local = {item.name for item in own}
    merged = list(own)
    for item in found:
        if item.name in local:
            continue
        digests = item.digests
        if allowed := declared_hashes.get(item.name):
            digests = tuple(digest for digest in digests if digest in allowed)
        if not digests:
            raise ResolutionFailed(
                f"no file of `{item.name}=={item.version}` has a hash that its requirement allows",
                hint="correct the `--hash` in the declaration",
            )
        merged.append(Pinned(name=item.name, version=item.version, digests=digests))
    return tuple(sorted(merged, key=lambda item: item.name))


def _named(error: SupplyError, spec: Spec, scratch: Path) -> SupplyError:
    """The error with the places that declared what its reason names."""
    reason = error.message.replace(f"{scratch}/", "")
    if not isinstance(error, ResolutionFailed):
        return type(error)(reason, hint=error.hint)
    words = {canonicalize_name(word) for word in _WORD.findall(reason)}
    places = [
        f"  `{item.line}` is declared in {item.origin}"
        for item in (*spec.requirements, *spec.constraints)
        if item.name in words
    ]
    for wheel in spec.local:
        for line in wheel.requires:
            name = _WORD.match(line)
            if name and canonicalize_name(name[0]) in words:
                places.append(f"  `{line}` is declared by `{wheel.name}` ({wheel.origin})")
    return type(error)("\n".join([reason, *dict.fromkeys(places)]), hint=error.hint)


def index_digest(settings: Settings) -> str:
    """What stands for the user's indexes in a key. Folders count with what they list."""
    digest = Digest("index", _RECIPE)
    digest.raw("default", (settings.default_index or "").encode())
    for url in settings.index:
        digest.raw("index", url.encode())
    for place in settings.find_links:
        digest.raw("find_links", place.encode())
        folder = Path(place)
        if "://" not in place and folder.is_dir():
            for path in sorted(folder.iterdir()):
                status = path.stat()
                listed = f"{path.name} {status.st_size} {status.st_mtime_ns}"
                digest.raw("listed", listed.encode("utf-8", "surrogateescape"))
    return digest.key()


def _document(lock: Lock) -> dict[str, object]:
    return {
        "direct": list(lock.direct),
        "packages": [
            {
                "name": item.name,
                "version": item.version,
                "digests": list(item.digests),
                "content": item.content,
            }
            for item in lock.packages
        ],
    }


def _lock(document: Mapping[str, object]) -> Lock:
    packages, direct = document["packages"], document["direct"]
    assert isinstance(packages, list)
    assert isinstance(direct, list)
    return Lock(
        packages=tuple(
            Pinned(
                name=item["name"],
                version=item["version"],
                digests=tuple(item["digests"]),
                content=item["content"],
            )
            for item in packages
        ),
        direct=tuple(direct),
    )
