"""One run under way: what a session knows of it between its request and its outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from orq_runtime._dataclass import replace
from orq_runtime._run.codec import Request
from orq_runtime._run.handover import Handover
from orq_runtime._run.launch import Launch
from orq_runtime._run.machine import Machine
from orq_runtime._run.outcome import Circumstances
from orq_runtime._run.packing import Packing
from orq_runtime._run.slot import Slot
from orq_runtime.model.artifact import Wanted
from orq_runtime.model.failure import Failure
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome, Start, Usage
from orq_runtime.model.plan import Manner, RunPlan, StartMode
from orq_runtime.model.step import Step
from orq_runtime.model.when import When

__all__ = ["Asked", "Run", "too_late"]

Asked = tuple[Step, Mapping[str, object] | None, Limits | None, Wanted | None, Manner, When]
"""One run as it was asked for: the step, its inputs, limits and outputs, how, and by when."""

_END_SECONDS: Final = 0.5  # init has closed all that it had
_MOST_TRIES: Final = 3


class Run:
    """One run under way. `slot` is claimed by the driver's thread and closed by `finish`.

    `about` is what its child may know ahead: nothing for a command. `packing` is there where
    something travels beside the inputs' JSON, `handover` where that may be an artifact. Moments are
    nanoseconds of the monotonic clock.
    """

    __slots__ = (
        *("about", "asked", "claimed_ns", "enforced_by", "handover", "is_over", "launch", "limits"),
        *("machine", "manner", "packing", "plan", "prepared_ns", "queue_seconds", "seal"),
        *("sent_ns", "slot", "start", "start_mode", "started_ns", "supplied_ns", "wanted"),
    )

    def __init__(
        self,
        plan: RunPlan,
        launch: Launch,
        limits: Limits,
        manner: Manner,
        wanted: Wanted | None,
        about: bytes,
        asked: Request | bytes | None,
        seal: bytes,
        *,
        start_mode: StartMode,
        started_ns: int,
        supplied_ns: int,
    ) -> None:
        self.plan, self.launch, self.limits, self.manner = plan, launch, limits, manner
        self.wanted, self.about, self.asked, self.seal = wanted, about, asked, seal
        self.start_mode, self.started_ns, self.supplied_ns = start_mode, started_ns, supplied_ns
        self.prepared_ns = time.monotonic_ns()
        self.enforced_by: Mapping[str, str] = {}
        self.is_over = False
        self.claimed_ns = 0
        self.sent_ns: int | None = None
        self.queue_seconds = 0.0
        self.start: Start = "warm"
        self.packing: Packing | None = None
        self.handover: Handover | None = None
        self.slot: Slot | None = None
        self.machine: Machine | None = None

    def send(self, slot: Slot) -> int:
        """Send the request to the child, as much of it as goes now; when that was."""
        asked = self.asked
        assert asked is not None, "a run is packed before it is sent"
        self.sent_ns = sent_ns = time.monotonic_ns()
        slot.begin(asked.frame(slot.about) if isinstance(asked, Request) else asked)
        return sent_ns

    def goes_again(self, outcome: Outcome, tries: int) -> bool:
        """Whether another child is to serve it: the one it had died before it took the request.

        Nothing of the step ran then. One that was started for it alone died of its own start.
        """
        had_child = self.machine is not None and self.start_mode == "zygote"
        return outcome.verdict == "never_started" and had_child and tries < _MOST_TRIES

    def bound(self, left: float) -> None:
        """What is left of its time in seconds bounds it from here on."""
        if 0 < left < self.limits.wall_seconds:
            self.limits = replace(self.limits, wall_seconds=left)

    def timings(self) -> dict[str, float]:
        """Seconds of what there was of it so far, on the host's side."""
        told = {
            "queue": self.queue_seconds,
            "supply": (self.supplied_ns - self.started_ns) / 1e9,
            "prepare": (self.prepared_ns - self.supplied_ns) / 1e9,
        }
        if self.sent_ns is not None:
            told["claim"] = (self.sent_ns - self.claimed_ns) / 1e9
        return told

    def circumstances(self, isolation: str) -> Circumstances:
        """What is known of it now, beside what its machine saw."""
        wall = (time.monotonic_ns() - self.started_ns) / 1e9
        timings = self.timings()
        timings["total"] = self.queue_seconds + wall
        seen = Circumstances(
            self.plan,
            self.limits,
            self.start,
            isolation,
            self.enforced_by,
            timings,
            wall,
            is_command=self.launch.is_command,
            sent_ns=self.sent_ns,
            checks=self.manner.checks,
        )
        slot, machine = self.slot, self.machine
        if slot is None:
            return seen
        if slot.has_blobs:
            seen.is_apart, seen.only_ours = self._is_apart(), self._left_nobody()
            seen.blobs, seen.owner = slot.take_blobs(), slot.owner
        if machine is None or machine.is_finished:
            # a run that is handed over at its result was one process, which has said it itself
            seen.peak_memory_bytes = slot.leaf.peak_bytes()
        return seen

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
    timings = {"queue": waited} if run is None else run.timings()
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
