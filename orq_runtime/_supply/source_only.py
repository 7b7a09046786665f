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
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from orq_runtime._dataclass import replace
from orq_runtime._supply.build import Builder, Source
from orq_runtime._supply.lock import Lock, Pinned, pins_document, pins_of
from orq_runtime._supply.requirements import declared
from orq_runtime._supply.resolve import Resolver, Spec, cure_of, declared_by, with_local
from orq_runtime._supply.store import Store, read_json, write_json
from orq_runtime._supply.wheels import LocalWheel
from orq_runtime.errors import BuildFailed, ResolutionFailed
from orq_runtime.events import Event, Sink
from orq_runtime.model.environment import LockedPackage
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
        asked = spec
        for _ in range(_MOST_ROUNDS):
            try:
                lock = resolve(spec)
            except ResolutionFailed as error:
                names = _needed(error)
                if not names:
                    raise
                built = self._built(spec, names, error)
                spec = replace(spec, local=(*spec.local, *built))
            else:
                self._remember(asked, spec)
                return lock
        raise ResolutionFailed(
            f"more than {_MOST_ROUNDS} rounds of source distributions that need others"
        )

    def known(self, spec: Spec) -> Lock | None:
        """The lock that the store has for the spec, with wheels that it has; starts nothing."""
        if lock := self._resolver.known(spec):
            return lock
        document = read_json(self._place(spec))
        if document is None:
            return None
        pins = pins_of(document["pins"])
        if {pin.name for pin in pins} - set(self._settings.allow_build):
            return None
        wheels = self._known_wheels(pins, spec)
        return None if wheels is None else self._resolver.known(_with(spec, wheels))

    def completed(self, lock: Lock, spec: Spec) -> Lock:
        """The lock with a wheel for each source distribution that it names. Blocks.

        Raises `ResolutionFailed` with the names of all that may not be built.
        """
        pins = _source_pins(lock)
        if not pins:
            return lock
        self._check_allowed(pins, f"the lock has no wheel of {len(pins)}")
        wheels = self._known_wheels(pins, spec)
        if wheels is None:
            found = self.located(pins, spec)
            wheels = [self._wheel(pin, spec) for pin in found]
        return with_local(lock, _with(spec, wheels))

    def with_places(self, packages: Collection[LockedPackage], spec: Spec) -> list[LockedPackage]:
        """The packages; those of indexes with the place where these have them. Blocks."""
        lost = {
            item.name: Pinned(
                name=item.name,
                version=item.version,
                digests=tuple(text for text in item.digests if not text.startswith("content:")),
                file=item.file,
            )
            for item in packages
            if not item.url and (item.file or not item.local)
        }
        found = {pin.name: pin for pin in self.located(lost.values(), spec)} if lost else {}
        return [
            replace(item, url=pin.url, file=pin.file, size=pin.size)
            if (pin := found.get(item.name))
            else item
            for item in packages
        ]

    def located(self, pins: Collection[Pinned], spec: Spec) -> list[Pinned]:
        """The pins of a lock with the places where the user's indexes have their files. Blocks.

        Raises `ResolutionFailed` for one that no index has with that hash.
        """
        lines = tuple(declared(f"{pin.name}=={pin.version}", "the lock") for pin in pins)
        alone = replace(spec, requirements=lines, constraints=(), pins=(), local=(), beaten=())
        sources = {pin.name for pin in pins if not pin.file.endswith(".whl")}
        found = {pin.name: pin for pin in self._resolver.places(alone, sources)}
        for pin in pins:
            if pin.name not in found or not set(pin.digests) & set(found[pin.name].digests):
                raise ResolutionFailed(
                    f"no index has the file of `{pin.name}=={pin.version}` that the lock names",
                    hint="give its index, or make the lock anew with --lock",
                )
        return [found[pin.name] for pin in pins]

    def known_completed(self, lock: Lock, spec: Spec) -> Lock | None:
        """The same with the wheels that the store has, None where it lacks one."""
        wheels = self._known_wheels(_source_pins(lock), spec)
        return None if wheels is None else with_local(lock, _with(spec, wheels))

    def _known_wheels(self, pins: Collection[Pinned], spec: Spec) -> list[LocalWheel] | None:
        wheels: list[LocalWheel] = []
        for pin in pins:
            wheel = self._builder.known(_source(pin, Path(pin.file)), spec.interpreter)
            if wheel is None:
                return None
            wheels.append(replace(wheel, source=pin))
        return wheels

    def _remember(self, asked: Spec, spec: Spec) -> None:
        """Keep which source distributions a spec needed, so that its lock is found again."""
        pins = tuple(wheel.source for wheel in spec.local if wheel.source is not None)
        if pins:
            write_json(self._place(asked), {"pins": pins_document(pins)})

    def _place(self, spec: Spec) -> Path:
        return self._store.locks / f"{spec.digest().key()}.built.json"

    def _built(
        self, spec: Spec, names: Collection[str], error: ResolutionFailed
    ) -> list[LocalWheel]:
        pins = self._found(spec, set(names))
        self._check_allowed(pins, error.message)
        if not pins:
            raise error
        return [self._wheel(pin, spec) for pin in pins]

    def _check_allowed(self, pins: Collection[Pinned], reason: str) -> None:
        refused = sorted({pin.name for pin in pins} - set(self._settings.allow_build))
        if refused:
            listed = ", ".join(f"`{name}`" for name in refused)
            allowing = " ".join(f"--allow-build {name}" for name in refused)
            hint = f"allow it, behind the wall: {allowing}; or vendor a wheel of it"
            raise ResolutionFailed(
                f"available as source only, which a build would run: {listed}\n{reason}",
                hint=cure_of(refused) or hint,
            )

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
            source = _source(pin, file)
            if wheel := self._builder.known(source, spec.interpreter):
                return replace(wheel, source=pin)
            event = Event(phase="download", state="started", subject=pin.name, total=pin.size)
            self._sink(event)
            from orq_runtime._supply.fetch import fetch  # start-up budget: brings in HTTP and TLS

            fetch(pin.package, file, self._settings, lambda _: None)
            self._sink(replace(event, state="done"))
            try:
                wheel = self._builder.build(source, spec.interpreter, vendored=spec.local)
            except BuildFailed as error:
                lines = [error.message, *declared_by(spec, {pin.name})]
                raise BuildFailed(
                    "\n".join(lines), hint=cure_of([pin.name]) or error.hint
                ) from error.__cause__
            return replace(wheel, source=pin)


def _source(pin: Pinned, file: Path) -> Source:
    return Source(path=file, digest=pin.digests[0], origin=pin.file)


def _source_pins(lock: Lock) -> tuple[Pinned, ...]:
    return tuple(
        pin
        for pin in lock.packages
        if pin.content is None and pin.file and not pin.file.endswith(".whl")
    )


def _with(spec: Spec, wheels: Collection[LocalWheel]) -> Spec:
    return replace(spec, local=(*spec.local, *wheels))


def _needed(error: ResolutionFailed) -> set[str]:
    """The names of which the reason says that they have no wheels."""
    return {canonicalize_name(name) for form in _NAMED for name in form.findall(error.message)}
