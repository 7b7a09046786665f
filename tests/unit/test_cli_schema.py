"""The published schema and the values it describes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any  # a schema is JSON, and is walked as such

import pytest
from jsonschema import Draft202012Validator, ValidationError

from orq_runtime.model.failure import Failure, Frame, Problem
from orq_runtime.model.outcome import Outcome, Usage
from orq_runtime.model.schema import outcome_schema
from orq_runtime.model.verdict import VERDICTS

_SCHEMA: dict[str, Any] = outcome_schema()


def _outcome(verdict: str) -> Outcome:
    failure = Failure(
        message="x", cause=Failure(message="y", frames=(Frame(file="f", line=1, function="g"),))
    )
    return Outcome(
        verdict=verdict,
        failure=None if verdict == "ok" else failure,
        signal=9 if verdict == "killed" else None,
        usage=Usage(wall_seconds=1.0),
    )


@pytest.mark.parametrize("verdict", VERDICTS)
def test_an_outcome_of_every_verdict_is_valid(verdict: str) -> None:
    """Also after a round trip through JSON text and back."""
    document = _outcome(verdict).to_json()

    Draft202012Validator(_SCHEMA).validate(_as_json(document))
    assert document == Outcome.from_json(document).to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "unheard_of"},
        {"exit_code": 1},
        {"fault": "step"},
        {"value": 1, "verdict": "raised", "exit_code": 1, "fault": "step"},
        {"more": 1},
        {"usage": {}},
    ],
)
def test_an_outcome_that_contradicts_itself_is_invalid(change: dict[str, object]) -> None:
    """Exit code and fault follow from the verdict, and only `ok` has a value."""
    document = {**_outcome("ok").to_json(), **change}

    with pytest.raises(ValidationError):
        Draft202012Validator(_SCHEMA).validate(_as_json(document))


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (Failure, _SCHEMA["$defs"]["failure"]),
        (Frame, _SCHEMA["$defs"]["frame"]),
        (Problem, _SCHEMA["$defs"]["problem"]),
        (Usage, _SCHEMA["properties"]["usage"]),
    ],
)
def test_the_schema_has_the_fields_of_the_value(kind: Any, schema: dict[str, Any]) -> None:
    """None is missing and none is left over."""
    assert [item.name for item in fields(kind)] == list(schema["properties"])


def test_the_schema_has_the_fields_of_the_outcome() -> None:
    """Those of the value, the two that follow from the verdict, and what the value had apart."""
    names = [*(item.name for item in fields(Outcome)), "exit_code", "fault", "blobs"]

    assert names == list(_SCHEMA["properties"])


def _as_json(document: object) -> Any:
    """The document as a JSON parser gives it: lists, not tuples."""
    if isinstance(document, dict):
        return {key: _as_json(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_as_json(item) for item in document]
    return document
