"""The verdict table: every way a run can end, said once.

Exceptions, exit codes, the outcome's schema and the table in the documents all follow from
`VERDICTS`. Whose fault a verdict is, and whether to retry, is the exception's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from orq_runtime import errors
from orq_runtime._dataclass import dataclass

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from typing import Final

__all__ = ["GUEST_VERDICTS", "VERDICTS", "Verdict", "exit_code_of_error"]

_SIGNAL_BASE: Final = 128
_INTERNAL: Final = 125


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One row: its name, what it raises, the CLI's exit code, one sentence of meaning."""

    name: str
    raises: type[errors.OrqRuntimeError] | None
    exit_code: int
    meaning: str
    by_guest: bool = False

    @property
    def fault(self) -> errors.Fault | None:
        """Who must act; None for `ok`."""
        return None if self.raises is None else self.raises.fault


def _row(
    name: str,
    raises: type[errors.OrqRuntimeError] | None,
    exit_code: int,
    meaning: str,
    *,
    by_guest: bool = False,
) -> tuple[str, Verdict]:
    return name, Verdict(
        name=name, raises=raises, exit_code=exit_code, meaning=meaning, by_guest=by_guest
    )


VERDICTS: Final[Mapping[str, Verdict]] = MappingProxyType(
    dict(
        (
            _row("ok", None, 0, "the function returned a value of its type"),
            _row("raised", errors.FunctionRaised, 1, "the step raised", by_guest=True),
            _row(
                "import_failed",
                errors.ImportFailed,
                1,
                "a module is missing in the environment",
                by_guest=True,
            ),
            _row("not_found", errors.NotFound, 2, "no such file or function", by_guest=True),
            _row("bad_call", errors.BadCall, 2, "unknown or missing parameter", by_guest=True),
            _row(
                "wrong_type",
                errors.WrongArgument,
                3,
                "an argument is not of its type",
                by_guest=True,
            ),
            _row("supply_failed", errors.SupplyError, 4, "the environment could not be made"),
            _row(
                "wrong_result",
                errors.WrongResult,
                5,
                "the result is not of its type",
                by_guest=True,
            ),
            _row(
                "not_encodable",
                errors.NotEncodable,
                5,
                "the result has no JSON form",
                by_guest=True,
            ),
            _row("no_result", errors.NoResult, 5, "exit status 0 and no result"),
            _row("missing_output", errors.MissingOutput, 5, "a declared output was not written"),
            _row(
                "out_of_memory", errors.LimitExceeded, 6, "more memory than allowed", by_guest=True
            ),
            _row("cpu_exceeded", errors.LimitExceeded, 6, "more processor time than allowed"),
            _row("output_exceeded", errors.LimitExceeded, 6, "a larger result than allowed"),
            _row("disk_exceeded", errors.LimitExceeded, 6, "more disk than allowed", by_guest=True),
            _row(
                "processes_exceeded",
                errors.LimitExceeded,
                6,
                "more processes than allowed",
                by_guest=True,
            ),
            _row("exited", errors.StepExited, 7, "the process ended itself with a status"),
            _row("timeout", errors.DeadlineExceeded, 124, "killed at the wall-clock limit"),
            _row("never_started", errors.NeverStarted, 125, "the guest died before the request"),
            _row("wall_unavailable", errors.WallUnavailable, 125, "isolation cannot be given"),
            _row("protocol_violation", errors.ProtocolViolation, 125, "the guest lied on the wire"),
            _row("killed", errors.StepKilled, _SIGNAL_BASE, "ended by a signal; 128 + its number"),
            _row("cancelled", errors.Cancelled, 130, "the caller cancelled"),
        )
    )
)

GUEST_VERDICTS: Final = frozenset(row.name for row in VERDICTS.values() if row.by_guest)
"""The verdicts a FAILURE frame may name: all others are the host's to decide."""


def exit_code_of_error(error: errors.OrqRuntimeError) -> int:
    """The CLI's exit code for an error that no outcome belongs to."""
    for row in VERDICTS.values():
        if row.raises is not None and isinstance(error, row.raises):
            return row.exit_code
    return 2 if isinstance(error, errors.RequestError) else _INTERNAL
