"""The published JSON schema of one line of `--output-format ndjson`.

`docs/event.schema.json` is the text that `schema_text` gives.
"""

from __future__ import annotations

import json
from typing import Final, get_args

from orq_runtime.errors import Fault
from orq_runtime.events import EVENT_VERSION
from orq_runtime.model.phase import Phase, State, Unit
from orq_runtime.model.verdict import VERDICTS

__all__ = ["event_schema", "schema_text"]

_TEXT: Final[dict[str, object]] = {"type": "string"}
_TEXT_OR_NULL: Final[dict[str, object]] = {"type": ["string", "null"]}
_WHOLE: Final[dict[str, object]] = {"type": "integer", "minimum": 0}
_MEANINGS: Final = {
    "resolve": "from declarations to a lock",
    "download": "a file of a package comes; `done` is estimated until it is there",
    "build": "a wheel of a local package is built, behind the wall",
    "install": "the distributions of a lock are put into an environment",
    "compile": "bytecode is made, behind the wall",
    "publish": "all files are checked and written, and the environment gets its name",
    "wait": "another process makes the same thing; `message` says which",
    "hit": "the environment was in the store",
    "support": "what checks and encodes inside a run is prepared for an interpreter",
    "run": "a run goes on",
}


def schema_text() -> str:
    """The schema as text that is written for people."""
    return json.dumps(event_schema(), indent=2, ensure_ascii=False) + "\n"


def event_schema() -> dict[str, object]:
    """The schema of a line: an event, or the last one, which is the result or an error."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of an event stream of orq_runtime",
        "description": "Events as they happen; the last line is the result or an error.",
        "oneOf": [_line(_progress()), _line(_result()), _line(_error())],
    }


def _line(properties: dict[str, dict[str, object]]) -> dict[str, object]:
    own: dict[str, dict[str, object]] = {
        "v": {"const": EVENT_VERSION, "description": "The version of this format."},
        "time": {**_TEXT, "format": "date-time", "description": "When it was written, in UTC."},
        **properties,
    }
    return _object(own)


def _progress() -> dict[str, dict[str, object]]:
    phases = "; ".join(f"`{name}`: {text}" for name, text in _MEANINGS.items())
    return {
        "event": {"enum": list(get_args(Phase)), "description": phases},
        "state": {"enum": list(get_args(State))},
        "subject": {**_TEXT, "description": "A package, a component, an environment's key."},
        "message": {**_TEXT, "description": "A sentence for people, or empty."},
        "done": {**_WHOLE, "description": "How much of `total`; 0 where it is not known."},
        "total": {**_WHOLE, "description": "0 where it is not known."},
        "unit": {"enum": list(get_args(Unit)), "description": "What is counted."},
    }


def _result() -> dict[str, dict[str, object]]:
    return {
        "event": {"const": "result"},
        "result": {
            "type": "object",
            "description": "What the command prints with `--output-format json`.",
        },
    }


def _error() -> dict[str, dict[str, object]]:
    error = _object(
        {
            "verdict": {"enum": [*VERDICTS, None]},
            "message": _TEXT,
            "hint": _TEXT_OR_NULL,
            "fault": {"enum": [fault.value for fault in Fault]},
            "retryable": {"type": "boolean"},
            "exit_code": _WHOLE,
        }
    )
    return {"event": {"const": "error"}, "error": error}


def _object(properties: dict[str, dict[str, object]]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


assert {*_MEANINGS} == {*get_args(Phase)}
