"""What the wall refused a step, where the step's own exception does not name the wall."""

from __future__ import annotations

from collections.abc import Iterator

from orq_runtime._dataclass import replace
from orq_runtime.model.failure import Failure
from orq_runtime.model.outcome import Outcome
from orq_runtime.model.policy import Policy

__all__ = ["with_reason"]

_MOST = 64


def with_reason(outcome: Outcome, policy: Policy) -> Outcome:
    """The outcome with a hint, where a step without network failed for want of it."""
    if outcome.verdict != "raised" or outcome.hint or outcome.isolation == "process":
        return outcome
    if policy.network == "none" and _came_through_sockets(outcome.failure):
        hint = 'the run has no network: grant it with `network="full"` (`--network full`)'
        return replace(outcome, hint=hint)
    return outcome


def _came_through_sockets(failure: Failure | None) -> bool:
    return any(
        frame.file.endswith("/socket.py")
        for one in _connected(failure)
        for frame in one.frames[-2:]
    )


def _connected(failure: Failure | None) -> Iterator[Failure]:
    """The failure and what it came from, at most so many."""
    waiting = [failure]
    for _ in range(_MOST):
        one = waiting.pop() if waiting else None
        if one is None:
            continue
        yield one
        waiting += [one.cause, one.context, *one.exceptions]
