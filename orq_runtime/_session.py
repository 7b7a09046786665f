"""What a runtime holds while it is open, and the parts of a run that both facades share.

A run has four parts: `prepare` (supply, plan, encode), `claim` (a child and a machine), the drive
to its end, which is each facade's own, and `finish`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from orq_runtime._life import Life
from orq_runtime._prepared import Preparations, Prepared
from orq_runtime._provision import NotAtHand, Provision
from orq_runtime._run import codec
from orq_runtime._run.cgroup import Leaf, Mechanism
from orq_runtime._run.entry import Short
from orq_runtime._run.exceeded import of_group
from orq_runtime._run.guest import Guests
from orq_runtime._run.handover import Handover, Share
from orq_runtime._run.held import WATCHER, enforced_by, watched_of_run
from orq_runtime._run.launch import Launch, launch_exec, why_it_died
from orq_runtime._run.machine import Machine
from orq_runtime._run.outcome import conclude, never_began
from orq_runtime._run.packing import Packing
from orq_runtime._run.pool import Pool
from orq_runtime._run.refused import with_reason
from orq_runtime._run.slot import Slot
from orq_runtime._run.tender import Tender
from orq_runtime._run.under_way import Asked, Run, too_late
from orq_runtime._run.zygote import OF_A_ZYGOTE, Zygote
from orq_runtime._supply import Supplier
from orq_runtime._workshop import Workshop
from orq_runtime.errors import (
    InternalError,
    NeverStarted,
    OrqRuntimeError,
    RequestError,
    SandboxError,
    WallUnavailable,
)
from orq_runtime.events import Sink
from orq_runtime.model.artifact import Wanted
from orq_runtime.model.checks import Checks, ChecksGiven
from orq_runtime.model.environment import (
    Environment,
    Explanation,
    Freshness,
    SupplyRequest,
)
from orq_runtime.model.keeps import Keeps
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome
from orq_runtime.model.plan import CALL, Manner, StartMode
from orq_runtime.model.policy import Policy
from orq_runtime.model.stats import Stats
from orq_runtime.model.step import Step
from orq_runtime.model.when import When
from orq_runtime.settings import Settings

__all__ = ["Asked", "Run", "Session"]

_STARTS: Final = ("zygote", "exec")
_NO_LIMITS: Final = Limits()


class Session:
    """Settings, supplier, pool and the folder of the runs' folders. Safe for many threads."""

    def __init__(
        self,
        *,
        settings: Settings,
        isolation: str,
        limits: Limits,
        policy: Policy,
        spares: int,
        start: StartMode,
        sink: Sink,
        keeps: Keeps | None = None,
        checks: Checks | None = None,
        mechanism: Mechanism | None = None,
        guests: Guests | None = None,
    ) -> None:
        if start not in _STARTS:
            raise RequestError(f"unknown start: `{start}`", hint="one of: `zygote`, `exec`")
        self.settings = settings
        self.limits = limits
        self.policy = policy
        self._share = Share(settings.cache_dir)
        self.usual_manner = Manner(checks=checks or Checks())
        self._start_mode = start
        self._workshop = Workshop(settings=settings, isolation=isolation, mechanism=mechanism)
        self.supplier = Supplier(settings=settings, sink=sink, runner=self._workshop)
        self.isolation = self._workshop.isolation
        self._grounds = self._workshop.grounds
        self._mechanism = self._workshop.mechanism
        self._guests = guests or Guests()
        self._keeps = keeps = keeps or Keeps()
        self._pool: Pool[Launch, Slot] = Pool(
            self._start_zygote, self._leaf, Tender, spares=spares, keeps=keeps
        )
        self._provision = Provision(settings=settings, supplier=self.supplier, guests=self._guests)
        self._preparations = Preparations(
            self._provision,
            tier=self.isolation,
            policy=policy,
            start_mode=start,
            keeps=keeps,
            has_cgroup=self._mechanism.has_cgroup,
        )
        self._held: tuple[Limits | None, tuple[Mapping[str, str], bool]] = (None, ({}, False))
        self.life = Life(self._end)
        self._prewarmer = self._prewarming() if keeps.prewarm and start == "zygote" else None

    # -- supply --------------------------------------------------------------------------------

    def supply(
        self,
        targets: Iterable[Step | Path | str],
        freshness: Freshness,
        *,
        is_locking: bool = False,
        is_vendoring: bool = False,
    ) -> Environment:
        """The joint environment of steps and component folders. Blocks."""
        self.life.confirm()
        joint = self._provision.joint(targets, freshness)
        if is_vendoring:
            self.supplier.vendor(joint)
        return self.supplier.write_lock(joint)[1] if is_locking else self.supplier.supply(joint)

    def explain(self, targets: Iterable[Step | Path | str]) -> Explanation:
        """Supply, and why the environment was found or made. Blocks."""
        self.life.confirm()
        return self.supplier.explain(self._provision.joint(targets, Freshness()))

    def _start_zygote(self, what: Launch, first: Callable[[], Leaf] | None) -> Zygote:
        group = self._leaf(OF_A_ZYGOTE)
        zygote = Zygote(self._guests, what, self._grounds.make(what.wall.tier), group, first)
        self._guests.follow_up(what.environment.interpreter.path, what.bundle)
        return zygote

    def _prewarming(self) -> threading.Thread | None:
        thread = threading.Thread(target=self._prewarm, name="orq-prewarm", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the host may have no thread more: nothing is warm then
            return None
        return thread

    def _prewarm(self) -> None:
        for step in self._keeps.prewarm:
            if self.life.is_over:
                return
            with contextlib.suppress(OrqRuntimeError):  # the step's first run will say it
                run = self.prepare(step, None, None)
                try:
                    self._pool.warm(run.launch)
                finally:
                    self.discard(run)

    def _leaf(self, limits: Limits = _NO_LIMITS) -> Leaf:
        """A group for a child whose limits are not known yet: `adjust` comes at dispatch."""
        try:
            return self._mechanism.leaf(limits)
        except OSError as error:
            raise Short(f"a group for the run cannot be made: {error}") from error

    def manner(self, checks: ChecksGiven, *, shows_locals: bool = False) -> Manner:
        """How a call is to be made: the runtime's own manner, but for what the call says."""
        if not checks and not shows_locals:
            return self.usual_manner
        return Manner(shows_locals=shows_locals, checks=self.usual_manner.checks.but(checks))

    # -- a run ---------------------------------------------------------------------------------

    def prepare(
        self,
        step: Step,
        inputs: Mapping[str, object] | None,
        limits: Limits | None,
        wanted: Wanted | None = None,
        manner: Manner = CALL,
        supply: Callable[[SupplyRequest], Environment] | None = None,
    ) -> Run:
        """All of a run that comes before its process. Blocks. Raises what supply raises.

        That it is not in a fork of its process is the caller's to confirm.
        """
        started_ns = time.monotonic_ns()
        if self.life.is_over:
            self.life.confirm()
        limits = limits or self.limits
        ready, supplied_ns = self._preparations.of(
            step, limits, manner, supply or self._provision.environment, waits=supply is None
        )
        seal, inputs = codec.new_seal(), inputs or {}
        asked = None if ready.plan.command else codec.plain_request(ready.about, inputs, seal)
        run = Run(
            ready.plan,
            ready.launch,
            limits,
            manner,
            wanted,
            b"" if ready.plan.command else ready.about,
            asked,
            seal,
            start_mode=ready.start_mode,
            started_ns=started_ns,
            supplied_ns=supplied_ns,
        )
        if asked is None:
            self._pack(run, ready, inputs)
        return run

    def _pack(self, run: Run, ready: Prepared, inputs: Mapping[str, object]) -> None:
        """Put beside the run's JSON what is not for it: artifacts, and what is large."""
        run.handover = handover = Handover(
            self._share,
            tier=self.isolation,
            granted=ready.granted,
            policy=self.policy,
            start_mode=ready.start_mode,
        )
        run.packing = Packing(run.limits, run.manner.checks, handover)
        try:
            run.asked = ready.message(inputs, run.seal, run.packing)
            run.launch = self._launch(ready, handover, run.limits)
        except BaseException:
            handover.forget()
            raise
        run.start_mode = handover.start_mode
        run.prepared_ns = time.monotonic_ns()

    def _launch(self, ready: Prepared, handover: Handover, limits: Limits) -> Launch:
        if handover.readable is ready.granted and handover.start_mode == ready.start_mode:
            return ready.launch
        return self._preparations.launch(
            ready.plan, ready.launch.bundle, limits, handover.readable, handover.start_mode
        )

    def prepare_at_hand(
        self,
        step: Step,
        inputs: Mapping[str, object] | None,
        limits: Limits | None,
        wanted: Wanted | None,
        manner: Manner,
    ) -> Run | None:
        """The same where nothing has to be waited for, else None. Does not block."""
        try:
            return self.prepare(
                step, inputs, limits, wanted, manner, supply=self._provision.environment_at_hand
            )
        except NotAtHand:
            return None

    def claim_at_hand(self, run: Run) -> tuple[Slot, Machine] | None:
        """A child that is parked already, if there is one. Does not block."""
        run.claimed_ns = time.monotonic_ns()
        slot = None if run.start_mode == "exec" else self._pool.claim_parked(run.launch, run.about)
        if slot is None:
            return None
        run.start = "hot"
        return self._claimed(run, slot)

    def late(self, run: Run, when: When) -> Outcome | None:
        """The outcome of a run whose time is over before it has a child; None while it is not.

        What is left of the time bounds the run from here on.
        """
        run.queue_seconds = max(0, run.started_ns - when.asked_ns) / 1e9
        if when.over_ns is None:
            return None
        left = (when.over_ns - time.monotonic_ns()) / 1e9
        run.bound(left)
        return None if left > 0 else self.too_late(when, run)

    def too_late(self, when: When, run: Run | None = None) -> Outcome:
        """The outcome of a run whose time was over before it had a child."""
        limits = self.limits if run is None else run.limits
        return too_late(when, run, self.isolation, self._enforced_by(limits)[0])

    def claim(self, run: Run) -> tuple[Slot, Machine]:
        """Give the run its child and its machine. Blocks. Raises `NeverStarted`."""
        run.claimed_ns = time.monotonic_ns()
        if run.start_mode == "exec":
            ground = self._grounds.make(self.isolation)
            slot = launch_exec(self._guests, run.launch, ground, self._leaf())
        else:
            slot, run.start = self._pool.claim(run.launch, run.about)
        return self._claimed(run, slot)

    def _claimed(self, run: Run, slot: Slot) -> tuple[Slot, Machine]:
        run.slot = slot
        limits = run.limits
        run.enforced_by, is_watched = self._enforced_by(limits)
        try:
            slot.leaf.adjust(limits)
            if is_watched and (watched := watched_of_run(run.enforced_by, limits, slot)):
                slot.post_sentry(watched)
        except OSError as error:
            raise NeverStarted(f"the run's group does not take its limits: {error}") from error
        if run.packing is not None:
            slot.send_along(run.packing.written(slot.shelf))
        if run.wanted is not None:
            slot.keep_work()
        if run.plan.environment.origin == "built":
            run.start = "cold"
        sent_ns = run.send(slot)  # first: all that follows is done while the child works
        run.machine = Machine(
            limits,
            deadline_ns=sent_ns + int(limits.wall_seconds * 1e9),
            seal=run.seal,
            waits_for_end=run.wanted is not None,
            calls=run.manner.purpose == "call",
        )
        return slot, run.machine

    def finish(self, run: Run) -> Outcome:
        """The outcome. The child is ended, if it has not, and taken away behind it."""
        if run.machine is None:
            raise InternalError("a run ends after it was claimed")
        outcome = conclude(run.machine, run.circumstances(self.isolation))
        if run.slot is not None:
            if outcome.verdict != "ok":
                outcome = of_group(outcome, run.slot.leaf, run.limits)
                outcome = with_reason(outcome, self.policy)
            elif run.wanted is not None:
                outcome = self._collected(outcome, run.slot, run.wanted, run.limits)
        if outcome.imported:
            self._pool.learn(outcome.imported)
        alone = run.slot.process if run.slot is not None else None
        if outcome.verdict == "never_started" and alone is not None:
            return self.refuse(run, why_it_died(alone, "the guest"))
        if outcome.verdict in ("never_started", "killed"):
            self._pool.doubt(run.launch)
        is_over = run.machine.is_finished or run.wanted is not None
        self.discard(run, is_well=outcome.verdict == "ok" and not is_over)
        return outcome

    def _collected(self, outcome: Outcome, slot: Slot, wanted: Wanted, limits: Limits) -> Outcome:
        from orq_runtime._run.collect import collect  # start-up budget: few runs have outputs

        cache_dir = self.settings.cache_dir
        return collect(outcome, slot.take_work(), slot.owner, wanted, limits, cache_dir)

    def refuse(self, run: Run, error: SandboxError) -> Outcome:
        """The outcome of a run whose child could not be had. Raises `WallUnavailable`."""
        self.discard(run)
        if isinstance(error, WallUnavailable):
            raise error
        run.enforced_by, _ = self._enforced_by(run.limits)
        return never_began(error.message, run.circumstances(self.isolation))

    def discard(self, run: Run, *, is_well: bool = False) -> None:
        """End what is left of a run and give everything back. Twice is fine.

        `is_well`: it went well, and its init waits for what is to come.
        """
        run.is_over = True
        if run.handover is not None:
            run.handover.forget()
        if run.slot is not None:
            slot, run.slot = run.slot, None
            what = run.launch if run.start_mode == "zygote" else None
            self._pool.give_back(slot, what, is_well=is_well)

    def _enforced_by(self, limits: Limits) -> tuple[Mapping[str, str], bool]:
        """What holds each limit, and whether anything is left to a sentry."""
        known, held = self._held
        if known is not limits:
            names = enforced_by(self._mechanism, self.isolation, limits)
            held = names, any(WATCHER in name for name in names.values())
            self._held = (limits, held)
        return held

    def stats(self) -> Stats:
        """What the pool holds and has done, now."""
        return self._pool.stats()

    def close(self) -> None:
        """End every zygote and every run, and remove the runs' folders."""
        self.life.end()

    def _end(self) -> None:
        if self._prewarmer is not None:
            self._prewarmer.join()
        self._guests.close()
        self._pool.close()
        self._share.close()
        self._provision.close()
        self._workshop.close()
