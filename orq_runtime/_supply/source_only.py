"""Distributions that an index has as source only: named all at once, built where that is allowed.

Rules of this file:

1. Nobody's code runs to find them: uv is told that they require nothing, which it then believes
   instead of asking a build; so it can say which version it would take, and where that lies.
2. Permission is by name, and the user's: a component cannot give it. What is allowed is fetched by
   its hash, built behind the wall like a vendored one, and resolved with what its wheel says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from packaging.utils import canonicalize_name

from orq_runtime._supply.build import Builder, Source
from orq_runtime._supply.fetch import fetch
from orq_runtime._supply.lock import Lock, Pinned
from orq_runtime._supply.resolve import Resolver, Spec
from orq_runtime._supply.store import Store
from orq_runtime._supply.wheels import LocalWheel
from orq_runtime.errors import ResolutionFailed
from orq_runtime.events import Event, Sink
from orq_runtime.settings import Settings

__all__ = ["SourceOnly"]

_MOST_ROUNDS: Final = 20
_NAMED: Final = (
    re.compile(r"Wheels are required for `([A-Za-z0-9._-]+)`"),
    re.compile(r"\b([A-Za-z0-9][A-Za-z0-9._-]*?)(?:[=<>!~]=?\S+)? has no usable wheels"),
)


class SourceOnly:
    """Makes a spec resolvable that needs distributions which have no wheels."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        resolver: Resolver,
        builder: Builder,
        sink: Sink,
    ) -> None:
        self._settings = settings
        self._store = store
        self._resolver = resolver
        self._builder = builder
        self._sink = sink

    def resolve(self, spec: Spec, resolve: Callable[[Spec], Lock]) -> Lock:
        """The lock that `resolve` gives, with wheels of what had to be built. Blocks.

        Raises `ResolutionFailed` with the names of all that may not be built, and the option.
        """
        for _ in range(_MOST_ROUNDS):
            try:
                return resolve(spec)
            except ResolutionFailed as error:
                names = _needed(error)
                if not names:
                    raise
                built = self._built(spec, names, error)
                spec = replace(spec, local=(*spec.local, *built))
        raise ResolutionFailed(
            f"more than {_MOST_ROUNDS} rounds of source distributions that need others"
        )

    def _built(
        self, spec: Spec, names: Collection[str], error: ResolutionFailed
    ) -> list[LocalWheel]:
        pins = self._found(spec, set(names))
        refused = sorted({pin.name for pin in pins} - set(self._settings.allow_build))
        if refused:
            listed = ", ".join(f"`{name}`" for name in refused)
            allowing = " ".join(f"--allow-build {name}" for name in refused)
            raise ResolutionFailed(
                f"available as source only, which a build would run: {listed}\n{error.message}",
                hint=f"allow it, behind the wall: {allowing}; or vendor a wheel of it",
            ) from error
        if not pins:
            raise error
        return [self._wheel(pin, spec) for pin in pins]

    def _found(self, spec: Spec, names: set[str]) -> tuple[Pinned, ...]:
        """The source distributions that uv would take, of these names and of all that show up."""
        for _ in range(_MOST_ROUNDS):
            try:
                return self._resolver.sources(spec, names)
            except ResolutionFailed as error:
                more = _needed(error) - names
                if not more:
                    raise
                names |= more
        return ()

    def _wheel(self, pin: Pinned, spec: Spec) -> LocalWheel:
        with self._store.scratch() as scratch:
            file = scratch / pin.file
            source = Source(path=file, digest=pin.digests[0], origin=pin.file)
            if wheel := self._builder.known(source, spec.interpreter):
                return wheel
            event = Event(phase="download", state="started", subject=pin.name, total=pin.size)
            self._sink(event)
            fetch(pin.package, file, self._settings, lambda _: None)
            self._sink(replace(event, state="done"))
            return self._builder.build(source, spec.interpreter, vendored=spec.local)


def _needed(error: ResolutionFailed) -> set[str]:
    """The names of which the reason says that they have no wheels."""
    return {canonicalize_name(name) for form in _NAMED for name in form.findall(error.message)}
