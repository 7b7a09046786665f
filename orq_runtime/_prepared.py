"""What all runs of a step have in common: prepared once, and taken again while it holds.

Rules of this file:

1. It is kept for a step, its limits and its manner. Each run looks whether anything that the step's
   environment was made from bears another stamp; if so, all is prepared anew.
2. What is looked at is what tells of all else (`Glance`), as long as that finds no change.
3. What differs from run to run (inputs, artifacts, the seal) is no part of it.
4. Of those who want the same step at once one prepares it; for the others it is there then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from orq_runtime import _fs
from orq_runtime._dataclass import dataclass
from orq_runtime._provision import NotAtHand, Provision
from orq_runtime._run import codec
from orq_runtime._run.guest import GUEST_VARIABLES
from orq_runtime._run.launch import Launch
from orq_runtime._run.packing import Packing
from orq_runtime._run.wall import grants_of_plan, wall_of
from orq_runtime._supply import Remembered
from orq_runtime._supply.seen import Glance, Stamp, is_settled, stamps
from orq_runtime.errors import NotFound
from orq_runtime.languages import language
from orq_runtime.model.environment import Environment, SupplyRequest
from orq_runtime.model.keeps import Keeps
from orq_runtime.model.limits import Limits
from orq_runtime.model.plan import Manner, RunPlan, StartMode
from orq_runtime.model.policy import Policy
from orq_runtime.model.step import Step

__all__ = ["Preparations", "Prepared"]

_MOST_KEPT: Final = 512
_LONGEST_FILE: Final = 4 << 20
_NOTED_NS: Final = 1_000_000_000


@dataclass(slots=True, kw_only=True)  # not frozen, for the last two
class Prepared:
    """A step made ready to run. `granted` is what its wall grants where no artifacts come.

    `launch` is for that, `about` what a request says beside the inputs (empty for a command).
    `places` had the stamps `seen` when the step's components were looked for. While the `glance`
    is the same, all of that holds. Until `noted_ns` nobody need be told that it is used again.
    """

    step: Step
    limits: Limits
    manner: Manner
    remembered: Remembered | None
    places: tuple[str, ...]
    seen: list[Stamp]
    environment: Environment
    plan: RunPlan
    start_mode: StartMode
    granted: tuple[str, ...]
    launch: Launch
    environ: Mapping[str, str]
    about: bytes
    glance: Glance | None = None
    noted_ns: int = 0

    def is_for(self, step: Step, limits: Limits, manner: Manner) -> bool:
        """Whether it was prepared for these."""
        return (
            self.step is step
            and (self.limits is limits or self.limits == limits)
            and (self.manner is manner or self.manner == manner)
        )

    def message(
        self, inputs: Mapping[str, object], seal: bytes, packing: Packing
    ) -> codec.Request | bytes:
        """The REQUEST of a run with these inputs. Raises `BadCall` for what is no JSON."""
        if self.plan.command:
            return codec.encode_command(
                self.plan,
                inputs,
                environ=self.environ,
                seal=seal,
                packing=packing,
                manner=self.manner,
            )
        allow_nan = self.manner.checks.nan == "allow"
        return codec.encode_request(
            self.about, inputs, seal=seal, packing=packing, allow_nan=allow_nan
        )


class Preparations:
    """Those of one session. Safe for several threads."""

    def __init__(
        self,
        provision: Provision,
        *,
        tier: str,
        policy: Policy,
        start_mode: StartMode,
        keeps: Keeps,
        has_cgroup: bool,
    ) -> None:
        self._provision = provision
        self._tier = tier
        self._policy = policy
        self._start_mode = start_mode
        self._keeps = keeps
        self._has_cgroup = has_cgroup
        self._environ = {**GUEST_VARIABLES, **policy.environ}
        self._kept: dict[int, Prepared] = {}
        self._under_way: dict[int, threading.Event] = {}
        self._launches: dict[Launch, Launch] = {}

    def of(
        self,
        step: Step,
        limits: Limits,
        manner: Manner,
        supply: Callable[[SupplyRequest], Environment],
        *,
        waits: bool = True,
    ) -> tuple[Prepared, int]:
        """The step made ready, and when its environment was there. Raises what `supply` raises.

        Unless it `waits` for another who prepares the step, it raises `NotAtHand`.
        """
        kept = self._kept.get(id(step))
        if kept is not None and kept.is_for(step, limits, manner) and self._holds(kept):
            return kept, time.monotonic_ns()
        mine = threading.Event()
        first = self._under_way.setdefault(id(step), mine)
        if first is not mine:
            if not waits:
                raise NotAtHand
            first.wait()
        try:
            found = self._kept.get(id(step))
            if found is not None and found is not kept and found.is_for(step, limits, manner):
                return found, time.monotonic_ns()
            return self._prepared(step, limits, manner, supply)
        finally:
            if first is mine:
                del self._under_way[id(step)]
                mine.set()

    def _prepared(
        self,
        step: Step,
        limits: Limits,
        manner: Manner,
        supply: Callable[[SupplyRequest], Environment],
    ) -> tuple[Prepared, int]:
        code = _code(step)
        read_ns = time.time_ns()
        request, components, places = self._provision.request_of(step)
        seen = stamps(places)
        environment = supply(request)
        if not step.command:
            self._provision.expect(environment)
        remembered = self._provision.remembered(request, environment)
        supplied_ns = time.monotonic_ns()
        plan = language(step.language).plan(step, components, environment, code)
        bundle = self._provision.bundle(environment.interpreter)
        granted = () if self._tier == "process" else grants_of_plan(plan, bundle)
        start_mode = "exec" if plan.command else self._start_mode
        prepared = Prepared(
            step=step,
            limits=limits,
            manner=manner,
            remembered=remembered,
            places=places,
            seen=seen,
            environment=environment,
            plan=plan,
            start_mode=start_mode,
            granted=granted,
            launch=self.launch(plan, bundle, limits, granted, start_mode),
            environ=self._environ,
            about=b"" if plan.command else self._about(plan, manner),
        )
        if remembered is not None and environment.origin == "hit" and is_settled(seen, read_ns):
            while len(self._kept) >= _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[id(step)] = prepared
        return prepared, supplied_ns

    def _holds(self, kept: Prepared) -> bool:
        if kept.glance is None or not kept.glance.is_same():
            if kept.remembered is None:
                return False
            glance = kept.remembered.glance(kept.places)  # before the looks that it stands for
            if stamps(kept.places) != kept.seen or not kept.remembered.holds():
                return False
            kept.glance = glance
        now_ns = time.monotonic_ns()
        if now_ns < kept.noted_ns:
            return True
        if self._provision.is_silent:
            kept.noted_ns = now_ns + _NOTED_NS
        return self._provision.use(kept.environment)

    def _about(self, plan: RunPlan, manner: Manner) -> bytes:
        stamp = None if plan.file is None else stamps([str(plan.file)])[0]
        binds = self._keeps.bind and manner.purpose == "call"
        return codec.about_call(
            plan, environ=self._environ, manner=manner, stamp=stamp, binds=binds
        )

    def launch(
        self,
        plan: RunPlan,
        bundle: Path,
        limits: Limits,
        readable: tuple[str, ...],
        start_mode: StartMode,
    ) -> Launch:
        """What a guest is started from that serves this plan and may read all that."""
        preload = plan.preload if self._keeps.preload is None else self._keeps.preload
        launch = Launch(
            environment=plan.environment,
            bundle=bundle,
            wall=wall_of(self._tier, self._policy, limits, readable, has_cgroup=self._has_cgroup),
            preload=preload if start_mode == "zygote" else (),
            is_command=bool(plan.command),
        )
        if len(self._launches) >= _MOST_KEPT:
            self._launches.clear()
        return self._launches.setdefault(launch, launch)  # the same one is found without a look


def _code(step: Step) -> str:
    if step.source is not None:
        return step.source
    if step.command:
        return ""
    assert step.file is not None  # a step has one of the three
    try:
        return _fs.read_regular(step.file, _LONGEST_FILE).decode("utf-8", "replace")
    except FileNotFoundError:
        raise NotFound(f"no such file: `{step.file}`") from None
    except OSError as error:
        raise NotFound(f"cannot read `{step.file}`: {error.strerror}") from error
