"""One run under way: what a session knows of it between its request and its outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from orq_runtime._dataclass import dataclass, field, replace
from orq_runtime._run.codec import Request
from orq_runtime._run.handover import Handover
from orq_runtime._run.launch import Launch
from orq_runtime._run.machine import Machine
from orq_runtime._run.outcome import Circumstances
from orq_runtime._run.packing import Packing
from orq_runtime._run.slot import Slot
from orq_runtime.model.artifact import Wanted
from orq_runtime.model.checks import Checks
from orq_runtime.model.failure import Failure
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome, Start, Usage
from orq_runtime.model.plan import RunPlan, StartMode
from orq_runtime.model.when import When

__all__ = ["Run", "too_late"]

_END_SECONDS: Final = 0.5  # init has closed all that it had


@dataclass(slots=True, kw_only=True)
class Run:
    """One run under way. `slot` is claimed by the driver's thread and closed by `finish`."""

    plan: RunPlan
    launch: Launch
    limits: Limits
    checks: Checks
    asked: Request | bytes
    packing: Packing
    seal: bytes
    is_cold: bool
    started_ns: int
    start_mode: StartMode
    handover: Handover
    calls: bool = True
    wanted: Wanted | None = None
    start: Start = "warm"
    slot: Slot | None = None
    machine: Machine | None = None
    sent_ns: int | None = None
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def about(self) -> bytes:
        """What its child may know ahead; nothing for a command."""
        return self.asked.about if isinstance(self.asked, Request) else b""

    def send(self, slot: Slot) -> None:
        """Send the request to the child, as much of it as goes now."""
        asked = self.asked
        slot.begin(asked.frame(slot.about) if isinstance(asked, Request) else asked)

    def begin(self, when: When) -> None:
        """It had its turn; what is left of its time bounds it from here on."""
        self.timings["queue"] = max(0.0, (self.started_ns - when.asked_ns) / 1e9)
        left = when.left_seconds()
        if left is not None and 0 < left < self.limits.wall_seconds:
            self.limits = replace(self.limits, wall_seconds=left)

    def circumstances(self, isolation: str, enforced_by: Mapping[str, str]) -> Circumstances:
        """What is known of it now, beside what its machine saw."""
        wall = (time.monotonic_ns() - self.started_ns) / 1e9
        timings = self.timings
        timings["total"] = timings["queue"] + wall
        slot, machine = self.slot, self.machine
        is_over = slot is not None and (machine is None or machine.is_finished)
        return Circumstances(
            plan=self.plan,
            is_command=self.launch.is_command,
            limits=self.limits,
            checks=self.checks,
            start=self.start,
            isolation=isolation,
            wall_seconds=wall,
            enforced_by=dict(enforced_by),
            timings=timings,
            sent_ns=self.sent_ns,
            is_apart=self._is_apart(),
            only_ours=self._left_nobody(),
            blobs=-1 if slot is None else slot.take_blobs(),
            owner=-1 if slot is None else slot.owner,
            # a run that is handed over at its result was one process, which has said it itself
            peak_memory_bytes=slot.leaf.peak_bytes() if slot is not None and is_over else None,
        )

    def _is_apart(self) -> bool:
        """Whether nobody outside its pid namespace can have got a file of the run's."""
        wall = self.launch.wall
        return wall.tier == "namespaces" and wall.network == "none" and not wall.writable

    def _left_nobody(self) -> bool:
        """Whether whoever could hold a file of the run's is dead: the kernel's word, no guest's.

        With init all of its pid namespace is dead. A zygote is not in it, and lives: a hostile
        import can have had its runs' files made of one that it keeps.
        """
        slot, machine = self.slot, self.machine
        if slot is None or machine is None or not (slot.has_blobs and machine.is_finished):
            return False
        if slot.process is None:
            return False
        return self._is_apart() and slot.has_ended(_END_SECONDS)


def too_late(
    when: When, run: Run | None, isolation: str, enforced_by: Mapping[str, str]
) -> Outcome:
    """The outcome of a run whose time was over before it had a child."""
    waited = (time.monotonic_ns() - when.asked_ns) / 1e9
    timings = {"queue": waited} if run is None else run.timings
    return Outcome(
        verdict="timeout",
        failure=Failure(message=f"the run had not begun after {waited:.3g} s, which was too late"),
        hint="give it a longer `timeout`, or more runs at once (`concurrency`)",
        began="no",
        isolation=isolation,
        enforced_by=enforced_by,
        usage=Usage(wall_seconds=waited),
        timings={**timings, "total": waited},
        environment="" if run is None else run.plan.environment.key,
    )
