"""What a driver of steps needs of a runtime: the seam between facades and engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Unpack

from orq_runtime.model.checks import ChecksGiven
from orq_runtime.model.environment import Environment
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome
from orq_runtime.model.step import Step

__all__ = ["StepRunner"]


class StepRunner(Protocol):
    """Anything that can supply and run steps: `Runtime`, or a cluster that stands for it."""

    def supply(self, *targets: Step) -> Environment:
        """Make or find the environment of the steps."""
        ...

    def run(
        self,
        step: Step,
        inputs: Mapping[str, object] | None = None,
        *,
        limits: Limits | None = None,
        check: bool = True,
        **checks: Unpack[ChecksGiven],
    ) -> Outcome:
        """Call the step's function once."""
        ...
