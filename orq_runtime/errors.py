"""Every exception this library raises on purpose, classed by whose fault it is.

Rules of this file:

1. One root, `OrqRuntimeError`; each class says who must act (`fault`) and whether trying the same
   call again can help (`retryable`).
2. Nothing is classed by the module that noticed it. A missing input is the caller's fault wherever
   it is found.
3. Which verdict raises which class is said once, in `model.verdict`.
"""

from __future__ import annotations

import enum
import functools

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from typing import ClassVar, Final

    from orq_runtime.model.outcome import Outcome

__all__ = [
    "BadCall",
    "BadComponent",
    "BadDocument",
    "BadRequirement",
    "BadResult",
    "BuildFailed",
    "Cancelled",
    "DeadlineExceeded",
    "Fault",
    "FunctionRaised",
    "ImportFailed",
    "IndexUnavailable",
    "InternalError",
    "InterpreterNotFound",
    "LimitExceeded",
    "MissingOutput",
    "NeverStarted",
    "NoResult",
    "NotEncodable",
    "NotFound",
    "OrqRuntimeError",
    "ProtocolViolation",
    "RequestError",
    "ResolutionFailed",
    "RunError",
    "RuntimeSaturated",
    "SandboxError",
    "StaleLock",
    "StepExited",
    "StepKilled",
    "StoreBusy",
    "StoreError",
    "SupplyError",
    "WallUnavailable",
    "WrongArgument",
    "WrongResult",
]


_TURNING: Final = (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))


class Fault(enum.StrEnum):
    """Who must act for the next try to go better."""

    CALLER = "caller"
    STEP = "step"
    COMPONENT = "component"
    INDEX = "index"
    HOST = "host"


class OrqRuntimeError(Exception):
    """The root. Catch it to catch everything this library raises on purpose.

    `hint`, when there is one, is a sentence that says what to do next. `outcome` is the run's
    outcome where a run took place, else None.
    """

    fault: ClassVar[Fault] = Fault.HOST
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, hint: str | None = None, outcome: Outcome | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.outcome = outcome

    def __str__(self) -> str:
        """The message as a terminal may be shown it: some of it is a step's own words."""
        return super().__str__().translate(_controls())


@functools.cache
def _controls() -> dict[int, str]:
    """What moves a cursor or turns text around, and how it is spelled out."""
    return {
        code: chr(code).encode("unicode_escape").decode("ascii")
        for code in (*range(0x20), *range(0x7F, 0xA0), *_TURNING)
        if chr(code) not in "\n\t"
    }


class InternalError(OrqRuntimeError):
    """This should never happen: an invariant of ours broke. Please report it."""


# -- the caller's ------------------------------------------------------------------------------


class RequestError(OrqRuntimeError):
    """The request itself is wrong; nothing of the step's body ran."""

    fault = Fault.CALLER


class NotFound(RequestError):
    """No such file or function. A package that is missing is `ImportFailed`."""


class BadCall(RequestError):
    """The inputs do not fit the function's parameters by name, or cannot be sent as JSON."""


class WrongArgument(RequestError):
    """At least one argument is not of its parameter's type; `outcome.failure.problems` has all."""


class BadDocument(RequestError):
    """A YAML or JSON document given by the caller is not what it must be."""


# -- supply ------------------------------------------------------------------------------------


class SupplyError(OrqRuntimeError):
    """The environment could not be made. Nothing half-made is left in the store."""

    fault = Fault.COMPONENT


class BadComponent(SupplyError):
    """A component's folder or a declaration file in it is unusable."""


class BadRequirement(BadComponent):
    """A requirement line cannot be read, or asks for what a component may not ask."""


class ResolutionFailed(SupplyError):
    """The requirements have no solution; the message keeps the resolver's reason."""


class StaleLock(SupplyError):
    """A lock was to be honoured and is missing, or is not of what is declared now."""


class BuildFailed(SupplyError):
    """A local or vendored source distribution did not build; the message keeps the log's end."""


class InterpreterNotFound(SupplyError):
    """No interpreter on this machine fits what was asked, or it is too old."""

    fault = Fault.HOST


class IndexUnavailable(SupplyError):
    """A package index did not answer; a package that it does not have is `ResolutionFailed`."""

    fault = Fault.INDEX
    retryable = True


class StoreError(SupplyError):
    """The cache folder cannot be used: no space, no permission, no working locks."""

    fault = Fault.HOST


class StoreBusy(StoreError):
    """Another process held the lock of this environment for longer than we wait."""

    retryable = True


# -- the step's --------------------------------------------------------------------------------


class RunError(OrqRuntimeError):
    """A run took place and did not end well; `outcome` tells all that is known of it."""

    fault = Fault.STEP


class FunctionRaised(RunError):
    """The step's module or function raised."""


class ImportFailed(RunError):
    """A module that the step imports is not in its environment."""


class BadResult(RunError):
    """The function returned, and what it returned cannot be used."""


class WrongResult(BadResult):
    """The returned value is not of the annotated type."""


class NotEncodable(BadResult):
    """The returned value has no form in JSON."""


class NoResult(BadResult):
    """The process ended with status 0 and without a result."""


class MissingOutput(BadResult):
    """A declared output file was not written."""


class LimitExceeded(RunError):
    """The run used more of something than its limits allow."""


class StepExited(RunError):
    """The process ended itself with a status other than 0."""


class StepKilled(RunError):
    """A signal that we did not send ended the process."""


class DeadlineExceeded(RunError):
    """The run took longer than its wall-clock limit and was killed."""


class Cancelled(RunError):
    """The caller cancelled the run and it was killed."""

    fault = Fault.CALLER


# -- the sandbox's -----------------------------------------------------------------------------


class SandboxError(OrqRuntimeError):
    """The runtime could not give the step a place to run, or the guest broke the protocol."""


class NeverStarted(SandboxError):
    """The guest process died before it could take the request; the function did not begin."""

    retryable = True


class RuntimeSaturated(SandboxError):
    """As many runs wait for a turn as may, or the host has no thread for one.

    Nothing of this one ran, nor will. Try again later.
    """

    retryable = True


class WallUnavailable(SandboxError):
    """This machine cannot give the isolation asked for; nothing ran."""


class ProtocolViolation(SandboxError):
    """The guest sent bytes that are not the protocol's."""

    fault = Fault.STEP
