"""The support layer: typeguard and orjson for the guest, apart from the user's environment.

One folder per kind of interpreter. For one that is binary-compatible with the host's it is a copy
of what is installed here, without network; others get pinned versions, as wheels.
"""

from __future__ import annotations

import csv
import importlib.util
import shutil
from pathlib import Path

from orq_runtime import _fs
from orq_runtime._digest import Digest
from orq_runtime._supply.compiler import Compiler
from orq_runtime._supply.frame import empty
from orq_runtime._supply.interpreters import Interpreters
from orq_runtime._supply.manifest import write_manifest
from orq_runtime._supply.runner import tail
from orq_runtime._supply.store import Store
from orq_runtime._supply.uv import Uv
from orq_runtime._supply.waiting import exclusively
from orq_runtime.errors import SupplyError
from orq_runtime.events import Event, Sink
from orq_runtime.model.command import CommandRunner
from orq_runtime.model.environment import Interpreter
from orq_runtime.settings import Settings

__all__ = ["Support", "SupportKeys"]

_RECIPE = 2
_COPIED = ("orjson", "typeguard", "typing_extensions")
_PINNED = {
    (3, 8): (
        "importlib-metadata==8.5.0",
        "orjson==3.10.15",
        "typeguard==4.4.0",
        "typing-extensions==4.13.2",
        "zipp==3.20.2",
    ),
    (3, 9): (
        "importlib-metadata==8.7.0",
        "orjson==3.11.5",
        "typeguard==4.5.2",
        "typing-extensions==4.15.0",
        "zipp==3.23.0",
    ),
}
_PINNED_SINCE_310 = ("orjson==3.13.0", "typeguard==4.6.0", "typing-extensions==4.16.0")


class SupportKeys:
    """Names support layers: what an interpreter's is made from is in its key."""

    def __init__(self, interpreters: Interpreters) -> None:
        self._interpreters = interpreters
        self._host: dict[str, Path] | None = None

    def of(self, interpreter: Interpreter) -> str:
        """The key of an interpreter's layer."""
        digest = Digest("support", _RECIPE)
        digest.texts("python", [str(part) for part in interpreter.version[:2]])
        digest.text("soabi", interpreter.soabi)
        digest.text("platform", interpreter.platform)
        digest.text("libc", interpreter.libc)
        copied = self.is_like_host(interpreter)
        digest.text("source", "copied" if copied else "pinned")
        if copied:
            return digest.texts("packages", [item.name for item in self.installed().values()]).key()
        return digest.texts("packages", _pinned(interpreter)).key()

    def is_like_host(self, interpreter: Interpreter) -> bool:
        """Whether the host's own packages can be copied for it."""
        host = self._interpreters.host()
        mine = (host.cache_tag, host.soabi, host.platform, host.libc)
        theirs = (interpreter.cache_tag, interpreter.soabi, interpreter.platform, interpreter.libc)
        return mine == theirs and len(self.installed()) == len(_COPIED)

    def installed(self) -> dict[str, Path]:
        """The `.dist-info` folders of the host's own distributions, by name."""
        if self._host is None:
            found = {name: folder for name in _COPIED if (folder := _dist_info(name)) is not None}
            self._host = found  # at once: other threads must not see a part
        return self._host


class Support:
    """Gives an interpreter its support layer."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        interpreters: Interpreters,
        uv: Uv,
        runner: CommandRunner,
        sink: Sink,
    ) -> None:
        self._settings = settings
        self._store = store
        self._interpreters = interpreters
        self._uv = uv
        self._runner = runner
        self._sink = sink
        self._keys = SupportKeys(interpreters)

    def known(self, interpreter: Interpreter) -> Path | None:
        """The layer, if the store has it; starts nothing."""
        path = self._store.support / self._keys.of(interpreter)
        return path if path.is_dir() else None

    def layer(self, interpreter: Interpreter) -> Path:
        """The layer, made if missing. Blocks."""
        key = self._keys.of(interpreter)
        path = self._store.support / key
        if path.is_dir():  # looked at first: whoever leases it keeps the lock from us
            return path
        what = f"the support layer for Python {interpreter.minor} is being made"
        with exclusively(self._store, self._sink, "support", key, subject=key, what=what):
            if path.is_dir():
                return path
            self._sink(Event(phase="support", state="started", subject=interpreter.minor))
            with self._store.scratch() as scratch:
                staged = scratch / "support"
                staged.mkdir()
                with Compiler(
                    self._runner, scratch=scratch, interpreter=interpreter, place=staged
                ) as compiler:
                    self._fill(staged, interpreter)
                    made = compiler.compile(staged, files=sorted(staged.rglob("*.py")))
                if not made.end.ok:
                    said = tail(made.end) or made.end.message
                    raise SupplyError(f"the support layer does not compile:\n{said}")
                write_manifest(staged)
                _fs.publish(staged, path)
            self._sink(Event(phase="support", state="done", subject=interpreter.minor))
        return path

    def _fill(self, staged: Path, interpreter: Interpreter) -> None:
        if self._keys.is_like_host(interpreter) and _copy(self._keys.installed(), staged):
            return
        empty(staged)
        self._uv.run(
            "support",
            [
                "pip",
                "install",
                "--python",
                str(interpreter.path),
                "--target",
                str(staged),
                "--no-deps",
                "--no-build",
                "--no-config",
                *_pinned(interpreter),
            ],
            indexes=True,
            subject="support layer",
        )
        shutil.rmtree(staged / "bin", ignore_errors=True)
        (staged / ".lock").unlink(missing_ok=True)


def _pinned(interpreter: Interpreter) -> tuple[str, ...]:
    return _PINNED.get(interpreter.version[:2], _PINNED_SINCE_310)


def _dist_info(name: str) -> Path | None:
    # importlib.metadata would do it; its import alone takes longer than a whole hit
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    module = Path(spec.origin)
    site = module.parent if spec.submodule_search_locations is None else module.parent.parent
    found = [*site.glob(f"{name}-*.dist-info")]
    return found[0] if len(found) == 1 else None


def _copy(distributions: dict[str, Path], target: Path) -> bool:
    """Copy what they recorded; False when one is not installed as plain files (editable)."""
    for name, folder in distributions.items():
        with open(folder / "RECORD", encoding="utf-8", newline="") as file:
            recorded = [Path(row[0]) for row in csv.reader(file) if row]
        for path in recorded:
            if ".." in path.parts or path.is_absolute() or path.suffix == ".pyc":
                continue
            source, copy = folder.parent / path, target / path
            if not source.is_file():
                return False
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        if not ((target / name).is_dir() or (target / f"{name}.py").is_file()):
            return False
    return True
