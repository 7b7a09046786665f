"""Which limit a run died of, where the way it ended does not say so by itself.

A kernel that enforces a limit kills, or refuses one call. What is seen of that is a signal, an
exit status or an exception of the step's; who knows more is asked here, in this order:

1. the run's group: a process of it was killed for want of memory, or a fork was refused;
2. the kernel's accounts: a step that was killed after more processor time than it may have;
3. init: the run's own folders were full when its last process was dead.

The verdict is of the limit then; what the step raised stays in the failure.
"""

from __future__ import annotations

import signal
from typing import Final

from orq_runtime._dataclass import replace
from orq_runtime._run.cgroup import Leaf
from orq_runtime._run.machine import Conclusion
from orq_runtime.model.failure import Failure
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome

__all__ = ["HINTS", "cpu_exceeded", "disk_exceeded", "of_group"]

HINTS: Final = {
    "out_of_memory": "raise `memory_bytes` (`--memory`), or use less",
    "disk_exceeded": "raise `tmp_bytes` or `file_bytes`, or write less",
    "cpu_exceeded": "raise `cpu_seconds`",
    "processes_exceeded": "raise `processes`, or start fewer",
}

_UNEXPLAINED: Final = frozenset(("raised", "killed", "exited", "no_result"))
"""How a run looks in which the kernel refused or killed something."""

_NO_THREAD: Final = "can't start new thread"  # CPython's own words, for which it has no class

_LEAST_PART: Final = 0.75
"""Of the limit, by init's account: the kernel holds the limit by ticks, of which a hypervisor may
steal some, and accounts by a clock."""


def of_group(outcome: Outcome, leaf: Leaf, limits: Limits) -> Outcome:
    """The outcome of a run that ended badly, by what its group was refused."""
    is_death = outcome.verdict in _UNEXPLAINED or outcome.verdict in ("timeout", "disk_exceeded")
    if is_death and leaf.is_out_of_memory():
        message = f"the run needed more than {limits.memory_bytes} bytes of memory"
        return _named(outcome, "out_of_memory", f"{message} and was killed")
    if (
        outcome.verdict == "raised"
        and _is_refusal(outcome.failure)
        and leaf.processes_were_refused()
    ):
        hint = f"raise `processes`, which is {limits.processes}, or start fewer"
        return replace(outcome, verdict="processes_exceeded", hint=hint)
    return outcome


def _is_refusal(failure: Failure | None) -> bool:
    """Whether a step raised what `fork` or `Thread.start` raises where no process may be had."""
    if failure is None:
        return False
    return failure.type == "BlockingIOError" or _NO_THREAD in failure.message


def cpu_exceeded(outcome: Outcome, end: Conclusion, limits: Limits) -> Outcome | None:
    """The outcome of a step that the kernel killed for its processor time; None for any other."""
    if limits.cpu_seconds is None or outcome.verdict != "killed":
        return None
    least = _LEAST_PART * limits.cpu_seconds
    is_spent = outcome.signal == signal.SIGKILL and (end.cpu_seconds or 0.0) >= least
    if outcome.signal != signal.SIGXCPU and not is_spent:
        return None
    message = f"a process of the run used more than {limits.cpu_seconds:g} s of processor time"
    return _named(outcome, "cpu_exceeded", message)


def disk_exceeded(outcome: Outcome, end: Conclusion, limits: Limits) -> Outcome | None:
    """The outcome of a step that wrote too large a file, or failed while its folders were full."""
    if outcome.verdict == "killed" and outcome.signal == signal.SIGXFSZ:
        message = f"a file of more than {limits.longest_file_bytes} bytes was written"
        return _named(outcome, "disk_exceeded", message)
    if not end.is_disk_full or outcome.verdict not in _UNEXPLAINED:
        return None
    message = (
        f"the run's folders were full: {limits.tmp_bytes} bytes and {limits.tmp_inodes} files"
        " are allowed"
    )
    if outcome.failure is not None and outcome.verdict != "raised":
        message = f"{outcome.failure.message}: {message}"
    return _named(outcome, "disk_exceeded", message)


def _named(outcome: Outcome, verdict: str, message: str) -> Outcome:
    """What the step itself raised says more than our own words."""
    failure = outcome.failure if outcome.verdict == "raised" else Failure(message=message)
    return replace(outcome, verdict=verdict, failure=failure, hint=HINTS[verdict], signal=None)
