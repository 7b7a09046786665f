"""The maker: one request in, one environment out, from the store or made for it.

Rules of this file:

1. A request is first answered from the store alone; that starts no program and takes no lock.
2. What the store lacks is made under `Store.making`: wheels of local sources, then the lock, then
   the environment, then the support layer. Each is kept for itself: a failure loses only the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from orq_runtime._supply.asked import (
    Asked,
    check_python,
    check_wheels,
    read_request,
    unfit,
    wanted_by_name,
)
from orq_runtime._supply.build import BUILD_KIT, Builder, source_of
from orq_runtime._supply.explain import Before, explained
from orq_runtime._supply.failures import forget_failures
from orq_runtime._supply.frame import site_packages
from orq_runtime._supply.indexes import index_digest
from orq_runtime._supply.install import (
    Installed,
    Installer,
    OnFilled,
    Staging,
    bytecode_of,
    environment_digest,
    read_installed,
)
from orq_runtime._supply.interpreters import Interpreters
from orq_runtime._supply.lock import Lock, lock_of
from orq_runtime._supply.locking import (
    check_held,
    constraints_of,
    lock_at_hand,
    lock_text,
    preferred,
    write_lock,
)
from orq_runtime._supply.requirements import declared
from orq_runtime._supply.resolve import Resolver, Spec
from orq_runtime._supply.source_only import SourceOnly
from orq_runtime._supply.sources import PythonBound
from orq_runtime._supply.store import Store, read_json
from orq_runtime._supply.support import Support
from orq_runtime._supply.uv import Uv
from orq_runtime._supply.vendoring import fill_vendor
from orq_runtime._supply.waiting import making
from orq_runtime._supply.wheels import LocalWheel
from orq_runtime.errors import (
    InternalError,
    RequestError,
    SandboxError,
    StoreError,
)
from orq_runtime.events import Event, Sink
from orq_runtime.model.command import CommandRunner
from orq_runtime.model.environment import (
    Environment,
    Explanation,
    Freshness,
    Interpreter,
    SupplyRequest,
)
from orq_runtime.settings import Settings

__all__ = ["Maker"]

_AS_BEFORE = Freshness()


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
        self._uv = tool = Uv(settings=settings, store=store, sink=sink, binary=uv)
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
        self._source_only = SourceOnly(
            settings=settings,
            store=store,
            resolver=self._resolver,
            builder=self._builder,
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

    def supply(
        self, request: SupplyRequest, on_filled: OnFilled | None = None
    ) -> tuple[Environment, tuple[Path, ...]]:
        """The environment of a request, made if the store lacks it. Blocks.

        With it come the files that its declarations name. Raises one of the `SupplyError` family
        and leaves nothing half-made.
        """
        asked = self._read(request)
        is_new = request.freshness.is_new
        if request.freshness.refresh:
            forget_failures(self._store)
        if is_new and self._settings.lock_mode != "open":
            raise RequestError(
                f"nothing is upgraded or refreshed with `{self._settings.lock_mode}`",
                hint="make the lock anew with --lock",
            )
        environment = None if is_new else self._known(asked)
        if environment is None:
            self._note(asked)
            with making(self._store, self._sink):
                environment = self._made(asked, request.freshness, on_filled)
        return environment, asked.included

    def explain(self, request: SupplyRequest) -> tuple[Explanation, tuple[Path, ...]]:
        """Supply, and say why the environment was found or made. Blocks."""
        before = Before(self._store)
        environment, included = self.supply(request)
        asked = read_request(request, environment.interpreter)
        with making(self._store, self._sink):
            spec = self._spec(asked, self._local_wheels(asked), request.freshness)
        return explained(environment, before=before, spec=spec.digest()), included

    def write_lock(self, request: SupplyRequest) -> tuple[Path, Environment]:
        """Lock what the request declares, beside its first component or its script. Blocks.

        A lock that is there is kept as far as it goes; one that fits stays as it is.
        """
        asked = self._read(request)
        interpreter = asked.interpreter
        place = asked.lock_place
        if place is None:
            raise RequestError(
                "a lock is written beside a component or a step's file",
                hint="name its folder or its file",
            )
        self._note(asked)
        with making(self._store, self._sink):
            spec = self._spec(asked, self._local_wheels(asked), request.freshness, is_lock=True)
            is_fit = asked.lock is not None and asked.lock.declared == spec.declared_key
            if is_fit and not request.freshness.is_new:
                return place, self._made(asked, request.freshness)
            kept = preferred(asked.lock) if asked.lock else None
            lock = self._source_only.resolve(
                spec,
                lambda one: self._resolver.resolve(
                    one, freshness=request.freshness, preferred=kept
                ),
            )
            environment = self._installed(lock, interpreter)
            return write_lock(place, lock_text(lock, spec, place)), environment

    def vendor(self, request: SupplyRequest) -> tuple[list[Path], Environment]:
        """Supply, and fill the first component's `vendor/` with all that came of an index. Blocks.

        The new files. Raises `RequestError` without a component.
        """
        if not request.components:
            raise RequestError("`vendor/` lies in a component", hint="name a component's folder")
        environment, _ = self.supply(request)
        interpreter = environment.interpreter
        asked = read_request(request, interpreter)
        sources = [*asked.vendored, *asked.packages, *(source for _, source in asked.by_name)]
        sources += [source_of(item) for item in environment.lock if item.local and item.url]
        tools = {
            pin.name: pin.package
            for item in sources
            for pin in self._builder.tools_of(item, interpreter)
        }
        with making(self._store, self._sink):
            spec = self._spec(asked, self._local_wheels(asked))
            made = fill_vendor(
                request.components[0].path,
                self._source_only.with_places(environment.lock, spec),
                tools.values(),
                store=self._store,
                settings=self._settings,
                sink=self._sink,
            )
        return made, environment

    def _note(self, asked: Asked) -> None:
        for note in asked.notes:
            self._sink(Event(phase="resolve", state="moved", message=note))

    def prepare(self, python: str | None) -> Interpreter:
        """Make ahead of time what every step on an interpreter needs. Blocks.

        That is its description, its support layer and a build kit, so that local packages and
        vendored source distributions can be built offline.
        """
        interpreter = self._interpreters.find(python or self._settings.python)
        lines = [declared(line, "the build kit") for line in BUILD_KIT]
        with making(self._store, self._sink):
            self._support.layer(interpreter)
            with self._builder.kit(lines, interpreter, ()):
                pass  # that it can be leased is all
        return interpreter

    def _read(self, request: SupplyRequest) -> Asked:
        """What the request declares, for its interpreter.

        That is the one it names; else the host's own if it fits what is declared, else the first
        on this machine that does.
        """
        wanted = request.python or self._settings.python
        asked = read_request(request, self._interpreters.find(wanted))
        bound = unfit(asked.bounds, asked.interpreter)
        if bound is None:
            return asked
        fitting = (found for found in self._interpreters.all() if not unfit(asked.bounds, found))
        other = next(fitting, None) if wanted is None else None
        if other is None:
            check_python(asked.bounds, asked.interpreter, self._interpreters)
            raise InternalError("an interpreter that does not fit was let pass")
        note = f"Python {other.minor} is used: {bound.origin} requires `{bound.specifier}`"
        self._sink(Event(phase="resolve", state="moved", message=note))
        return read_request(request, other)

    def repair(self, place: Path) -> None:
        """Make an environment again from the lock that a copy of it, kept apart, was made from.

        uv forgets its packages first: what was edited is the same file in its cache. Blocks.
        """
        document = read_json(place / "orq.json")
        try:
            assert document is not None
            lock = lock_of(document)
            found = document["interpreter"]
            assert isinstance(found, dict)
            interpreter = self._interpreters.describe(Path(found["path"]))
            bytecode = bytecode_of(document["preimage"])
        except (AssertionError, KeyError, TypeError) as error:
            raise StoreError(
                f"what it was made from cannot be read: `{place.name}`", hint="supply it again"
            ) from error
        with making(self._store, self._sink):
            if lock.packages:
                names = [item.name for item in lock.packages]
                self._uv.run("install", ["cache", "clean", "--no-config", *names])
            self._installer.install(lock, interpreter, bytecode=bytecode)
            self._support.layer(interpreter)

    # -- the two ways to an environment --------------------------------------------------------

    def _known(self, asked: Asked) -> Environment | None:
        """The environment, if the store has it and all that leads to it."""
        wheels: list[LocalWheel] = []
        todo = [*asked.vendored, *asked.packages] or wanted_by_name(asked, wheels)
        while todo:
            for source in todo:
                wheel = self._builder.known(source, asked.interpreter)
                if wheel is None:
                    return None
                wheels.append(wheel)
            todo = wanted_by_name(asked, wheels)
        spec = self._spec(asked, wheels)
        lock = lock_at_hand(asked, spec, self._settings.lock_mode)
        if lock is None:
            lock = self._source_only.known(spec)
        else:
            lock = self._source_only.known_completed(lock, spec)
        support = self._support.known(asked.interpreter)
        if lock is None or support is None:
            return None
        digest = environment_digest(lock, asked.interpreter, self._settings.compile)
        installed = read_installed(self._store, digest)
        return None if installed is None else _environment(installed, support, asked.interpreter)

    def _made(
        self, asked: Asked, freshness: Freshness, on_filled: OnFilled | None = None
    ) -> Environment:
        spec = self._spec(asked, self._local_wheels(asked), freshness)
        with self._staging(spec, on_filled) as staging:
            mode = self._settings.lock_mode
            lock = None if freshness.is_new else lock_at_hand(asked, spec, mode)
            if lock is None:
                lock = self._source_only.resolve(
                    spec, lambda one: self._resolver.resolve(one, freshness=freshness)
                )
                check_held(lock, asked, mode)
            else:
                lock = self._source_only.completed(lock, spec)
            return self._installed(lock, asked.interpreter, staging)

    @contextlib.contextmanager
    def _staging(self, spec: Spec, on_filled: OnFilled | None) -> Iterator[Staging | None]:
        """A place for the environment, made while it is found out what belongs into it."""
        with contextlib.ExitStack() as stack:
            staging = None
            if (spec.requirements or spec.local) and not self._resolver.is_refused(spec):
                with contextlib.suppress(SandboxError):  # raised when there is need for it
                    place = self._installer.staging(spec.interpreter, on_filled=on_filled)
                    staging = stack.enter_context(place)
            yield staging

    def _installed(
        self, lock: Lock, interpreter: Interpreter, staging: Staging | None = None
    ) -> Environment:
        installed, made = self._installer.install(lock, interpreter, staging)
        support = self._support.layer(interpreter)
        return _environment(installed, support, interpreter, made=made)

    def _local_wheels(self, asked: Asked) -> list[LocalWheel]:
        """Vendored wheels first: they may be what the others are built with."""
        ready = [item for item in asked.vendored if item.is_wheel]
        wheels = [self._builder.build(item, asked.interpreter) for item in ready]
        tools = [self._builder.build(item, asked.interpreter) for item in asked.tools]
        vendored = (*wheels, *tools)
        todo = [item for item in asked.vendored if not item.is_wheel]
        todo = [*todo, *asked.packages] or wanted_by_name(asked, wheels)
        while todo:
            wheels += [
                self._builder.build(item, asked.interpreter, vendored=vendored) for item in todo
            ]
            todo = wanted_by_name(asked, wheels)
        return wheels

    def _spec(
        self,
        asked: Asked,
        wheels: list[LocalWheel],
        freshness: Freshness = _AS_BEFORE,
        *,
        is_lock: bool = False,
    ) -> Spec:
        beaten = check_wheels(wheels, asked.interpreter)
        bounds = [
            PythonBound(specifier=wheel.requires_python, origin=wheel.origin)
            for wheel in wheels
            if wheel.requires_python
        ]
        check_python(bounds, asked.interpreter, self._interpreters)
        return Spec(
            requirements=asked.requirements,
            constraints=asked.constraints,
            pins=constraints_of(asked, freshness, is_rewritten=is_lock),
            local=tuple({wheel.name: wheel for wheel in wheels}.values()),
            beaten=beaten,
            interpreter=asked.interpreter,
            index_digest=index_digest(self._settings),
            exclude_newer=self._settings.exclude_newer,
        )


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
