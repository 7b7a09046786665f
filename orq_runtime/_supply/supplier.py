"""The supplier: what the layers above ask for components and environments.

Rules of this file:

1. A request that was answered before, and whose declarations are as they were, is answered from
   the memo: no resolver, no parser of requirements, not even their modules.
2. All else is the maker's, which is loaded when it is needed.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from orq_runtime._supply.memo import Memo, Remembered
from orq_runtime._supply.store import Lease, Store
from orq_runtime.errors import BadComponent, InternalError, InterpreterNotFound
from orq_runtime.events import Event, Sink, ignore
from orq_runtime.model.environment import (
    Component,
    Environment,
    Explanation,
    Interpreter,
    SupplyRequest,
)
from orq_runtime.model.place import absolute
from orq_runtime.settings import Settings

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orq_runtime._supply.interpreters import Interpreters
    from orq_runtime._supply.maker import Maker
    from orq_runtime.model.command import CommandRunner
    from orq_runtime.model.stored import CleanReport, Finding, StoredEnvironment, StoreSize

__all__ = ["Supplier"]

_DECLARATIONS = ("requirements.txt", "pyproject.toml", "setup.py", "setup.cfg")
_VENDOR = "vendor"
_TOUCH_SECONDS = 60.0  # cleaning by age counts in days
_SOURCE_ROOTS = ("src/python", "src")


class Supplier:
    """Makes and finds environments. Safe for several threads; making the value does no I/O.

    `runner` runs third-party programs behind the wall: without one nothing is made, only found.
    `uv` names the uv binary, `home` bounds the search for a component; both have the obvious
    default.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        sink: Sink = ignore,
        uv: Path | None = None,
        runner: CommandRunner | None = None,
        home: Path | None = None,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self.is_silent = sink is ignore
        self._uv = uv
        self._runner = runner
        self._home = home or Path.home()
        self._store = Store(settings.cache_dir)
        self._memo = Memo(store=self._store, settings=settings)
        self._made: Maker | None = None

    # -- components ----------------------------------------------------------------------------

    def component_of(self, file: Path, places: list[str] | None = None) -> Component | None:
        """The component of a step's file: the nearest folder upwards with a declaration file.

        None without one. The search stops before the home folder, before a folder that anybody may
        write to, and at a file-system boundary. The folders looked into are added to `places`.
        """
        folder = absolute(file).parent
        try:
            device = folder.stat().st_dev
            while folder not in (self._home, folder.parent):
                status = folder.stat()
                if status.st_dev != device or status.st_mode & stat.S_IWOTH:
                    return None
                if places is not None:
                    places.append(str(folder))
                if any(os.path.lexists(folder / name) for name in _DECLARATIONS):
                    return self.component(folder)
                if (folder / _VENDOR).is_dir():
                    return self.component(folder)
                folder = folder.parent
        except OSError:
            return None
        return None

    def component(self, folder: Path) -> Component:
        """A folder named by the caller, as a component. Raises `BadComponent` if it is none."""
        path = absolute(folder)
        if not path.is_dir():
            raise BadComponent(f"not a folder: `{folder}`", hint="name a component's folder")
        roots = [path / name for name in _SOURCE_ROOTS if (path / name).is_dir()]
        return Component(name=path.name, path=path, roots=(*roots, path))

    # -- environments --------------------------------------------------------------------------

    def supply(
        self, request: SupplyRequest, *, on_filled: Callable[[Interpreter], None] | None = None
    ) -> Environment:
        """The environment of a request, made if the store lacks it. Blocks.

        `on_filled` hears of one that is being made when only bytecode is missing.
        Raises one of the `SupplyError` family and leaves nothing half-made.
        """
        environment = self._memo.recall(request)
        if environment is None:
            read_ns = time.time_ns()
            environment, included = self._maker().supply(request, on_filled)
            self._memo.keep(request, environment, included, read_ns)
        if environment.origin == "hit":
            self._sink(Event(phase="hit", state="done", subject=environment.key))
        self._store.touch(environment.key)
        return environment

    def at_hand(self, request: SupplyRequest) -> Remembered | None:
        """What a request was answered with before, for `again`. Does not block."""
        return self._memo.at_hand(request)

    def again(self, remembered: Remembered) -> bool:
        """Whether that answer is given again: it holds, and is used now. Does not block."""
        if not remembered.holds():
            return False
        self.use(remembered.environment.key)
        return True

    def use(self, key: str) -> None:
        """An environment that was found before is used again. Does not block."""
        if not self.is_silent:  # hot runs come by here
            self._sink(Event(phase="hit", state="done", subject=key))
        self._store.touch(key, again_seconds=_TOUCH_SECONDS)

    def explain(self, request: SupplyRequest) -> Explanation:
        """Supply, and say why the environment was found or had to be made. Blocks."""
        environment = self._memo.recall(request)
        if environment is not None:
            self._store.touch(environment.key)
            reason = "nothing that it was made from has changed since it was last asked for"
            return Explanation(environment=environment, reason=reason)
        read_ns = time.time_ns()
        explanation, included = self._maker().explain(request)
        self._memo.keep(request, explanation.environment, included, read_ns)
        self._store.touch(explanation.environment.key)
        return explanation

    def write_lock(self, request: SupplyRequest) -> tuple[Path, Environment]:
        """Supply, and write the lock beside the first component or the script. Blocks.

        The lock is a `pylock.toml` (PEP 751). Raises `RequestError` where there is no such place.
        """
        place, environment = self._maker().write_lock(request)
        self._store.touch(environment.key)
        return place, environment

    def vendor(self, request: SupplyRequest) -> tuple[list[Path], Environment]:
        """Supply, and fill the first component's `vendor/` so that it supplies offline elsewhere.

        Blocks. The new files, and the environment. Raises `RequestError` without a component.
        """
        made, environment = self._maker().vendor(request)
        self._store.touch(environment.key)
        return made, environment

    def prepare(self, python: str | None) -> Interpreter:
        """Make ahead of time what every step on an interpreter needs. Blocks.

        That is its description, its support layer and a build kit, so that local packages and
        vendored source distributions can be built offline.
        """
        return self._maker().prepare(python)

    def usual_interpreter(self) -> Interpreter:
        """The one that the settings name, if it is there, else that of this very process."""
        try:
            return self._interpreters.find(self._settings.python)
        except InterpreterNotFound:  # whoever asks for an environment on it hears of that
            return self._interpreters.host()

    def interpreters(self) -> list[Interpreter]:
        """The supported interpreters found on this machine, the host's first."""
        return self._interpreters.all()

    def environments(self) -> list[StoredEnvironment]:
        """The environments in the store, the last used first."""
        from orq_runtime._supply.clean import list_environments  # start-up budget

        return list_environments(self._store)

    def clean(self) -> CleanReport:
        """Remove everything from the store that is not in use; says what stayed, and why."""
        from orq_runtime._supply.clean import clean  # start-up budget

        return clean(self._store)

    def size(self) -> StoreSize:
        """What the store takes on the disk. Blocks: it looks at every file."""
        from orq_runtime._supply.clean import measure  # start-up budget

        return measure(self._store)

    def pin(self, text: str, *, is_pinned: bool = True) -> str:
        """Keep an environment from being cleaned away, or no more; its key.

        `text` is its key or the beginning of it. Raises `RequestError` when it names none, or many.
        """
        from orq_runtime._supply.clean import find  # start-up budget

        key = find(self._store, text).name
        if is_pinned:
            self._store.pin(key)
        else:
            self._store.unpin(key)
        return key

    def prune(
        self, *, max_bytes: int | None = None, older_than_seconds: float | None = None
    ) -> CleanReport:
        """Remove environments not used for that long, what leads to none, and then by size. Blocks.

        Nothing that is leased, being made or pinned is removed, and nobody is kept waiting.
        """
        from orq_runtime._supply.prune import prune  # start-up budget

        return prune(
            self._store,
            now=time.time(),
            uv_cache=self._uv_cache,
            supports=self._support_keys(),
            max_bytes=max_bytes,
            older_than_seconds=older_than_seconds,
        )

    def verify(self, text: str = "", *, repair: bool = False) -> Iterator[Finding]:
        """Check the store, or one environment, against what was made; a finding each. Blocks.

        What is not as it was made is taken out of use, and with `repair` made again.
        """
        from orq_runtime._supply.clean import find  # start-up budget
        from orq_runtime._supply.verify import verify

        only = find(self._store, text) if text else None
        again = self._maker().repair if repair else None
        return verify(self._store, only=only, repair=again)

    def _uv_cache(self, words: Sequence[str]) -> None:
        from orq_runtime._supply.uv import Uv  # start-up budget

        uv = Uv(settings=self._settings, store=self._store, sink=self._sink, binary=self._uv)
        with self._store.making():
            uv.run("install", ["cache", *words, "--no-config"])

    def _support_keys(self) -> set[str]:
        from orq_runtime._supply.support import SupportKeys  # start-up budget

        keys = SupportKeys(self._interpreters)
        return {keys.of(interpreter) for interpreter in self._interpreters.all()}

    def lease(self, environment: Environment) -> Lease:
        """Keep an environment from being removed until the lease is closed.

        Raises `StoreError` when it is not in the store any more: supply it again.
        """
        return Lease(self._store, environment)

    @property
    def _interpreters(self) -> Interpreters:
        from orq_runtime._supply.interpreters import Interpreters  # start-up budget, as above

        return Interpreters(
            store=self._store,
            environment=self._settings.tool_environment,
            places=self._settings.python_dirs,
        )

    def _maker(self) -> Maker:
        if self._runner is None:
            raise InternalError("a supplier without a runner makes nothing")
        if self._made is None:
            from orq_runtime._supply.maker import Maker  # start-up budget: a memo needs none of it

            self._made = Maker(
                settings=self._settings,
                store=self._store,
                interpreters=self._interpreters,
                sink=self._sink,
                uv=self._uv,
                runner=self._runner,
            )
        return self._made
