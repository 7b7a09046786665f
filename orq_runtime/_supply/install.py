"""From a lock to an environment: made in staging, compiled, described, and given its name.

Rules of this file:

1. uv installs by hash and never builds; it is not pointed at an environment that is finished.
2. The manifest (`orq.json`) holds all that a later process needs, so that a hit reads one file.
3. Bytecode is made here: what the direct requirements import, and all of the local packages. The
   environment is read-only afterwards.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from orq_runtime import _fs
from orq_runtime._dataclass import dataclass
from orq_runtime._digest import Digest, is_preimage
from orq_runtime._supply.bytecode import compile_ahead
from orq_runtime._supply.failures import remembered_failure
from orq_runtime._supply.intact import check_frame, frame_of
from orq_runtime._supply.lock import Lock, Pinned, pins_document, pins_of
from orq_runtime._supply.manifest import write_manifest
from orq_runtime._supply.resolve import identify
from orq_runtime._supply.store import Store, read_json, write_json
from orq_runtime._supply.uv import Uv
from orq_runtime._supply.waiting import exclusively
from orq_runtime.errors import StoreError
from orq_runtime.events import Event, Sink
from orq_runtime.model.command import CommandRunner
from orq_runtime.model.environment import Interpreter
from orq_runtime.settings import Compile, Settings

__all__ = ["Installed", "Installer", "content_digest", "environment_digest", "read_installed"]

_RECIPE = 3
_UNWORTHY = frozenset({"test", "tests", "testing", "docs", "doc", "examples", "setup", "conftest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the manifest of an environment says."""

    key: str
    path: Path
    modules: tuple[str, ...]
    local_modules: tuple[str, ...]
    packages: tuple[Pinned, ...]
    content_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Distribution:
    """One installed distribution: its top-level modules and its Python files."""

    name: str
    modules: tuple[str, ...]
    files: tuple[Path, ...]


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


def site_packages(path: Path, interpreter: Interpreter) -> Path:
    """Where an environment's packages lie."""
    return path / "lib" / f"python{interpreter.minor}" / "site-packages"


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

    def install(self, lock: Lock, interpreter: Interpreter) -> tuple[Installed, bool]:
        """The environment of a lock, and whether this call made it. Blocks."""
        digest = environment_digest(lock, interpreter, self._settings.compile)
        key = digest.key()
        if installed := read_installed(self._store, digest):
            return installed, False
        what = "the same environment is being made"
        with exclusively(self._store, self._sink, "environment", key, subject=key, what=what):
            if installed := read_installed(self._store, digest):
                return installed, False
            with self._store.scratch() as scratch:
                staged = scratch / "environment"
                with remembered_failure(self._store, self._settings, "install", key):
                    self._fill(staged, lock, interpreter, key)
                self._describe(staged, digest, lock, interpreter, scratch)
                write_manifest(staged)
                self._sink(Event(phase="publish", state="started", subject=key))
                self._store.touch(key)  # before it has a name: a cleaning by age must not take it
                _fs.publish(staged, self._store.environments / key)
                self._sink(Event(phase="publish", state="done", subject=key))
            installed = read_installed(self._store, digest)  # still locked: no cleaning takes it
        if installed is None:
            raise StoreError(
                f"the environment vanished while it was made: `{key}`", hint="try again"
            )
        return installed, True

    def _fill(self, staged: Path, lock: Lock, interpreter: Interpreter, key: str) -> None:
        total = len(lock.packages)
        self._sink(Event(phase="install", state="started", subject=key, total=total))
        self._frame(staged, interpreter)
        if lock.packages:
            frame = frame_of(staged)
            listed = staged.with_name("lock.txt")
            listed.write_text("".join(self._line(item) for item in lock.packages), "utf-8")
            arguments = ["pip", "install", "--python", str(staged / "bin" / "python"), "--no-deps"]
            arguments += ["--require-hashes", "--no-build", "--no-config", "-r", str(listed)]
            site = site_packages(staged, interpreter)
            before = set(site.iterdir())

            def start_anew() -> None:
                # uv starts this interpreter, which would run the `.pth` files of a first attempt
                if set(site.iterdir()) != before:
                    _fs.remove_tree(staged)
                    self._frame(staged, interpreter)
                    frame.update(frame_of(staged))

            sizes = {item.name: item.size for item in lock.packages}
            self._uv.run_cached_first("install", arguments, sizes=sizes, before_second=start_anew)
            check_frame(staged, frame, interpreter)
        (staged / ".lock").unlink(missing_ok=True)
        self._sink(Event(phase="install", state="done", subject=key, done=total, total=total))

    def _frame(self, staged: Path, interpreter: Interpreter) -> None:
        """An empty environment."""
        arguments = ["venv", str(staged), "--python", str(interpreter.path), "--relocatable"]
        arguments += ["--no-project", "--no-config", "--prompt", "orq"]
        self._uv.run("install", arguments)

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

    def _describe(
        self, staged: Path, digest: Digest, lock: Lock, interpreter: Interpreter, scratch: Path
    ) -> None:
        site = site_packages(staged, interpreter)
        distributions = _distributions(site)
        local = {item.name for item in lock.packages if item.content is not None}
        mine = [item for item in distributions if item.name in local]
        others = [item for item in distributions if item.name not in local]
        direct = [item for item in others if item.name in lock.direct]
        has_all = self._settings.compile == "all"
        self._compile(
            staged,
            scratch,
            interpreter,
            modules=[]
            if has_all
            else [name for name in _modules(direct) if name.lower() not in _UNWORTHY],
            files=[path for item in (distributions if has_all else mine) for path in item.files],
        )
        write_json(
            staged / "orq.json",
            {
                "modules": _modules(others),
                "local_modules": _modules(mine),
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

    def _compile(
        self,
        staged: Path,
        scratch: Path,
        interpreter: Interpreter,
        *,
        modules: Sequence[str],
        files: Sequence[Path],
    ) -> None:
        if not modules and not files:
            return
        count = len(modules)
        self._sink(Event(phase="compile", state="started", subject=" ".join(modules), total=count))
        made = compile_ahead(
            self._runner,
            scratch=scratch,
            python=(str(staged / "bin" / "python"),),
            interpreter=interpreter,
            root=site_packages(staged, interpreter),
            read_only=(staged,),
            modules=modules,
            files=files,
        )
        failed = made.failed
        if failed is None:
            failed = {" ".join(modules): made.end.message or "its import ended the process"}
        for name, reason in failed.items():
            message = f"not compiled ahead: `{name}` ({reason})"
            self._sink(Event(phase="compile", state="moved", subject=name, message=message))
        self._sink(Event(phase="compile", state="done", done=count, total=count))


def _modules(distributions: Sequence[_Distribution]) -> list[str]:
    return sorted({name for item in distributions for name in item.modules})


def _distributions(site: Path) -> list[_Distribution]:
    found: list[_Distribution] = []
    for folder in sorted(site.glob("*.dist-info")):
        record = folder / "RECORD"
        if not record.is_file():
            continue
        with open(record, encoding="utf-8", newline="") as file:
            names = [row[0] for row in csv.reader(file) if row]
        stem = folder.name.removesuffix(".dist-info").rpartition("-")[0]
        found.append(
            _Distribution(
                name=canonicalize_name(stem),
                modules=_top_level(names),
                files=tuple(
                    site / name for name in names if name.endswith(".py") and ".." not in name
                ),
            )
        )
    return found


def _top_level(names: Sequence[str]) -> tuple[str, ...]:
    """The importable top-level names among the paths of a RECORD."""
    found: set[str] = set()
    for name in names:
        first, slash, rest = name.partition("/")
        if slash:
            if rest.endswith((".py", ".so", ".pyi")) and not first.endswith(
                (".dist-info", ".data")
            ):
                found.add(first)
        elif first.endswith((".py", ".so")):
            found.add(first.partition(".")[0])
    return tuple(sorted(n for n in found if n.isidentifier() and n != "__pycache__"))
