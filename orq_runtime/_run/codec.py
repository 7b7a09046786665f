"""Inputs to the body of a REQUEST, and the body of a RESULT back to a value.

A document starts with a mark: `J` when any JSON parser reads it right, `B` when it holds integers
beyond 64 bits, which orjson refuses to write and would read as rounded floats.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping

import orjson

from orq_runtime.errors import BadCall
from orq_runtime.model.artifact import Artifact
from orq_runtime.model.plan import CALL, Manner, RunPlan
from orq_sandbox import wire

__all__ = ["decode_document", "decode_result", "decode_timings", "encode_request", "new_seal"]

Simpler = Callable[[object], object]

_PLAIN = b"J"
_BIG = b"B"
_LAPS = frozenset(("decode", "load", "check", "call", "check_result", "encode"))


def new_seal() -> bytes:
    """What the answer to one request must start with."""
    return os.urandom(wire.SEAL_BYTES)


def encode_request(
    plan: RunPlan,
    inputs: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    seal: bytes,
    artifacts: list[Artifact],
    manner: Manner = CALL,
) -> bytes:
    """The REQUEST frame of a call. Raises `BadCall` naming the input that is not JSON.

    The artifacts among the inputs are added to `artifacts`; the step gets their paths.
    """
    document: dict[str, object] = {
        "file": None if plan.file is None else str(plan.file),
        "source": plan.source,
        "function": plan.function,
        "roots": [str(root) for root in plan.import_roots],
        "environ": dict(environ),
        "inputs": dict(inputs),
    }
    if manner.shows_locals:
        document["locals"] = True
    if manner.purpose != "call":
        document["purpose"] = manner.purpose
    return wire.frame(wire.REQUEST, seal + _marked(document, inputs, _simpler(artifacts)))


def _simpler(artifacts: list[Artifact]) -> Simpler:
    """One step towards JSON for what orjson does not know, and the artifacts that were met."""

    def simpler(value: object) -> object:
        if isinstance(value, Artifact):
            artifacts.append(value)
            return str(value.path.resolve())
        fields = getattr(type(value), "__dataclass_fields__", None)
        if fields is None:
            raise TypeError
        return {name: getattr(value, name) for name in fields if not name.startswith("_")}

    return simpler


def _marked(
    document: Mapping[str, object], inputs: Mapping[str, object], simpler: Simpler
) -> bytes:
    try:
        # dataclasses come to `simpler`, because an artifact is one
        text = orjson.dumps(document, simpler, orjson.OPT_PASSTHROUGH_DATACLASS)
    except orjson.JSONEncodeError as error:
        if not _has_big_integer(inputs):
            raise _explained(inputs, error, simpler) from error
    else:
        if b"null" in text and (path := _not_finite(inputs)):
            raise BadCall(f"input `{path}` is not finite, and JSON has no such number")
        return _PLAIN + text
    try:
        exact = json.dumps(
            document,
            allow_nan=False,
            ensure_ascii=False,
            default=lambda value: orjson.loads(
                orjson.dumps(value, simpler, orjson.OPT_PASSTHROUGH_DATACLASS)
            ),
        )
        return _BIG + exact.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _explained(inputs, error, simpler) from error


def _has_big_integer(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_big_integer, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_big_integer, value))
    return isinstance(value, int) and not -(1 << 63) <= value < 1 << 64


def _not_finite(value: object, path: str = "") -> str:
    """The path of the first NaN or infinity, or nothing."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else path
    if isinstance(value, Mapping):
        members = ((f"{path}[{key!r}]" if path else str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        members = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    else:
        return ""
    return next((found for where, item in members if (found := _not_finite(item, where))), "")


def _explained(inputs: Mapping[str, object], error: Exception, simpler: Simpler) -> BadCall:
    for name, value in inputs.items():
        try:
            orjson.dumps({name: value}, simpler, orjson.OPT_PASSTHROUGH_DATACLASS)
        except orjson.JSONEncodeError as reason:
            return BadCall(
                f"input `{name}` cannot be sent as JSON: {reason}",
                hint="inputs are JSON: text, numbers, true, false, null, lists and objects",
            )
    return BadCall(f"the inputs cannot be sent as JSON: {error}")


def decode_result(body: bytes) -> tuple[object, dict[str, float], tuple[float, int]]:
    """Value, timings and usage (processor seconds, peak bytes) of a RESULT.

    Raises `wire.WireError` when it is not one strict document.
    """
    document = decode_document(body)
    if document.keys() != {"timings", "usage", "value"}:
        raise wire.WireError("a result has exactly `timings`, `usage` and `value`")
    return document["value"], decode_timings(document["timings"]), _usage(document["usage"])


def _usage(document: object) -> tuple[float, int]:
    if not isinstance(document, dict) or document.keys() != {"cpu_seconds", "peak_kib"}:
        raise wire.WireError("a usage that is none")
    seconds, peak = document["cpu_seconds"], document["peak_kib"]
    if not isinstance(seconds, float) or not 0 <= seconds < math.inf:
        raise wire.WireError("processor seconds that are none")
    if type(peak) is not int or not 0 <= peak < 1 << 53:
        raise wire.WireError("a peak that is none")
    return seconds, peak * 1024


def decode_document(body: bytes) -> dict[str, object]:
    """The JSON object of a marked body. Raises `wire.WireError` on anything else."""
    mark, text = body[:1], memoryview(body)[1:]
    try:
        if mark == _PLAIN:
            document = orjson.loads(text)
        elif mark == _BIG:
            document = json.loads(bytes(text).decode(), parse_constant=_no_constant)
        else:
            raise wire.WireError("a document without a mark")
    except (ValueError, RecursionError) as error:
        raise wire.WireError(f"not a JSON document: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise wire.WireError("not a JSON object")
    return document


def _no_constant(name: str) -> object:
    raise ValueError(f"`{name}` is no JSON")


def decode_timings(document: object) -> dict[str, float]:
    """The guest's timings, in seconds. Raises `wire.WireError` on unknown names or non-numbers."""
    if not isinstance(document, dict) or not document.keys() <= _LAPS:
        raise wire.WireError("timings are not the known ones")
    for value in document.values():
        if not isinstance(value, float) or not math.isfinite(value):
            raise wire.WireError("a timing is no finite number")
    return document
