"""From a spec (everything declared) to a lock (every distribution, pinned and hashed).

Rules of this file:

1. A spec's key takes what is declared, never where it stands: order, comments and folders are not
   in it. Index URLs enter as a digest, so that credentials are not kept.
2. Local wheels enter by what they require, and the resolution as direct references: no version on
   any index beats them. A lock in the store is of the others; the local ones join it as they are.
3. A lock is made once per spec and kept until a newer one is asked for; a source distribution never
   runs here (`--no-build`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from orq_runtime._dataclass import dataclass, replace
from orq_runtime._digest import Digest, is_preimage
from orq_runtime._supply.failures import is_remembered, remembered_failure
from orq_runtime._supply.lock import Lock, Pinned, lock_document, lock_of
from orq_runtime._supply.pylock import bare_url, preferences_text, read_pylock
from orq_runtime._supply.requirements import Declared
from orq_runtime._supply.store import Store, read_json, write_json
from orq_runtime._supply.uv import Uv
from orq_runtime._supply.waiting import exclusively
from orq_runtime._supply.wheels import LocalWheel
from orq_runtime.errors import IndexUnavailable, ResolutionFailed, SupplyError
from orq_runtime.events import Event, Sink
from orq_runtime.model.environment import Freshness, Interpreter
from orq_runtime.settings import Settings

__all__ = ["Resolver", "Spec", "cure_of", "declared_by", "identify", "with_local"]

_RECIPE = 2
_AS_BEFORE = Freshness()
# names of modules, and of placeholders on indexes, with the distribution that people mean by them
_MEANT: Mapping[str, str] = {
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "cv2": "opencv-python-headless",
    "pil": "pillow",
    "yaml": "pyyaml",
    "dateutil": "python-dateutil",
    "bs4": "beautifulsoup4",
}
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Everything that is asked of one environment. `index_digest` stands for the user's indexes.

    `pins` are what the locks among the declarations hold to. `beaten` are names that some metadata
    requires by URL and a local wheel provides instead.
    """

    requirements: tuple[Declared, ...]
    constraints: tuple[Declared, ...]
    local: tuple[LocalWheel, ...]
    interpreter: Interpreter
    index_digest: str
    exclude_newer: str | None
    pins: tuple[Declared, ...] = ()
    beaten: tuple[str, ...] = ()

    def digest(self) -> Digest:
        """The digest whose key names the lock."""
        digest = Digest("spec", _RECIPE)
        self._add_declared(digest)
        digest.texts("pins", sorted({item.key_line for item in self.pins}))
        identify(digest, self.interpreter)
        digest.text("base", os.fsdecode(self.interpreter.path))
        return digest.text("index", self.index_digest)

    @property
    def declared_key(self) -> str:
        """The key of what is declared, for a kind of interpreter: a lock is stale without it.

        It means the same on every machine; indexes and other locks are not in it.
        """
        digest = Digest("declared", _RECIPE)
        self._add_declared(digest)
        own = self.interpreter
        return digest.texts("python", (own.implementation, own.minor, own.platform)).key()

    def _add_declared(self, digest: Digest) -> None:
        digest.texts("requirements", sorted({item.key_line for item in self.requirements}))
        digest.texts("constraints", sorted({item.key_line for item in self.constraints}))
        # what a resolver sees of a local wheel: another module in it is no other resolution
        for wheel in sorted(self.local, key=lambda item: item.name):
            digest.texts(
                f"local {wheel.name}",
                (wheel.path.name, wheel.requires_python or "", *sorted(wheel.requires)),
            )
        digest.texts("beaten", sorted(self.beaten))
        digest.text("exclude_newer", self.exclude_newer or "")

    @property
    def direct(self) -> tuple[str, ...]:
        """Names of the distributions that are asked for by name."""
        names = {item.name for item in self.requirements} | {wheel.name for wheel in self.local}
        return tuple(sorted(names))


def identify(digest: Digest, interpreter: Interpreter) -> None:
    """Add what makes two interpreters of any machine the same for an installed environment."""
    digest.text("implementation", interpreter.implementation)
    digest.texts("python", [str(part) for part in interpreter.version])
    digest.text("soabi", interpreter.soabi)
    digest.text("platform", interpreter.platform)
    digest.text("libc", interpreter.libc)


class Resolver:
    """Gives a spec its lock: from the store, or by uv, once."""

    def __init__(self, *, settings: Settings, store: Store, uv: Uv, sink: Sink) -> None:
        self._settings = settings
        self._store = store
        self._uv = uv
        self._sink = sink

    def known(self, spec: Spec) -> Lock | None:
        """The lock that the store has for the spec; starts nothing."""
        digest = spec.digest()
        document = read_json(self._store.locks / f"{digest.key()}.json")
        if document is None or not is_preimage(document.get("preimage"), digest):
            return None
        return with_local(lock_of(document), spec)

    def is_refused(self, spec: Spec) -> bool:
        """Whether an index could not give it a moment ago, so that it is not asked now."""
        return is_remembered(self._store, self._settings, "resolve", spec.digest().key())

    def resolve(
        self,
        spec: Spec,
        *,
        cached_first: bool = False,
        freshness: Freshness = _AS_BEFORE,
        preferred: tuple[Pinned, ...] | None = None,
    ) -> Lock:
        """The lock of the spec. Blocks. Raises `ResolutionFailed` with uv's reason.

        `cached_first` takes what uv's cache has if that solves it, without asking an index;
        `freshness` says what of an earlier lock may be used, and with `preferred` a new one is made
        that keeps to those where it can. An index that does not answer leaves the last good lock in
        force.
        """
        is_new = freshness.is_new or preferred is not None
        if not is_new and (lock := self.known(spec)):
            return lock
        digest = spec.digest()
        key = digest.key()
        what = "the same declarations are being resolved"
        with exclusively(self._store, self._sink, "lock", key, subject=key, what=what):
            last = self.known(spec)
            if last is not None and not is_new:
                return last
            kept = (last.packages if last else ()) if preferred is None else preferred
            asking = remembered_failure(
                self._store, self._settings, "resolve", key, is_new=is_new or cached_first
            )
            try:
                with asking:
                    lock = self._asked(spec, kept, freshness, cached_first=cached_first)
            except IndexUnavailable as error:
                if last is None:
                    raise
                self._sink(Event(phase="resolve", state="moved", message=_kept(error)))
                return last
            document = lock_document(lock)
            document["preimage"] = digest.preimage()
            write_json(self._store.locks / f"{key}.json", document)
            return with_local(lock, spec)

    def sources(self, spec: Spec, names: Collection[str]) -> tuple[Pinned, ...]:
        """Which source distributions of these names would be taken, if they required nothing.

        Blocks. Nothing of them is run: uv is told what they require. Raises as `resolve` does.
        """
        with self._store.scratch() as scratch:
            output = scratch / "pylock.toml"
            text = self._compile(
                spec, scratch, output, _AS_BEFORE, cached_first=False, sources=sorted(names)
            )
        return tuple(pin for pin in _chosen(text) if pin.name in names)

    def places(self, spec: Spec, sources: Collection[str]) -> tuple[Pinned, ...]:
        """What the indexes have of the spec's requirements alone, those of `sources` as source.

        Blocks. Raises as `resolve` does.
        """
        with self._store.scratch() as scratch:
            output = scratch / "pylock.toml"
            text = self._compile(
                spec,
                scratch,
                output,
                _AS_BEFORE,
                cached_first=False,
                sources=sorted(sources),
                is_alone=True,
            )
        return tuple(_chosen(text))

    def _asked(
        self, spec: Spec, kept: Iterable[Pinned], freshness: Freshness, *, cached_first: bool
    ) -> Lock:
        if not spec.requirements and not any(wheel.requires for wheel in spec.local):
            return Lock(packages=(), direct=spec.direct)
        count = len({item.name for item in spec.requirements})
        self._sink(Event(phase="resolve", state="started", total=count))
        with self._store.scratch() as scratch:
            output = scratch / "pylock.toml"  # one with this name: uv keeps to what it holds
            names = [item for item in kept if item.content is None]
            if names and not freshness.upgrade:
                output.write_text(preferences_text(names), "utf-8")
            text = self._compile(spec, scratch, output, freshness, cached_first=cached_first)
        packages = _checked(_chosen(text), (*spec.requirements, *spec.constraints, *spec.pins))
        self._sink(Event(phase="resolve", state="done", done=len(packages), total=len(packages)))
        return Lock(packages=packages, direct=spec.direct)

    def _compile(
        self,
        spec: Spec,
        scratch: Path,
        output: Path,
        freshness: Freshness,
        *,
        cached_first: bool,
        sources: Sequence[str] = (),
        is_alone: bool = False,
    ) -> str:
        wanted = [item.line for item in spec.requirements]
        wanted += [f"{wheel.name} @ {wheel.path.as_uri()}" for wheel in spec.local]
        wins = [f"{w.name} @ {w.path.as_uri()}" for w in spec.local if w.name in spec.beaten]
        own = {wheel.name for wheel in spec.local}
        limits = [item.line for item in (*spec.constraints, *spec.pins) if item.name not in own]
        arguments = ["pip", "compile", _listed(scratch / "wanted.in", wanted)]
        if limits:
            arguments += ["--constraints", _listed(scratch / "limits.in", limits)]
        if wins:
            arguments += ["--overrides", _listed(scratch / "wins.in", wins)]
        arguments += ["--format", "pylock.toml", "--output-file", str(output)]
        arguments += ["--python", str(spec.interpreter.path), "--no-header", "--no-sources"]
        arguments += _without_builds(scratch, sources)
        if is_alone:
            arguments += ["--no-deps"]
        if spec.exclude_newer:
            arguments += ["--exclude-newer", spec.exclude_newer]
        if freshness.refresh:
            arguments += ["--refresh"]
        for name in freshness.upgrade_packages:
            arguments += ["--upgrade-package", name]
        try:
            if cached_first and not freshness.is_new:
                self._uv.run_cached_first("resolve", arguments)
            else:
                self._uv.run("resolve", arguments, indexes=True)
        except SupplyError as error:
            raise _named(error, spec, scratch) from error.__cause__
        return output.read_text("utf-8")


def _without_builds(scratch: Path, sources: Sequence[str]) -> list[str]:
    """The options with which uv builds nothing. `sources` it may choose all the same."""
    if not sources:
        return ["--no-build", "--no-config"]
    known = scratch / "uv.toml"
    tables = (f'[[dependency-metadata]]\nname = "{name}"\nrequires-dist = []\n' for name in sources)
    known.write_text("\n".join(tables), "utf-8")
    options = ["--config-file", str(known), "--only-binary", ":all:"]
    return [*options, *(word for name in sources for word in ("--no-binary", name))]


def _kept(error: IndexUnavailable) -> str:
    return f"the last good lock serves on: {error.message.splitlines()[0]}"


def _pin_of(wheel: LocalWheel) -> Pinned:
    own = Pinned(name=wheel.name, version=wheel.version, digests=(), content=wheel.content)
    if (source := wheel.source) is None:
        return own
    return replace(own, digests=source.digests, file=source.file, url=source.url, size=source.size)


def with_local(lock: Lock, spec: Spec) -> Lock:
    """The lock with the spec's local wheels as they are now, whatever else has their name."""
    own = [_pin_of(wheel) for wheel in spec.local]
    names = {item.name for item in own}
    packages = [*own, *(item for item in lock.packages if item.name not in names)]
    return Lock(packages=tuple(sorted(packages, key=lambda p: p.name)), direct=spec.direct)


def _listed(file: Path, lines: Iterable[str]) -> str:
    file.write_text("".join(f"{line}\n" for line in sorted(set(lines))), "utf-8")
    return str(file)


def _chosen(text: str) -> list[Pinned]:
    """What uv chose: one file for each distribution that is not local."""
    found: list[Pinned] = []
    for entry in read_pylock(text, "the resolver's lock").entries:
        if not entry.is_local:
            file = entry.files[0]
            found.append(
                Pinned(
                    name=entry.name,
                    version=entry.version,
                    digests=file.digests,
                    file=file.name,
                    url=bare_url(file.url),
                    size=file.size,
                )
            )
    return found


def _checked(found: Sequence[Pinned], declared: Iterable[Declared]) -> tuple[Pinned, ...]:
    """The pins, sorted, if each is a file that the declared hashes allow."""
    allowed: dict[str, tuple[set[str], str]] = {}
    for line in declared:
        if line.hashes:
            allowed.setdefault(line.name, (set(), line.origin))[0].update(line.hashes)
    for item in found:
        hashes, origin = allowed.get(item.name, (set(), ""))
        if not item.digests:
            raise ResolutionFailed(f"no file of `{item.name}=={item.version}` has a hash")
        if hashes and not hashes.intersection(item.digests):
            raise ResolutionFailed(
                f"no file of `{item.name}=={item.version}` has a hash that its requirement allows\n"
                f"  `{item.file}` has `{item.digests[0]}`, and {origin} allows others",
                hint="correct the `--hash` in the declaration; a lock for another interpreter is "
                "made anew with --lock",
            )
    return tuple(sorted(found, key=lambda item: item.name))


def _named(error: SupplyError, spec: Spec, scratch: Path) -> SupplyError:
    """The error with the places that declared what its reason names."""
    reason = error.message.replace(f"{scratch}/", "")
    if not isinstance(error, ResolutionFailed):
        return type(error)(reason, hint=error.hint)
    words = {canonicalize_name(word) for word in _WORD.findall(reason)}
    places = declared_by(spec, words)
    hint = error.hint
    if held := next((item.origin for item in spec.pins if item.name in words), None):
        hint = f"`{held}` may be older than the declarations: write it anew (supply --lock)"
    return type(error)("\n".join([reason, *places]), hint=cure_of(places.values()) or hint)


def declared_by(spec: Spec, names: Collection[str]) -> dict[str, str]:
    """A line for each place that declares one of these, and which it is."""
    found = [
        (f"  `{item.line}` is declared in {item.origin}", item.name)
        for item in (*spec.requirements, *spec.constraints, *spec.pins)
    ]
    for wheel in spec.local:
        for line in wheel.requires:
            if name := _WORD.match(line):
                place = f"  `{line}` is declared by `{wheel.name}` ({wheel.origin})"
                found.append((place, canonicalize_name(name[0])))
    return {place: name for place, name in found if name in names}


def cure_of(names: Iterable[str]) -> str | None:
    """What to require instead, if a name is a module's, or a placeholder's on an index."""
    for name in names:
        if name in _MEANT:
            return f"by `{name}` people mean `{_MEANT[name]}`: require that instead"
    return None
