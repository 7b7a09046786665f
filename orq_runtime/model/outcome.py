"""The outcome of one run: its value or the reason there is none, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Self

from orq_runtime._dataclass import asdict, dataclass, field, replace
from orq_runtime.errors import OrqRuntimeError
from orq_runtime.model.artifact import Artifact
from orq_runtime.model.blob import apart, joined
from orq_runtime.model.checks import Coercion
from orq_runtime.model.failure import Failure, Frame, Problem
from orq_runtime.model.verdict import VERDICTS

__all__ = ["Began", "Outcome", "Start", "Usage"]

Began = Literal["no", "yes", "unknown"]
Start = Literal["cold", "warm", "hot"]

_COLLECTED: Final = ("outputs", "artifacts")
_NOT_OURS: Final = ("exit_code", "fault", "blobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the run used. None where it could not be measured (its init was killed)."""

    wall_seconds: float
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one run ended. `verdict` is a name of the verdict table; only `ok` has a value.

    `began` says whether the function's body was entered: what never began is safe to try again.
    `start` is `cold` (the environment was made), `warm` (a process was started) or `hot` (one was
    parked). `isolation` is the tier in force; `enforced_by` names what enforces each limit.
    `exit_status` or `signal` is how the process ended, where it ended by itself. `stdout` and
    `stderr` are complete up to their limits; beyond, head and tail are kept and `*_dropped` counts
    the bytes between. `timings` are seconds by phase, those that the run reached, and `total`.

    `value` is JSON, with a read-only numpy array or a `Blob` in place of what was large.

    `outputs` are the declared outputs by name, collected from the run's working folder. `written`
    lists the files that were there, declared or not, where outputs were asked for (the first
    thousand); `artifacts` are those that nobody declared, by path, where they were to be kept.

    `imported` names packages of the environment that the run had to import itself, for its zygote
    had not: a `preload` of them would spare it that.

    `coerced` lists the inputs that were changed to fit, which only happens where the caller asked
    for it.
    """

    verdict: str
    value: object = None
    failure: Failure | None = None
    hint: str | None = None
    began: Began = "unknown"
    start: Start = "warm"
    isolation: str = "process"
    enforced_by: Mapping[str, str] = field(default_factory=dict)
    exit_status: int | None = None
    signal: int | None = None
    usage: Usage
    timings: Mapping[str, float] = field(default_factory=dict)
    stdout: str = ""
    stderr: str = ""
    stdout_dropped: int = 0
    stderr_dropped: int = 0
    environment: str = ""
    outputs: Mapping[str, Artifact] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    written: tuple[str, ...] = ()
    coerced: tuple[Coercion, ...] = ()
    imported: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the function returned a value of its type."""
        return self.verdict == "ok"

    @property
    def exit_code(self) -> int:
        """The CLI's exit code for this outcome."""
        row = VERDICTS[self.verdict]
        return row.exit_code + (self.signal or 0) if self.verdict == "killed" else row.exit_code

    @property
    def fault(self) -> str | None:
        """Who must act for the next run to go better; None when it went well."""
        fault = VERDICTS[self.verdict].fault
        return None if fault is None else fault.value

    def error(self) -> OrqRuntimeError | None:
        """The exception that `Runtime.run` raises for this outcome; None when it is `ok`."""
        raises = VERDICTS[self.verdict].raises
        if raises is None:
            return None
        message = self.failure.message if self.failure else VERDICTS[self.verdict].meaning
        return raises(message, hint=self.hint, outcome=self)

    def to_json(self) -> dict[str, object]:
        """A JSON object by the schema `orq-runtime schema outcome` prints."""
        document = asdict(replace(self, value=None))
        document["value"], document["blobs"] = apart(self.value)
        for name in _COLLECTED:
            collected: Mapping[str, Artifact] = getattr(self, name)
            document[name] = {one: artifact.to_json() for one, artifact in collected.items()}
        document["written"] = list(self.written)
        document["imported"] = list(self.imported)
        document["exit_code"] = self.exit_code
        document["fault"] = self.fault
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """The outcome that `to_json` wrote."""
        values = {k: v for k, v in document.items() if k not in _NOT_OURS}
        values["value"] = joined(values.get("value"), document.get("blobs", []))
        values["usage"] = Usage(**values["usage"])  # type: ignore[arg-type]  # as written by to_json
        values["failure"] = _failure(values.get("failure"))
        for name in ("written", "imported"):
            listed = values.get(name)
            values[name] = tuple(listed) if isinstance(listed, list) else ()
        for name in _COLLECTED:
            collected = values.get(name)
            if isinstance(collected, Mapping):
                values[name] = {k: Artifact.from_json(v) for k, v in collected.items()}
        values["coerced"] = _coerced(values.get("coerced"))
        return cls(**values)  # type: ignore[arg-type]  # as written by to_json


def _coerced(document: object) -> tuple[Coercion, ...]:
    if not isinstance(document, list | tuple):
        return ()
    return tuple(Coercion(**item) for item in document)


def _failure(document: object) -> Failure | None:
    if not isinstance(document, Mapping):
        return None
    values = dict(document)
    values["frames"] = tuple(Frame(**frame) for frame in values.get("frames", ()))
    values["problems"] = tuple(Problem(**problem) for problem in values.get("problems", ()))
    values["notes"] = tuple(values.get("notes", ()))
    values["cause"] = _failure(values.get("cause"))
    values["context"] = _failure(values.get("context"))
    members = (_failure(one) for one in values.get("exceptions", ()))
    values["exceptions"] = tuple(one for one in members if one is not None)
    return Failure(**values)
