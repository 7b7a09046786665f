"""From steps to environments that stay: what a session asks of supply, and leases while open."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from orq_runtime import _fs
from orq_runtime._run.bundle import stage
from orq_runtime._run.guest import Guests
from orq_runtime._supply import Remembered, Supplier
from orq_runtime._supply.store import Lease
from orq_runtime.errors import RequestError, StoreError
from orq_runtime.languages import language
from orq_runtime.model.environment import (
    Component,
    Environment,
    Freshness,
    Interpreter,
    SupplyRequest,
)
from orq_runtime.model.step import Step
from orq_runtime.settings import Settings

__all__ = ["NotAtHand", "Provision"]


class NotAtHand(Exception):
    """It cannot be had without waiting."""


class Provision:
    """Requests, leases and bundles of one session. Safe for several threads."""

    def __init__(self, *, settings: Settings, supplier: Supplier, guests: Guests) -> None:
        self._settings = settings
        self.is_silent = supplier.is_silent
        self._guests = guests
        self._supplier = supplier
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}
        self._bundles: dict[Path, int] = {}
        self._expected: set[str] = set()

    def joint(self, targets: Iterable[Step | Path | str], freshness: Freshness) -> SupplyRequest:
        """One request for several targets. Raises `RequestError` where they do not go together."""
        requests = [self.request_of(target)[0] for target in targets]
        if not requests:
            raise RequestError("nothing to supply", hint="give a step or a component's folder")
        pythons = {request.python for request in requests if request.python}
        if len(pythons) > 1:
            raise RequestError(f"one environment has one interpreter, not: `{sorted(pythons)}`")
        return SupplyRequest(
            components=tuple(dict.fromkeys(c for r in requests for c in r.components)),
            scripts=tuple(dict.fromkeys(s for r in requests for s in r.scripts)),
            requirements=tuple(dict.fromkeys(line for r in requests for line in r.requirements)),
            python=pythons.pop() if pythons else None,
            freshness=freshness,
        )

    def request_of(
        self, target: Step | Path | str
    ) -> tuple[SupplyRequest, tuple[Component, ...], tuple[str, ...]]:
        """What a step or a component's folder asks for, and the components that it lies in.

        Also the folders whose stamps change when the components may be others.
        """
        if not isinstance(target, Step):
            component = self._supplier.component(Path(target))
            request = SupplyRequest(components=(component,), python=self._settings.python)
            return request, (component,), ()
        components, places = self._components(target)
        speaker = language(target.language)
        request = speaker.supply_request(target, components, self._settings.python)
        return request, components, places

    def _components(self, step: Step) -> tuple[tuple[Component, ...], tuple[str, ...]]:
        places: list[str] = []
        if step.components:
            found = tuple(self._supplier.component(folder) for folder in step.components)
        else:
            own = None if step.file is None else self._supplier.component_of(step.file, places)
            found = () if own is None else (own,)
        for component in found:
            places += (f"{component.path}", f"{component.path}/src")
        return found, tuple(dict.fromkeys(places))

    def environment(self, request: SupplyRequest) -> Environment:
        """The environment, leased until `close`: zygotes and spares live in it. Blocks."""
        for is_last in (False, False, False, True):
            environment = self._supplier.supply(request, on_filled=self._start_ahead)
            with self._lock:
                if environment.key in self._leases:
                    return environment
                try:
                    self._leases[environment.key] = self._supplier.lease(environment)
                except StoreError:  # cleaned away since it was found: make it again
                    if is_last:
                        raise
                else:
                    return environment
        raise AssertionError("the loop returns or raises")

    def expect(self, environment: Environment) -> None:
        """A run in an environment follows: the guest of the first starts while it is prepared."""
        if environment.key not in self._expected:
            self._expected.add(environment.key)
            self._start_ahead(environment.interpreter)

    def _start_ahead(self, interpreter: Interpreter) -> None:
        self._guests.start_ahead(interpreter.path, self.bundle(interpreter))

    def environment_at_hand(self, request: SupplyRequest) -> Environment:
        """The same without blocking. Raises `NotAtHand`."""
        remembered = self._supplier.at_hand(request)
        if remembered is None or remembered.environment.key not in self._leases:
            raise NotAtHand
        if not self._supplier.again(remembered):
            raise NotAtHand
        return remembered.environment

    def remembered(self, request: SupplyRequest, environment: Environment) -> Remembered | None:
        """What tells whether it is given again, where the environment was remembered."""
        remembered = self._supplier.at_hand(request)
        if remembered is None or remembered.environment.key != environment.key:
            return None
        return remembered

    def use(self, environment: Environment) -> bool:
        """An environment is used again of which nothing has changed; whether it is leased still.

        If all of it `is_silent`, that need not be told more often than once in some seconds.
        """
        self._supplier.use(environment.key)
        return environment.key in self._leases

    def bundle(self, interpreter: Interpreter) -> Path:
        """The guest for an interpreter, kept until `close`. Blocks."""
        while True:
            bundle = stage(self._settings.cache_dir, interpreter)
            with self._lock:
                if bundle in self._bundles:
                    return bundle
                held = _fs.lock_folder(bundle, shared=True)
                if held is not None:  # else it was cleaned away since: make it again
                    self._bundles[bundle] = held
                    return bundle

    def close(self) -> None:
        """End all leases."""
        for lease in self._leases.values():
            lease.close()
        self._leases.clear()
        while self._bundles:
            os.close(self._bundles.popitem()[1])
