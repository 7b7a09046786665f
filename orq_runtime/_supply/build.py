"""Builds wheels of local packages and vendored source distributions, by PEP 517, each once.

Rules of this file:

1. A tree is built from a private copy, in an environment of its build requirements, which is an
   ordinary environment of the store. Build requirements are wheels; a vendored one is taken first.
2. A build's key is the tree's digest with the interpreter; what it made is named by content.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orq_runtime._digest import Digest, digest_file
from orq_runtime._supply.files import open_regular
from orq_runtime._supply.install import Installer
from orq_runtime._supply.requirements import Declared, declared
from orq_runtime._supply.resolve import Resolver, Spec, identify, index_digest
from orq_runtime._supply.runner import BuildCommand, BuildRunner, clean_environment, tail
from orq_runtime._supply.sources import build_system_of
from orq_runtime._supply.store import Store, read_json, write_json
from orq_runtime._supply.tree import copy_tree, digest_tree, unpack
from orq_runtime._supply.wheels import LocalWheel, keep_wheel, stored_wheel
from orq_runtime.errors import BuildFailed, ResolutionFailed
from orq_runtime.events import Event, Sink
from orq_runtime.model.environment import Interpreter
from orq_runtime.settings import Settings

if TYPE_CHECKING:
    from pyproject_hooks import BuildBackendHookCaller

__all__ = ["BUILD_KIT", "Builder", "Source"]

_RECIPE = 1
_BUILD_SECONDS = 3600.0
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


class Builder:
    """Gives a source its wheel: from the store, or by a build."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        resolver: Resolver,
        installer: Installer,
        runner: BuildRunner,
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
        document = read_json(self._store.builds / f"{self._key(source, interpreter)}.json")
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
        waiting = Event(phase="wait", state="started", subject=source.origin, message="being built")
        with self._store.exclusively("build", key, on_wait=lambda: self._sink(waiting)):
            if wheel := self.known(source, interpreter):
                return wheel
            with self._store.scratch() as scratch:
                taken = _take(source, scratch)
                if source.is_wheel:
                    wheel = keep_wheel(self._store, taken, source.origin)
                else:
                    wheel = self._built(source, taken, scratch, interpreter, vendored)
            write_json(self._store.builds / f"{key}.json", {"content": wheel.content})
            return wheel

    @contextlib.contextmanager
    def kit(
        self, lines: Iterable[Declared], interpreter: Interpreter, vendored: Sequence[LocalWheel]
    ) -> Iterator[Path]:
        """The python of an environment with these build requirements, leased. Blocks."""
        wanted = tuple(lines)
        names = {item.name for item in wanted}
        spec = Spec(
            requirements=wanted,
            constraints=(),
            local=tuple(wheel for wheel in vendored if wheel.name in names),
            interpreter=interpreter,
            index_digest=index_digest(self._settings),
            exclude_newer=self._settings.exclude_newer,
        )
        # what `prepare` made ahead of time serves any build, with or without an index
        lock = self._resolver.resolve(spec, cached_first=True)
        installed, _ = self._installer.install(lock, interpreter)
        self._store.touch(installed.key)
        with self._store.leased("environment", installed.path):
            yield installed.path / "bin" / "python"

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
        taken: Path,
        scratch: Path,
        interpreter: Interpreter,
        vendored: Sequence[LocalWheel],
    ) -> LocalWheel:
        self._sink(Event(phase="build", state="started", subject=source.origin))
        tree = taken if taken.is_dir() else unpack(taken, scratch / "source")
        backend = _Backend(
            tree=tree,
            origin=source.origin,
            scratch=scratch,
            environment=self._environment(tree, scratch),
            runner=self._runner,
        )
        wheel = keep_wheel(self._store, self._run(backend, interpreter, vendored), source.origin)
        self._sink(Event(phase="build", state="done", subject=wheel.name))
        return wheel

    def _run(
        self, backend: _Backend, interpreter: Interpreter, vendored: Sequence[LocalWheel]
    ) -> Path:
        """Both hooks, each in an environment of what is required by then."""
        lines = backend.system.requires
        try:
            with self.kit(lines, interpreter, vendored) as python:
                more = backend.further_requires(python)
            with self.kit((*lines, *more), interpreter, vendored) as python:
                return backend.build_wheel(python)
        except ResolutionFailed as error:
            hint = error.hint
            if self._settings.offline:
                hint = "run `orq-runtime install python3` once online, or vendor them as wheels"
            raise ResolutionFailed(
                f"build requirements of `{backend.origin}`: {error.message}", hint=hint
            ) from error

    def _environment(self, tree: Path, scratch: Path) -> dict[str, str]:
        environment = clean_environment(self._settings, scratch)
        if not (tree / "PKG-INFO").is_file():
            # the copy has no version control, from which setuptools-scm would take a version
            environment["SETUPTOOLS_SCM_PRETEND_VERSION"] = "0.0.0"
        return environment


def _take(source: Source, scratch: Path) -> Path:
    """A private copy of a source, checked against the digest its wheel will be known by."""
    if source.path.is_dir():
        taken = scratch / "source"
        copy_tree(source.path, taken)
        digest = digest_tree(taken)
    else:
        taken = scratch / source.path.name
        with open(open_regular(source.path), "rb") as original, open(taken, "xb") as copy:
            shutil.copyfileobj(original, copy)
        digest = digest_file(taken)
    if digest != source.digest:
        raise BuildFailed(f"changed while it was read: `{source.origin}`", hint="try again")
    return taken


class _Backend:
    """The PEP 517 hooks of one tree."""

    def __init__(
        self,
        *,
        tree: Path,
        origin: str,
        scratch: Path,
        environment: Mapping[str, str],
        runner: BuildRunner,
    ) -> None:
        self.origin = origin
        self.system = build_system_of(tree, origin)
        self._tree = tree
        self._scratch = scratch
        self._environment = environment
        self._runner = runner
        self._log = scratch / "build.log"

    def further_requires(self, python: Path) -> list[Declared]:
        """What the backend needs in addition to its declared requirements."""
        with self._usable() as hooks:
            lines = hooks(python).get_requires_for_build_wheel()
        return [declared(line, f"{self.origin} (asked for by its backend)") for line in lines]

    def build_wheel(self, python: Path) -> Path:
        """Build; the wheel's path."""
        out = self._scratch / "out"
        out.mkdir()
        with self._usable() as hooks:
            name = hooks(python).build_wheel(str(out))
        wheel = out / Path(name).name
        if wheel.is_symlink() or not wheel.is_file():
            raise self._failed("its backend made no wheel")
        return wheel

    @contextlib.contextmanager
    def _usable(self) -> Iterator[Callable[[Path], BuildBackendHookCaller]]:
        from pyproject_hooks import BackendUnavailable, HookMissing  # start-up budget, see below

        try:
            yield self._hooks
        except (BackendUnavailable, HookMissing) as error:
            raise self._failed(f"no usable backend `{self.system.backend}`") from error

    def _hooks(self, python: Path) -> BuildBackendHookCaller:
        from pyproject_hooks import BuildBackendHookCaller  # start-up budget: only a miss needs it

        def runner(
            cmd: Sequence[str],
            cwd: str | None = None,
            extra_environ: Mapping[str, str] | None = None,
        ) -> None:
            path = f"{python.parent}:{self._environment['PATH']}"
            ended = self._runner.run(
                BuildCommand(
                    argv=tuple(cmd),
                    cwd=Path(cwd or self._tree),
                    environment={**self._environment, "PATH": path, **(extra_environ or {})},
                    writable=self._scratch,
                    deadline_seconds=_BUILD_SECONDS,
                    log=self._log,
                )
            )
            if ended.timed_out:
                raise self._failed(f"not done after {_BUILD_SECONDS:g} s")
            if ended.status != 0:
                raise self._failed(f"its build ended with status {ended.status}")

        return BuildBackendHookCaller(
            str(self._tree),
            self.system.backend,
            list(self.system.backend_path) or None,
            runner=runner,
            python_executable=str(python),
        )

    def _failed(self, reason: str) -> BuildFailed:
        said = tail(self._log)
        return BuildFailed(
            f"`{self.origin}` did not build: {reason}" + (f"\n{said}" if said else ""),
            hint="the lines above are the end of the build's own log",
        )
