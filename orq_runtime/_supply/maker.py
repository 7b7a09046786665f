"""The maker: one request in, one environment out, from the store or made for it.

Rules of this file:

1. A request is first answered from the store alone; that starts no program and takes no lock.
2. What the store lacks is made under `Store.making`: wheels of local sources, then the lock, then
   the environment, then the support layer. Each is kept for itself: a failure loses only the rest.
"""

from __future__ import annotations

from pathlib import Path

from orq_runtime._supply.asked import Asked, check_wheels, read_request, required_names, unfit
from orq_runtime._supply.build import BUILD_KIT, Builder, Source
from orq_runtime._supply.install import (
    Installed,
    Installer,
    environment_digest,
    read_installed,
    site_packages,
)
from orq_runtime._supply.interpreters import Interpreters
from orq_runtime._supply.requirements import declared
from orq_runtime._supply.resolve import Resolver, Spec, index_digest
from orq_runtime._supply.sources import PythonBound
from orq_runtime._supply.store import Store
from orq_runtime._supply.support import Support
from orq_runtime._supply.uv import Uv
from orq_runtime._supply.wheels import LocalWheel
from orq_runtime.errors import ResolutionFailed
from orq_runtime.events import Event, Sink
from orq_runtime.model.command import CommandRunner
from orq_runtime.model.environment import (
    Environment,
    Interpreter,
    SupplyRequest,
)
from orq_runtime.settings import Settings

__all__ = ["Maker"]

_SOURCE_ROOTS = ("src/python", "src")


class Maker:
    """Answers requests in full: reads declarations, and makes what the store lacks."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        interpreters: Interpreters,
        sink: Sink,
        uv: Path | None,
        runner: CommandRunner,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._store = store
        self._interpreters = interpreters
        tool = Uv(settings=settings, store=store, sink=sink, binary=uv)
        self._resolver = Resolver(settings=settings, store=store, uv=tool, sink=sink)
        self._installer = Installer(
            settings=settings, store=store, uv=tool, runner=runner, sink=sink
        )
        self._builder = Builder(
            settings=settings,
            store=store,
            resolver=self._resolver,
            installer=self._installer,
            runner=runner,
            sink=sink,
        )
        self._support = Support(
            settings=settings,
            store=store,
            interpreters=interpreters,
            uv=tool,
            runner=runner,
            sink=sink,
        )

    # -- environments --------------------------------------------------------------------------

    def supply(self, request: SupplyRequest) -> Environment:
        """The environment of a request, made if the store lacks it. Blocks.

        Raises one of the `SupplyError` family and leaves nothing half-made.
        """
        interpreter = self._interpreters.find(request.python or self._settings.python)
        asked = read_request(request, interpreter)
        self._check_python(asked.bounds, interpreter)
        environment = self._known(asked)
        if environment is None:
            for note in asked.notes:
                self._sink(Event(phase="resolve", state="moved", message=note))
            with self._store.making():
                environment = self._made(asked)
        return environment

    def prepare(self, python: str | None) -> Interpreter:
        """Make ahead of time what every step on an interpreter needs. Blocks.

        That is its description, its support layer and a build kit, so that local packages and
        vendored source distributions can be built offline.
        """
        interpreter = self._interpreters.find(python or self._settings.python)
        lines = [declared(line, "the build kit") for line in BUILD_KIT]
        with self._store.making():
            self._support.layer(interpreter)
            with self._builder.kit(lines, interpreter, ()):
                pass  # that it can be leased is all
        return interpreter

    # -- the two ways to an environment --------------------------------------------------------

    def _known(self, asked: Asked) -> Environment | None:
        """The environment, if the store has it and all that leads to it."""
        wheels: list[LocalWheel] = []
        todo = [*asked.vendored, *asked.packages] or _wanted_by_name(asked, wheels)
        while todo:
            for source in todo:
                wheel = self._builder.known(source, asked.interpreter)
                if wheel is None:
                    return None
                wheels.append(wheel)
            todo = _wanted_by_name(asked, wheels)
        lock = self._resolver.known(self._spec(asked, wheels))
        support = self._support.known(asked.interpreter)
        if lock is None or support is None:
            return None
        installed = read_installed(self._store, environment_digest(lock, asked.interpreter))
        return None if installed is None else _environment(installed, support, asked.interpreter)

    def _made(self, asked: Asked) -> Environment:
        wheels = self._local_wheels(asked)
        lock = self._resolver.resolve(self._spec(asked, wheels))
        installed, made = self._installer.install(lock, asked.interpreter)
        support = self._support.layer(asked.interpreter)
        return _environment(installed, support, asked.interpreter, made=made)

    def _local_wheels(self, asked: Asked) -> list[LocalWheel]:
        """Vendored wheels first: they may be what the others are built with."""
        ready = [item for item in asked.vendored if item.is_wheel]
        wheels = [self._builder.build(item, asked.interpreter) for item in ready]
        vendored = tuple(wheels)
        todo = [item for item in asked.vendored if not item.is_wheel]
        todo = [*todo, *asked.packages] or _wanted_by_name(asked, wheels)
        while todo:
            wheels += [
                self._builder.build(item, asked.interpreter, vendored=vendored) for item in todo
            ]
            todo = _wanted_by_name(asked, wheels)
        return wheels

    def _spec(self, asked: Asked, wheels: list[LocalWheel]) -> Spec:
        beaten = check_wheels(wheels, asked.interpreter)
        bounds = [
            PythonBound(specifier=wheel.requires_python, origin=wheel.origin)
            for wheel in wheels
            if wheel.requires_python
        ]
        self._check_python(bounds, asked.interpreter)
        return Spec(
            requirements=asked.requirements,
            constraints=asked.constraints,
            local=tuple({wheel.name: wheel for wheel in wheels}.values()),
            beaten=beaten,
            interpreter=asked.interpreter,
            index_digest=index_digest(self._settings),
            exclude_newer=self._settings.exclude_newer,
        )

    def _check_python(
        self, bounds: tuple[PythonBound, ...] | list[PythonBound], interpreter: Interpreter
    ) -> None:
        bound = unfit(bounds, interpreter)
        if bound is None:
            return
        fitting = [found for found in self._interpreters.all() if unfit(bounds, found) is None]
        version = ".".join(str(part) for part in interpreter.version)
        raise ResolutionFailed(
            f"{bound.origin} requires Python `{bound.specifier}`, and this is {version}",
            hint=f"choose another interpreter: --python {fitting[0].minor}"
            if fitting
            else "no interpreter on this machine fits: install one and name it with --python",
        )


def _wanted_by_name(asked: Asked, wheels: list[LocalWheel]) -> list[Source]:
    """Components that are packages only on demand, when something demands them by name."""
    provided = {wheel.origin for wheel in wheels}
    names = required_names(asked.requirements, wheels)
    return [
        source for name, source in asked.by_name if name in names and source.origin not in provided
    ]


def _environment(
    installed: Installed, support: Path, interpreter: Interpreter, *, made: bool = False
) -> Environment:
    return Environment(
        key=installed.key,
        path=installed.path,
        python=installed.path / "bin" / "python",
        site_packages=site_packages(installed.path, interpreter),
        support=support,
        interpreter=interpreter,
        lock=tuple(item.package for item in installed.packages),
        modules=installed.modules,
        local_modules=installed.local_modules,
        content_key=installed.content_key,
        origin="built" if made else "hit",
    )
