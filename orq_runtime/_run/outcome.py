"""From what the machine concluded to the one `Outcome`: verdict, failure, usage, hint."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orq_runtime._dataclass import replace
from orq_runtime._run.codec import TooLarge, decode_result
from orq_runtime._run.exceeded import HINTS, cpu_exceeded, disk_exceeded
from orq_runtime._run.machine import Conclusion, Machine
from orq_runtime._run.report import decode_failure
from orq_runtime.errors import ProtocolViolation
from orq_runtime.model.checks import STRICT, Checks, Coercion
from orq_runtime.model.environment import Component
from orq_runtime.model.failure import Failure
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome, Start, Usage
from orq_runtime.model.plan import RunPlan
from orq_sandbox import wire

__all__ = ["Circumstances", "conclude", "description", "never_began"]

_DESCRIPTION: Final = {"name", "description", "inputs", "output"}
_HINTS: Final[Mapping[str, str]] = {
    **HINTS,
    "not_encodable": "return JSON's own types, or one of those in docs/types.md",
    "no_result": "the step ended its process before it returned; look for `os._exit` or `sys.exit`",
    "output_exceeded": "return less, write a file, or raise `result_bytes`",
    "timeout": "raise `wall_seconds` (`--timeout`), or make the step faster",
    "never_started": "nothing of the step ran: trying again is safe",
    "protocol_violation": "the step wrote on a descriptor that is not its own",
}


_SMALLER: Final = "return less, write a file, or raise `blob_bytes`"


class Circumstances:
    """What is known of a run beside what the machine saw. `sent_ns` is when its request went out.

    A command ends well where a function leaves no result: by exit status 0. `plan` is None for a
    command that is no step. `blobs` is the file that came with the result, `owner` the host user
    that the run was; `only_ours`: whether nobody else can hold that file any more, `is_apart`:
    whether nobody can that will live for long. `peak_memory_bytes` is what the run's group saw, if
    it has one.
    """

    __slots__ = (
        *("blobs", "checks", "enforced_by", "is_apart", "is_command", "isolation", "limits"),
        *("only_ours", "owner", "peak_memory_bytes", "plan", "sent_ns", "start", "timings"),
        "wall_seconds",
    )

    def __init__(
        self,
        plan: RunPlan | None,
        limits: Limits,
        start: Start,
        isolation: str,
        enforced_by: Mapping[str, str],
        timings: dict[str, float],
        wall_seconds: float,
        *,
        is_command: bool = False,
        sent_ns: int | None = None,
        checks: Checks = STRICT,
    ) -> None:
        self.plan, self.limits, self.start, self.checks = plan, limits, start, checks
        self.isolation, self.enforced_by = isolation, dict(enforced_by)
        self.timings, self.wall_seconds, self.sent_ns = timings, wall_seconds, sent_ns
        self.is_command = is_command
        self.blobs = self.owner = -1
        self.is_apart = self.only_ours = False
        self.peak_memory_bytes: int | None = None

    @property
    def environment_key(self) -> str:
        """The key of the environment it took place in."""
        return "" if self.plan is None else self.plan.environment.key


def conclude(machine: Machine, seen: Circumstances) -> Outcome:
    """The outcome of a finished run. Closes the file that came with its result."""
    end = machine.conclusion()
    if seen.is_command and end.verdict == "no_result":
        end = end._replace(verdict="ok")
    try:
        if end.verdict == "ok" and end.answer is not None:
            return _answered(machine, end, end.answer, seen)
        outcome = _ended(_outcome(machine, end, seen), end, seen)
    except TooLarge as error:
        failure = Failure(message=str(error))
        outcome = _outcome(machine, end, seen, verdict="output_exceeded", failure=failure)
        outcome = replace(outcome, hint=_SMALLER)
    except wire.WireError as error:
        failure = Failure(message=f"the answer is {error}")
        outcome = _outcome(machine, end, seen, verdict="protocol_violation", failure=failure)
    finally:
        if seen.blobs >= 0:
            os.close(seen.blobs)
    if outcome.verdict != "ok":
        named = cpu_exceeded(outcome, end, seen.limits) or disk_exceeded(outcome, end, seen.limits)
        outcome = named or outcome
    return outcome if outcome.hint else replace(outcome, hint=_HINTS.get(outcome.verdict))


def _outcome(
    machine: Machine,
    end: Conclusion,
    seen: Circumstances,
    *,
    verdict: str | None = None,
    value: object = None,
    failure: Failure | None = None,
    cpu_seconds: float | None = None,
    peak_bytes: int | None = None,
    timings: Mapping[str, float] | None = None,
    coerced: tuple[Coercion, ...] = (),
    imported: tuple[str, ...] = (),
) -> Outcome:
    """What was seen of a run, and what else is known; the run's group knows its peak best."""
    if seen.peak_memory_bytes is not None:
        peak_bytes = seen.peak_memory_bytes
    elif end.peak_memory_bytes is not None:
        peak_bytes = end.peak_memory_bytes
    out, err = machine.printed.get("stdout"), machine.printed.get("stderr")
    return Outcome(
        verdict=verdict or end.verdict,
        value=value,
        failure=failure,
        began=end.began,
        start=seen.start,
        isolation=seen.isolation,
        enforced_by=seen.enforced_by,
        usage=Usage(
            wall_seconds=seen.wall_seconds,
            cpu_seconds=cpu_seconds if end.cpu_seconds is None else end.cpu_seconds,
            peak_memory_bytes=peak_bytes,
        ),
        timings=seen.timings if timings is None else timings,
        stdout="" if out is None else out.text(),
        stderr="" if err is None else err.text(),
        stdout_dropped=0 if out is None else out.dropped,
        stderr_dropped=0 if err is None else err.dropped,
        environment="" if seen.plan is None else seen.plan.environment.key,
        coerced=coerced,
        imported=imported,
    )


def _of_registries(names: tuple[str, ...], plan: RunPlan | None) -> tuple[str, ...]:
    """Those that a zygote may import ahead: no component's, and nothing a guest made up."""
    if plan is None:
        return ()
    known = set(plan.environment.modules) - set(plan.environment.local_modules)
    return tuple(sorted(known & set(names)))


def never_began(reason: str, seen: Circumstances) -> Outcome:
    """The outcome of a run that no child could be had for."""
    return Outcome(
        verdict="never_started",
        failure=Failure(message=reason),
        hint=_HINTS["never_started"],
        began="no",
        start=seen.start,
        isolation=seen.isolation,
        enforced_by=seen.enforced_by,
        usage=Usage(wall_seconds=seen.wall_seconds),
        timings=seen.timings,
        environment=seen.environment_key,
    )


def _answered(machine: Machine, end: Conclusion, answer: bytes, seen: Circumstances) -> Outcome:
    """The outcome of a run with a RESULT. Raises `TooLarge`, and `WireError` if it is none."""
    before_ns = time.monotonic_ns()
    found = decode_result(answer, allow_nan=seen.checks.nan == "allow")
    value = found.value
    if found.blobs is not None or seen.blobs >= 0:
        from orq_runtime._run.unpacking import unpacked  # start-up budget: few runs have any

        value = unpacked(
            value,
            found.blobs,
            seen.blobs,
            most_bytes=seen.limits.blob_bytes,
            owner=seen.owner,
            is_apart=seen.is_apart,
            only_ours=seen.only_ours,
        )
    decoded = (time.monotonic_ns() - before_ns) / 1e9
    timings = seen.timings
    timings.update(_phases(found.timings, end, seen))
    timings["receive"] = timings.get("receive", 0.0) + decoded
    timings["total"] = timings.get("total", 0.0) + decoded
    cpu_seconds, peak_bytes = found.usage
    return _outcome(
        machine,
        end,
        seen,
        value=value,
        cpu_seconds=cpu_seconds,
        peak_bytes=peak_bytes,
        timings=timings,
        coerced=found.coerced,
        imported=_of_registries(found.imported, seen.plan) if found.imported else (),
    )


def _ended(outcome: Outcome, end: Conclusion, seen: Circumstances) -> Outcome:
    """With what is known of a run that has no result. Raises `WireError`."""
    if end.verdict == "failure" and end.answer is not None:
        verdict, failure, laps, coerced = decode_failure(end.answer)
        failure, hint = _explained(verdict, failure, seen.plan.components if seen.plan else ())
        return replace(
            outcome,
            verdict=verdict,
            failure=failure,
            hint=hint,
            timings={**outcome.timings, **_phases(laps, end, seen)},
            coerced=coerced,
        )
    if end.verdict == "ok":
        return replace(outcome, exit_status=0)
    return _with_status(outcome, end, seen.limits)


def _phases(laps: dict[str, float], end: Conclusion, seen: Circumstances) -> dict[str, float]:
    """The guest's phases, between the way there and the way back, on the clock of both sides."""
    received = laps.pop("received", None)
    if received is None or seen.sent_ns is None or end.answered_ns is None:
        return laps
    sent, answered = seen.sent_ns / 1e9, end.answered_ns / 1e9
    longest = max(0.0, answered - sent)  # a guest may say what it likes
    send = min(max(0.0, received - sent), longest)
    receive = min(max(0.0, answered - received - sum(laps.values())), longest)
    return {"send": send, **laps, "receive": receive}


def _with_status(outcome: Outcome, end: Conclusion, limits: Limits) -> Outcome:
    status = end.wait_status
    if outcome.verdict == "killed":
        number = signal.SIGKILL if status is None else os.WTERMSIG(status)
        who = "the run's init" if status is None else "the step"
        message = f"{who} was killed by {_signal_name(number)}"
        return replace(outcome, signal=int(number), failure=Failure(message=message))
    code = os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None
    messages = {
        "exited": f"the step ended its process with status {code}",
        "no_result": "the step's process ended with status 0 and without a result",
        "timeout": f"the run took longer than {limits.wall_seconds:g} s and was killed",
        "cancelled": "the run was cancelled",
        "never_started": "the child ended before it could take the request",
    }
    message = messages.get(outcome.verdict, "")
    if end.reason:
        message = f"{message}: {end.reason}" if message else end.reason
    kept = code if outcome.verdict in ("exited", "no_result") else None
    return replace(outcome, exit_status=kept, failure=Failure(message=message))


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:
        return f"signal {number}"


def _explained(
    verdict: str, failure: Failure, components: tuple[Component, ...]
) -> tuple[Failure, str | None]:
    if verdict != "import_failed":
        return failure, _hint_for_problems(verdict, failure)
    asking = _asking_component(failure, components)
    top = failure.module.partition(".")[0] or "?"
    if asking is None:
        hint = f"add the distribution that provides `{top}` to the step's requirements"
        return failure, hint
    message = f"{failure.message}: component `{asking.name}` imports it and does not declare it"
    hint = f"add the distribution that provides `{top}` to `{asking.name}`'s requirements"
    return replace(failure, message=message, component=asking.name), hint


def _asking_component(failure: Failure, components: tuple[Component, ...]) -> Component | None:
    for frame in reversed(failure.frames):
        owners = [c for c in components if Path(frame.file).is_relative_to(c.path)]
        if owners:
            return max(owners, key=lambda component: len(component.path.parts))
    return components[0] if len(components) == 1 else None


def _hint_for_problems(verdict: str, failure: Failure) -> str | None:
    if verdict not in ("wrong_type", "wrong_result"):
        return None
    for problem in failure.problems:
        if problem.hint:
            is_number = problem.hint.endswith("give a number") and problem.path == problem.parameter
            how = f" (`{problem.path}:=...` on the CLI)" if is_number else ""
            return problem.hint + how
    return None


def description(outcome: Outcome) -> dict[str, object]:
    """What a run that describes its function gave. Raises `ProtocolViolation` for anything else."""
    value = outcome.value
    if not isinstance(value, dict) or value.keys() != _DESCRIPTION:
        raise ProtocolViolation("the guest described its function in words of its own")
    return value
