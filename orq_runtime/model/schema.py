"""The published JSON schema of an outcome, built from the verdict table and the value's own fields.

`docs/outcome.schema.json` and `docs/failure.schema.json` are the texts that `schema_text` gives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, get_args

from orq_runtime.errors import Fault
from orq_runtime.model.artifact import Kind
from orq_runtime.model.outcome import Began, Start
from orq_runtime.model.verdict import VERDICTS, Verdict

__all__ = ["DOCUMENTS", "failure_schema", "outcome_schema", "schema_text"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final[dict[str, object]] = {"type": "string"}
_TEXT_OR_NULL: Final[dict[str, object]] = {"type": ["string", "null"]}
_WHOLE: Final[dict[str, object]] = {"type": "integer", "minimum": 0}
_ARTIFACTS: Final[dict[str, object]] = {
    "type": "object",
    "additionalProperties": {"$ref": "#/$defs/artifact"},
}
_FAILURE_OR_NULL: Final[dict[str, object]] = {
    "anyOf": [{"$ref": "#/$defs/failure"}, {"type": "null"}]
}
_DROPPED: Final = {**_WHOLE, "description": "Bytes left out between head and tail."}
_BLOBS: Final[dict[str, object]] = {
    "type": "array",
    "items": {"$ref": "#/$defs/blob"},
    "description": "What was large in the value, which has null in their places.",
}
_SIGNALS: Final = 64


def schema_text(document: str) -> str:
    """The schema of one of `DOCUMENTS`, as text that is written for people."""
    return json.dumps(DOCUMENTS[document](), indent=2, ensure_ascii=False) + "\n"


def outcome_schema() -> dict[str, object]:
    """The schema of `Outcome.to_json()`, which is also what `run --output-format json` prints."""
    return {
        "$schema": _DIALECT,
        "title": "Outcome of one run of orq_runtime",
        "description": "How one run ended. Only the verdict `ok` has a value.",
        **_object(_properties()),
        "allOf": [_consequence(row) for row in VERDICTS.values()],
        "$defs": {
            **_definitions_of_failures(),
            "blob": _object(
                {
                    "at": {
                        "type": "array",
                        "items": {"type": ["string", "integer"]},
                        "description": "The keys and indices that lead to it.",
                    },
                    "dtype": {
                        **_TEXT,
                        "description": "`bytes`, `arrow` or numpy's name, such as `<f8`.",
                    },
                    "shape": {"type": "array", "items": _WHOLE},
                    "order": {"enum": ["C", "F"]},
                    "base64": {**_TEXT, "contentEncoding": "base64"},
                }
            ),
            "artifact": _object(
                {
                    "path": {**_TEXT, "description": "Where it lies on the host."},
                    "digest": {
                        **_TEXT,
                        "description": "Of its content: `sha256:...` or `tree:...`.",
                    },
                    "size_bytes": {"type": ["integer", "null"], "minimum": 0},
                    "kind": {"enum": list(get_args(Kind))},
                }
            ),
        },
    }


def failure_schema() -> dict[str, object]:
    """The schema of an error as JSON: the `failure` of an outcome."""
    return {
        "$schema": _DIALECT,
        "title": "Failure of one run of orq_runtime",
        "description": "Why a run has no value.",
        "$ref": "#/$defs/failure",
        "$defs": _definitions_of_failures(),
    }


DOCUMENTS: Final[Mapping[str, Callable[[], dict[str, object]]]] = MappingProxyType(
    {"outcome": outcome_schema, "failure": failure_schema}
)
"""The documents of ours that have a schema, by name."""


def _definitions_of_failures() -> dict[str, object]:
    frame = _object(
        {
            "file": _TEXT,
            "line": _WHOLE,
            "function": _TEXT,
            "source": {**_TEXT, "description": "The line's text, where it can be read."},
            "locals": {
                "type": "object",
                "additionalProperties": _TEXT,
                "description": "Clipped variables, where they were asked for.",
            },
        }
    )
    return {"failure": _failure(), "frame": frame, "problem": _problem()}


_FAULTS: Final = [fault.value for fault in Fault]
_IMPORTED: Final[dict[str, object]] = {
    "type": "array",
    "items": _TEXT,
    "description": "Packages of the environment that the run had to import itself.",
}


def _properties() -> dict[str, dict[str, object]]:
    return {
        "verdict": {"enum": list(VERDICTS), "description": "How the run ended."},
        "value": {"description": "What the function returned; null unless the verdict is `ok`."},
        "failure": _FAILURE_OR_NULL,
        "hint": {**_TEXT_OR_NULL, "description": "What to do next."},
        "began": {
            "enum": list(get_args(Began)),
            "description": "Whether the function was entered.",
        },
        "start": {"enum": list(get_args(Start)), "description": "What was there already."},
        "isolation": {**_TEXT, "description": "The isolation that was in force."},
        "enforced_by": {
            "type": "object",
            "additionalProperties": _TEXT,
            "description": "What enforced each limit.",
        },
        "exit_status": {"type": ["integer", "null"]},
        "signal": {"type": ["integer", "null"]},
        "usage": _object(
            {
                "wall_seconds": {"type": "number", "minimum": 0},
                "cpu_seconds": {"type": ["number", "null"], "minimum": 0},
                "peak_memory_bytes": {"type": ["integer", "null"], "minimum": 0},
            }
        ),
        "timings": {
            "type": "object",
            "additionalProperties": {"type": "number"},
            "description": "Seconds by phase.",
        },
        **dict.fromkeys(("stdout", "stderr"), _TEXT),
        **dict.fromkeys(("stdout_dropped", "stderr_dropped"), _DROPPED),
        "environment": {**_TEXT, "description": "The environment's key; empty without one."},
        "outputs": {**_ARTIFACTS, "description": "The declared outputs, by name."},
        "artifacts": {
            **_ARTIFACTS,
            "description": "Files nobody declared, by path in the working folder, where kept.",
        },
        "written": {
            "type": "array",
            "items": _TEXT,
            "description": "The files in the working folder, where outputs were asked for.",
        },
        "coerced": _coerced(),
        "imported": _IMPORTED,
        "exit_code": {**_WHOLE, "description": "The exit code of `orq-runtime run`."},
        "fault": {"enum": [*_FAULTS, None], "description": "Who must act for the next run."},
        "blobs": _BLOBS,
    }


def _coerced() -> dict[str, object]:
    return {
        "type": "array",
        "items": _object(dict.fromkeys(("path", "how", "value", "became"), _TEXT)),
        "description": "The inputs that were changed to fit, where that was allowed.",
    }


def _failure() -> dict[str, object]:
    return _object(
        {
            "message": _TEXT,
            "type": {**_TEXT, "description": "The exception's name, or empty."},
            "frames": {"type": "array", "items": {"$ref": "#/$defs/frame"}},
            "notes": {"type": "array", "items": _TEXT, "description": "What was added to it."},
            "cause": {**_FAILURE_OR_NULL, "description": "What it was raised from."},
            "context": {**_FAILURE_OR_NULL, "description": "What was being handled meanwhile."},
            "exceptions": {
                "type": "array",
                "items": {"$ref": "#/$defs/failure"},
                "description": "The members of an exception group.",
            },
            "problems": {"type": "array", "items": {"$ref": "#/$defs/problem"}},
            "module": {**_TEXT, "description": "The module that an import did not find."},
            "component": {**_TEXT, "description": "The component whose code asked for it."},
        }
    )


def _problem() -> dict[str, object]:
    return _object(
        {
            "parameter": _TEXT,
            "path": {**_TEXT, "description": "Where: `xs[2]`, `orders[17].price`, `return`."},
            "message": _TEXT,
            "expected": {**_TEXT, "description": "The type wanted at that place."},
            "annotation": {**_TEXT, "description": "The whole annotation as it was written."},
            "got": {**_TEXT, "description": "The type that came."},
            "value": {**_TEXT, "description": "The value that came, clipped."},
            "hint": {**_TEXT, "description": "What is likely meant; empty if unknown."},
        }
    )


def _object(properties: dict[str, dict[str, object]]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _consequence(row: Verdict) -> dict[str, object]:
    """What a verdict implies for the other fields."""
    implied: dict[str, object] = {"exit_code": {"const": row.exit_code}}
    implied["fault"] = {"const": None if row.fault is None else row.fault.value}
    if row.raises is None:
        implied["failure"] = {"type": "null"}
    else:
        implied["value"] = {"type": "null"}
    if row.name == "killed":
        implied["exit_code"] = {"minimum": row.exit_code + 1, "maximum": row.exit_code + _SIGNALS}
        implied["signal"] = {"type": "integer"}
    return {
        "if": {"properties": {"verdict": {"const": row.name}}},
        "then": {"properties": implied},
    }
