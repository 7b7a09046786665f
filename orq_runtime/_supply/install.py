"""From a lock to an environment: made in staging, compiled, described, and given its name.

Rules of this file:

1. uv installs by hash and never builds; it is not pointed at an environment that is finished.
2. The manifest (`orq.json`) holds all that a later process needs, so that a hit reads one file.
3. Bytecode is made here: what the direct requirements import, and all of the local packages. The
   environment is read-only afterwards.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.utils import canonicalize_name

from orq_runtime import _fs
from orq_runtime._dataclass import dataclass
from orq_runtime._digest import Digest, is_preimage
from orq_runtime._supply.compiler import Compiler
from orq_runtime._supply.distributions import Distribution, distributions, module_names
from orq_runtime._supply.failures import remembered_failure
from orq_runtime._supply.frame import empty, lead_scripts, make_frame, site_packages
from orq_runtime._supply.intact import check_frame, frame_of
from orq_runtime._supply.lock import Lock, Pinned, pins_document, pins_of
from orq_runtime._supply.manifest import false_records, write_manifest
from orq_runtime._supply.resolve import identify
from orq_runtime._supply.store import Store, read_json, stage_json
from orq_runtime._supply.uv import Uv
from orq_runtime._supply.waiting import exclusively
from orq_runtime.errors import BadComponent, StoreError
from orq_runtime.events import Event, Sink
from orq_runtime.model.command import CommandRunner
from orq_runtime.model.environment import Interpreter
from orq_runtime.settings import Compile, Settings

__all__ = [
    "Installed",
    "Installer",
    "OnFilled",
    "Staging",
    "bytecode_of",
    "content_digest",
    "environment_digest",
    "read_installed",
]

_RECIPE = 4
_UNWORTHY = frozenset({"test", "tests", "testing", "docs", "doc", "examples", "setup", "conftest"})

OnFilled = Callable[[Interpreter], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Where an environment is made: its frame, and who will compile in it, if there is anything."""

    path: Path
    interpreter: Interpreter
    compiler: Compiler | None
    on_filled: OnFilled | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the manifest of an environment says."""

    key: str
    path: Path
    modules: tuple[str, ...]
    local_modules: tuple[str, ...]
    packages: tuple[Pinned, ...]
    content_key: str


def content_digest(lock: Lock, interpreter: Interpreter) -> Digest:
    """The digest whose key means an environment on every machine. Local wheels count by content."""
    digest = Digest("environment", _RECIPE)
    identify(digest, interpreter)
    for item in lock.packages:
        local = item.content is not None
        files = (f"content:{item.content}",) if local else sorted(item.digests)
        digest.texts("package", (item.name, item.version, "local" if local else "index", *files))
    return digest


def environment_digest(
    lock: Lock, interpreter: Interpreter, bytecode: Compile = "imports"
) -> Digest:
    """The digest whose key names an environment here: its content, on this very interpreter.

    One that has all of its bytecode is another: what is published never changes.
    """
    digest = content_digest(lock, interpreter).text("base", os.fsdecode(interpreter.path))
    return digest if bytecode == "imports" else digest.text("bytecode", bytecode)


def bytecode_of(preimage: object) -> Compile:
    """Which bytecode an environment with this preimage has."""
    return "all" if isinstance(preimage, list) and ["bytecode", "all"] in preimage else "imports"


def read_installed(store: Store, digest: Digest) -> Installed | None:
    """The environment with a digest, or None. Starts nothing.

    Raises `StoreError` when the one with its key says that it was made from something else.
    """
    key = digest.key()
    path = store.environments / key
    document = read_json(path / "orq.json")
    if document is None:
        return None
    if not is_preimage(document.get("preimage"), digest):
        raise StoreError(
            f"an environment in the cache is not what its name says: `{path}`",
            hint="remove it: orq-runtime cache clean",
        )
    packages, modules, local = (document[k] for k in ("packages", "modules", "local_modules"))
    assert isinstance(modules, list)
    assert isinstance(local, list)
    return Installed(
        key=key,
        path=path,
        modules=tuple(modules),
        local_modules=tuple(local),
        packages=pins_of(packages),
        content_key=str(document["content_key"]),
    )


class Installer:
    """Makes environments. One key is made once, whoever asks for it at the same time."""

    def __init__(
        self, *, settings: Settings, store: Store, uv: Uv, runner: CommandRunner, sink: Sink
    ) -> None:
        self._settings = settings
        self._store = store
        self._uv = uv
        self._runner = runner
        self._sink = sink

    @contextlib.contextmanager
    def staging(
        self,
        interpreter: Interpreter,
        *,
        compiles: bool = True,
        on_filled: OnFilled | None = None,
    ) -> Iterator[Staging]:
        """A place to make an environment, gone at the end. Its compiler gets ready meanwhile.

        `on_filled` is called when all is in it but bytecode. Raises `SandboxError` when it
        is known at once that it cannot be started.
        """
        with self._store.scratch() as scratch, contextlib.ExitStack() as stack:
            path = scratch / "environment"
            make_frame(path, interpreter)
            compiler = None
            if compiles:
                compiler = stack.enter_context(
                    Compiler(self._runner, scratch=scratch, interpreter=interpreter, place=path)
                )
            yield Staging(
                path=path, interpreter=interpreter, compiler=compiler, on_filled=on_filled
            )

    def install(
        self,
        lock: Lock,
        interpreter: Interpreter,
        staging: Staging | None = None,
        bytecode: Compile | None = None,
    ) -> tuple[Installed, bool]:
        """The environment of a lock, and whether this call made it, in that place. Blocks.

        It has the `bytecode` that the settings say, if this does not.
        """
        bytecode = bytecode or self._settings.compile
        digest = environment_digest(lock, interpreter, bytecode)
        key = digest.key()
        if installed := read_installed(self._store, digest):
            return installed, False
        what = "the same environment is being made"
        with exclusively(self._store, self._sink, "environment", key, subject=key, what=what):
            if installed := read_installed(self._store, digest):
                return installed, False
            with contextlib.ExitStack() as stack:
                compiles = bool(lock.packages)
                if staging is None:
                    staging = stack.enter_context(self.staging(interpreter, compiles=compiles))
                if false := self._make(staging, digest, lock, bytecode):
                    self._forget(false)
                    staging = stack.enter_context(self.staging(interpreter, compiles=compiles))
                    false = self._make(staging, digest, lock, bytecode)
                if false:
                    raise _untrue(false)
                write_manifest(staging.path)
                self._store.touch(key)  # before it has a name: a cleaning by age must not take it
                _fs.publish(staging.path, self._store.environments / key)
                self._sink(Event(phase="publish", state="done", subject=key))
            installed = read_installed(self._store, digest)  # still locked: no cleaning takes it
        if installed is None:
            raise StoreError(
                f"the environment vanished while it was made: `{key}`", hint="try again"
            )
        return installed, True

    def _make(
        self, staging: Staging, digest: Digest, lock: Lock, bytecode: Compile
    ) -> Mapping[str, str]:
        """Fill it. What of it is not as RECORDs say: a distribution's folder, and its file."""
        staged, interpreter = staging.path, staging.interpreter
        total, key = len(lock.packages), digest.key()
        self._sink(Event(phase="install", state="started", subject=key, total=total))
        if lock.packages:
            with remembered_failure(self._store, self._settings, "install", key):
                self._fill(staged, lock, interpreter)
        self._sink(Event(phase="install", state="done", subject=key, done=total, total=total))
        if staging.on_filled is not None:
            staging.on_filled(interpreter)
        site = site_packages(staged, interpreter)
        found = distributions(site)
        _describe(staged, digest, lock, interpreter, found)
        with ThreadPoolExecutor(1) as beside:  # what is compiled is read-only to who compiles it
            false = beside.submit(false_records, staged)
            if staging.compiler is not None:
                self._compile(staging.compiler, site, lock, found, has_all=bytecode == "all")
            self._sink(Event(phase="publish", state="started", subject=key))
            return false.result()

    def _forget(self, false: Mapping[str, str]) -> None:
        """Have uv fetch these anew: an edit in another environment is one in its cache, too."""
        names = [_name_of(folder) for folder in false]
        self._uv.run("install", ["cache", "clean", "--no-config", *names])

    def _fill(self, staged: Path, lock: Lock, interpreter: Interpreter) -> None:
        frame = frame_of(staged)
        listed = staged.with_name("lock.txt")
        listed.write_text("".join(self._line(item) for item in lock.packages), "utf-8")
        arguments = ["pip", "install", "--python", str(interpreter.path), "--prefix", str(staged)]
        arguments += ["--no-deps", "--require-hashes", "--no-build", "--no-config"]
        arguments += ["-r", str(listed)]
        sizes = {item.name: item.size for item in lock.packages}

        def start_anew() -> None:
            if any(site_packages(staged, interpreter).iterdir()):
                empty(staged)
                make_frame(staged, interpreter)
                frame.update(frame_of(staged))

        self._uv.run_cached_first("install", arguments, sizes=sizes, before_second=start_anew)
        (staged / ".lock").unlink(missing_ok=True)
        check_frame(staged, frame, interpreter)
        lead_scripts(staged, interpreter)

    def _line(self, item: Pinned) -> str:
        hashes = " ".join(f"--hash={digest}" for digest in item.digests)
        if item.content is None:
            return f"{item.name}=={item.version} {hashes}\n"
        document = read_json(self._store.wheels / item.content / "wheel.json")
        if document is None:
            raise StoreError(f"a wheel is missing in the cache: `{item.name}`", hint="try again")
        path = self._store.wheels / item.content / str(document["file"])
        # the digest of the file that is there: a rebuilt wheel has the content and not the bytes
        return f"{item.name} @ {path.as_uri()} --hash={document['digest']}\n"

    def _compile(
        self,
        compiler: Compiler,
        site: Path,
        lock: Lock,
        found: Sequence[Distribution],
        *,
        has_all: bool,
    ) -> None:
        mine, others = _parted(lock, found)
        direct = [item for item in others if item.name in lock.direct]
        names = [] if has_all else [n for n in module_names(direct) if n.lower() not in _UNWORTHY]
        files = [path for item in (found if has_all else mine) for path in item.files]
        if not names and not files:
            return
        count = len(names) + len(files)
        self._sink(Event(phase="compile", state="started", subject=" ".join(names), total=count))
        made = compiler.compile(site, modules=names, files=files)
        failed = made.failed
        if failed is None:
            failed = {" ".join(names): made.end.message or "its import ended the process"}
        for name, reason in failed.items():
            message = f"not compiled ahead: `{name}` ({reason})"
            self._sink(Event(phase="compile", state="moved", subject=name, message=message))
        self._sink(Event(phase="compile", state="done", done=count, total=count))


def _untrue(false: Mapping[str, str]) -> BadComponent:
    folder, file = next(iter(false.items()))
    return BadComponent(
        f"the RECORD of `{folder.removesuffix('.dist-info')}` is not true of its file: `{file}`",
        hint="by it an environment is checked: take another version, or make its wheel anew",
    )


def _name_of(folder: str) -> str:
    return canonicalize_name(folder.removesuffix(".dist-info").rpartition("-")[0])


def _describe(
    staged: Path,
    digest: Digest,
    lock: Lock,
    interpreter: Interpreter,
    found: Sequence[Distribution],
) -> None:
    mine, others = _parted(lock, found)
    stage_json(
        staged / "orq.json",
        {
            "modules": module_names(others),
            "local_modules": module_names(mine),
            "packages": pins_document(lock.packages),
            "direct": list(lock.direct),
            "content_key": content_digest(lock, interpreter).key(),
            "interpreter": {
                "path": str(interpreter.path),
                "version": ".".join(map(str, interpreter.version)),
            },
            "preimage": digest.preimage(),
        },
    )


def _parted(
    lock: Lock, found: Sequence[Distribution]
) -> tuple[list[Distribution], list[Distribution]]:
    """The distributions that came of local wheels, and the others."""
    local = {item.name for item in lock.packages if item.content is not None}
    mine = [item for item in found if item.name in local]
    return mine, [item for item in found if item.name not in local]
