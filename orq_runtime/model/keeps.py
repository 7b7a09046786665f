"""What an open runtime keeps ready, and for how long."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypedDict

from orq_runtime._dataclass import dataclass, replace
from orq_runtime.errors import RequestError
from orq_runtime.model.checks import ChecksGiven
from orq_runtime.model.limits import GIB
from orq_runtime.model.step import Step

__all__ = ["Keeps", "RuntimeGiven", "keeps_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeps:
    """`zygotes` without a run are kept at most, each for `idle_seconds` after its last, and no more
    memory than `parked_bytes` of them and their parked children together.

    They import `preload` ahead of any run; None: what a step's code imports of the distributions it
    declares. Those of the `prewarm` steps are started before anybody asks. With `bind` a parked
    child executes the module of the step that it expects before a request is there. Raises
    `RequestError`.
    """

    zygotes: int = 16
    idle_seconds: float = 300.0
    parked_bytes: int = GIB
    preload: tuple[str, ...] | None = None
    prewarm: tuple[Step, ...] = ()
    bind: bool = False

    def __post_init__(self) -> None:
        if type(self.zygotes) is not int or self.zygotes < 0:
            raise RequestError(f"`zygotes` is a number from 0 up, not: `{self.zygotes!r}`")
        if isinstance(self.idle_seconds, bool) or not 0 < self.idle_seconds < math.inf:
            raise RequestError(f"`idle_seconds` is a time over 0, not: `{self.idle_seconds!r}`")
        if type(self.parked_bytes) is not int or self.parked_bytes < 0:
            raise RequestError(
                f"`parked_bytes` is a number from 0 up, not: `{self.parked_bytes!r}`"
            )
        if type(self.bind) is not bool:
            raise RequestError(f"`bind` is True or False, not: `{self.bind!r}`")
        if not all(map(_is_module, self.preload or ())):
            raise RequestError(f"`preload` is a list of modules, not: `{self.preload!r}`")
        if not all(map(_is_step, self.prewarm)):
            raise RequestError(f"`prewarm` is a list of steps, not: `{self.prewarm!r}`")


class KeepsGiven(TypedDict, total=False):
    """The parts of `Keeps` that few runtimes are given, by name."""

    zygotes: int
    idle_seconds: float
    parked_bytes: int
    bind: bool


class RuntimeGiven(ChecksGiven, KeepsGiven, total=False):
    """What a runtime takes by name beside its own parameters."""


def keeps_of(preload: Iterable[str] | None, prewarm: Iterable[Step], given: RuntimeGiven) -> Keeps:
    """What a runtime keeps, as its caller said it; only the `Checks` stay in `given`."""
    keeps = Keeps(preload=_modules(preload), prewarm=tuple(prewarm))
    if "zygotes" in given:
        keeps = replace(keeps, zygotes=given.pop("zygotes"))
    if "idle_seconds" in given:
        keeps = replace(keeps, idle_seconds=given.pop("idle_seconds"))
    if "parked_bytes" in given:
        keeps = replace(keeps, parked_bytes=given.pop("parked_bytes"))
    if "bind" in given:
        keeps = replace(keeps, bind=given.pop("bind"))
    return keeps


def _modules(names: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(names, str):
        raise RequestError(f"`preload` is a list of modules, not: `{names}`")
    return None if names is None else tuple(names)


def _is_module(name: object) -> bool:
    return isinstance(name, str) and all(map(str.isidentifier, name.split(".")))


def _is_step(step: object) -> bool:
    return isinstance(step, Step)
