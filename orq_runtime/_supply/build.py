"""Builds wheels of local packages and vendored source distributions, by PEP 517, each once.

Rules of this file:

1. A tree is built from a private copy, in an environment of its build requirements, which is an
   ordinary environment of the store. Build requirements are wheels; a vendored one is taken first.
2. What a tree brings runs behind the wall only (`hooks`); here nothing of it is executed.
3. A build's key is the tree's digest with the interpreter; what it made is named by content.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from orq_runtime._dataclass import dataclass
from orq_runtime._digest import Digest, digest_file
from orq_runtime._supply.files import open_regular
from orq_runtime._supply.hooks import Bench
from orq_runtime._supply.indexes import index_digest
from orq_runtime._supply.install import Installer
from orq_runtime._supply.lock import Lock, Pinned, pins_document, pins_of
from orq_runtime._supply.requirements import Declared
from orq_runtime._supply.resolve import Resolver, Spec, identify
from orq_runtime._supply.runner import workplace
from orq_runtime._supply.sources import build_system_of
from orq_runtime._supply.store import Store, read_json, write_json
from orq_runtime._supply.tree import copy_tree, digest_tree, unpack
from orq_runtime._supply.waiting import exclusively
from orq_runtime._supply.wheels import LocalWheel, keep_wheel, required_by, stored_wheel
from orq_runtime.errors import BuildFailed, ResolutionFailed, StoreError
from orq_runtime.events import Event, Sink
from orq_runtime.model.command import CommandRunner
from orq_runtime.model.environment import Interpreter, LockedPackage
from orq_runtime.settings import Settings

__all__ = ["BUILD_KIT", "Builder", "Source", "source_of"]

_RECIPE = 3
_LEASE_TRIES = 4
BUILD_KIT = ("setuptools", "wheel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something that a wheel can be had from: a component's folder, or a file of its `vendor/`.

    `digest` is the tree's or the file's; `origin` is its path, for people.
    """

    path: Path
    digest: str
    origin: str

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel already."""
        return self.path.name.endswith(".whl")


def source_of(package: LockedPackage) -> Source:
    """The source distribution of an index that a package was built from."""
    return Source(path=Path(package.file), digest=package.digests[-1], origin=package.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """An environment to build in, and what is in it."""

    path: Path
    packages: tuple[Pinned, ...]


class Builder:
    """Gives a source its wheel: from the store, or by a build."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        resolver: Resolver,
        installer: Installer,
        runner: CommandRunner,
        sink: Sink,
    ) -> None:
        self._settings = settings
        self._store = store
        self._resolver = resolver
        self._installer = installer
        self._runner = runner
        self._sink = sink

    def known(self, source: Source, interpreter: Interpreter) -> LocalWheel | None:
        """The wheel that the store has for the source; starts nothing."""
        document = self._noted(source, interpreter)
        if document is None:
            return None
        return stored_wheel(self._store, str(document["content"]), source.origin)

    def build(
        self, source: Source, interpreter: Interpreter, *, vendored: Sequence[LocalWheel] = ()
    ) -> LocalWheel:
        """The wheel of the source. Blocks. Raises `BuildFailed` with the end of the log."""
        if wheel := self.known(source, interpreter):
            return wheel
        key = self._key(source, interpreter)
        what = f"`{source.origin}` is being built"
        with exclusively(self._store, self._sink, "build", key, subject=source.origin, what=what):
            if wheel := self.known(source, interpreter):
                return wheel
            kit: tuple[Pinned, ...] = ()
            with self._store.scratch() as scratch:
                if source.is_wheel:
                    taken = scratch / source.path.name
                    _take(source, taken)
                    wheel = keep_wheel(self._store, taken, source.origin)
                else:
                    wheel, kit = self._built(source, scratch, interpreter, vendored)
            document = {"content": wheel.content, "kit": pins_document(kit)}
            write_json(self._store.builds / f"{key}.json", document)
            return wheel

    def tools_of(self, source: Source, interpreter: Interpreter) -> tuple[Pinned, ...]:
        """What the wheel of a source was built with; nothing where it was not built here."""
        document = self._noted(source, interpreter)
        return () if document is None else pins_of(document["kit"])

    def _noted(self, source: Source, interpreter: Interpreter) -> dict[str, object] | None:
        document = read_json(self._store.builds / f"{self._key(source, interpreter)}.json")
        is_whole = document is not None and {"content", "kit"} <= document.keys()
        return document if is_whole else None

    @contextlib.contextmanager
    def kit(
        self, lines: Iterable[Declared], interpreter: Interpreter, vendored: Sequence[LocalWheel]
    ) -> Iterator[Kit]:
        """An environment with these build requirements, leased. Blocks."""
        wanted = tuple(lines)
        names = {item.name for item in wanted}
        spec = Spec(
            requirements=wanted,
            constraints=(),
            local=_closed(names, vendored),
            interpreter=interpreter,
            index_digest=index_digest(self._settings),
            exclude_newer=self._settings.exclude_newer,
        )
        # what `prepare` made ahead of time serves any build, with or without an index
        lock = self._resolver.resolve(spec, cached_first=True)
        with contextlib.ExitStack() as stack:
            yield self._leased(lock, interpreter, stack)

    def _leased(self, lock: Lock, interpreter: Interpreter, stack: contextlib.ExitStack) -> Kit:
        tries = _LEASE_TRIES
        while True:
            tries -= 1
            installed, _ = self._installer.install(lock, interpreter)
            try:
                stack.enter_context(self._store.leased("environment", installed.path))
            except StoreError:  # cleaned away since it was made: make it again
                if not tries:
                    raise
            else:
                self._store.touch(installed.key)
                return Kit(path=installed.path, packages=installed.packages)

    def _key(self, source: Source, interpreter: Interpreter) -> str:
        digest = Digest("build", _RECIPE).text("source", source.digest)
        if source.is_wheel:
            return digest.text("file", source.path.name).key()
        identify(digest, interpreter)
        digest.text("base", os.fsdecode(interpreter.path))
        digest.text("exclude_newer", self._settings.exclude_newer or "")
        return digest.key()

    def _built(
        self,
        source: Source,
        scratch: Path,
        interpreter: Interpreter,
        vendored: Sequence[LocalWheel],
    ) -> tuple[LocalWheel, tuple[Pinned, ...]]:
        """The wheel, and what it was built with."""
        where = f"isolation: {self._runner.isolation}"
        self._sink(Event(phase="build", state="started", subject=source.origin, message=where))
        try:
            made, kit = self._run(source, scratch, interpreter, vendored)
        except ResolutionFailed as error:
            hint = error.hint
            if self._settings.offline:
                hint = "run `orq-runtime install python3` once online, or vendor them as wheels"
            raise ResolutionFailed(
                f"build requirements of `{source.origin}`: {error.message}", hint=hint
            ) from error
        wheel = keep_wheel(self._store, made, source.origin)
        self._sink(Event(phase="build", state="done", subject=wheel.name, message=where))
        return wheel, kit

    def _run(
        self,
        source: Source,
        scratch: Path,
        interpreter: Interpreter,
        vendored: Sequence[LocalWheel],
    ) -> tuple[Path, tuple[Pinned, ...]]:
        """Call the hooks, again where they asked for more; the wheel's path and the last kit."""
        bench = self._bench(source, scratch, "first")
        system = build_system_of(bench.tree, source.origin)
        with self.kit(system.requires, interpreter, vendored) as kit:
            answer = bench.build(system, kit=kit.path, interpreter=interpreter, asks=True)
        if answer.wheel is None:
            bench = self._bench(source, scratch, "second")
            lines = (*system.requires, *answer.requires)
            with self.kit(lines, interpreter, vendored) as kit:
                answer = bench.build(system, kit=kit.path, interpreter=interpreter, asks=False)
        if answer.wheel is None:
            raise BuildFailed(f"`{source.origin}` did not build: its backend made no wheel")
        return bench.take_wheel(answer.wheel, scratch), kit.packages

    def _bench(self, source: Source, scratch: Path, name: str) -> Bench:
        work = workplace(scratch, name)
        bench = Bench(work=work, origin=source.origin, runner=self._runner)
        if source.path.is_dir():
            _take(source, bench.tree)
            return bench
        archive = scratch / f"{name}-{source.path.name}"
        _take(source, archive)
        unpacked = unpack(archive, work / "unpacked", source.origin)
        unpacked.rename(bench.tree)
        return bench


def _closed(names: set[str], vendored: Sequence[LocalWheel]) -> tuple[LocalWheel, ...]:
    """The vendored wheels of these names, with those that they require in turn."""
    by_name = {wheel.name: wheel for wheel in vendored}
    found: dict[str, LocalWheel] = {}
    todo = [name for name in names if name in by_name]
    while todo:
        wheel = by_name[todo.pop()]
        if wheel.name not in found:
            found[wheel.name] = wheel
            todo += [name for name in required_by(wheel) if name in by_name]
    return tuple(found.values())


def _take(source: Source, taken: Path) -> None:
    """Make a private copy of a source, checked against the digest its wheel will be known by."""
    if source.path.is_dir():
        copy_tree(source.path, taken)
        digest = digest_tree(taken)
    else:
        with open(open_regular(source.path), "rb") as original, open(taken, "xb") as copy:
            shutil.copyfileobj(original, copy)
        digest = digest_file(taken)
    if digest != source.digest:
        raise BuildFailed(f"changed while it was read: `{source.origin}`", hint="try again")
