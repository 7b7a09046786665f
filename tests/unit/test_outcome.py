"""Outcomes and the verdict table: one source for exceptions and exit codes, JSON both ways."""

from __future__ import annotations

import json

import pytest

from orq_runtime import Outcome, Step, errors
from orq_runtime.model.failure import Failure, Frame, Problem
from orq_runtime.model.outcome import Usage
from orq_runtime.model.verdict import VERDICTS, exit_code_of_error


def _failed(verdict: str) -> Outcome:
    return Outcome(
        verdict=verdict,
        usage=Usage(wall_seconds=1.5, cpu_seconds=0.5, peak_memory_bytes=1),
        signal=9 if verdict == "killed" else None,
        failure=Failure(
            message="m",
            type="T",
            frames=(Frame(file="f", line=1, function="g", source="s"),),
            cause=Failure(message="c"),
            problems=(Problem(parameter="x", path="x[1]", message="p"),),
        ),
        timings={"call": 0.1},
    )


@pytest.mark.parametrize("verdict", VERDICTS)
def test_an_outcome_survives_json(verdict: str) -> None:
    """What `to_json` wrote, through text, `from_json` reads back equal."""
    outcome = _failed(verdict)

    assert outcome == Outcome.from_json(json.loads(json.dumps(outcome.to_json())))


def test_a_step_survives_json() -> None:
    """A step crosses a cluster as JSON."""
    step = Step("a.py", "f", components=["c"], requirements=["numpy"], python="3.9", name="n")

    assert step == Step.from_json(json.loads(json.dumps(step.to_json())))


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        ("ok", 0),
        ("raised", 1),
        ("import_failed", 1),
        ("not_found", 2),
        ("bad_call", 2),
        ("wrong_type", 3),
        ("wrong_result", 5),
        ("not_encodable", 5),
        ("no_result", 5),
        ("output_exceeded", 6),
        ("exited", 7),
        ("timeout", 124),
        ("never_started", 125),
        ("wall_unavailable", 125),
        ("protocol_violation", 125),
        ("killed", 128 + 9),
        ("cancelled", 130),
    ],
)
def test_exit_codes_are_the_documented_ones(verdict: str, code: int) -> None:
    """The CLI's exit code of each verdict."""
    assert code == _failed(verdict).exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ResolutionFailed("x"), 4),
        (errors.IndexUnavailable("x"), 4),
        (errors.StoreBusy("x"), 4),
        (errors.BadDocument("x"), 2),
        (errors.NotFound("x"), 2),
        (errors.RequestError("x"), 2),
        (errors.WallUnavailable("x"), 125),
        (errors.InternalError("x"), 125),
    ],
)
def test_errors_without_an_outcome_have_exit_codes(
    error: errors.OrqRuntimeError, code: int
) -> None:
    """What keeps a run from being tried has its code too."""
    assert code == exit_code_of_error(error)


def test_every_class_is_raised_under_the_root() -> None:
    """All public errors share the root, and each says whose fault it is."""
    for name in errors.__all__:
        found = getattr(errors, name)
        if isinstance(found, type) and issubclass(found, Exception):
            assert issubclass(found, errors.OrqRuntimeError)
            assert isinstance(found.fault, errors.Fault)
