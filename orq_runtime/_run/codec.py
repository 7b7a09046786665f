"""Inputs to the body of a REQUEST, and the body of a RESULT back to a value.

A document starts with a mark: `J` when any JSON parser reads it right, `B` when it holds integers
beyond 64 bits, which orjson refuses to write and would read as rounded floats; `N` when it also
holds NaN or infinities, which is only sent where the caller allowed it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from orq_runtime._run import argv, exact
from orq_runtime._run.depth import MOST_LEVELS, SHALLOW_BYTES, is_too_deep
from orq_runtime._run.nulls import may_hold_nan
from orq_runtime._run.packing import Packing
from orq_runtime.errors import BadCall
from orq_runtime.model.checks import STRICT, Coercion
from orq_runtime.model.plan import CALL, Manner, RunPlan
from orq_sandbox import wire

__all__ = [
    "Request",
    "Result",
    "TooLarge",
    "about_call",
    "decode_coerced",
    "decode_document",
    "decode_result",
    "decode_timings",
    "encode_command",
    "encode_request",
    "new_seal",
    "plain_request",
]

_PLAIN: Final = b"J"
_BIG: Final = b"B"
_NAN: Final = b"N"
_PASSED_ON: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""What `simpler` sees to: an artifact is a dataclass, and orjson rounds the offsets of times."""

_COERCED_PARTS: Final = {"path", "how", "value", "became"}
_MOST_IMPORTED: Final = 16
_RESULT_PARTS: Final = {"timings", "usage", "value"}
_MOST_COERCED: Final = 256
_LONGEST_TEXT: Final = 4096
_LAPS = frozenset(
    ("received", "decode", "load", "bind", "convert", "check", "call", "check_result", "encode")
)


class TooLarge(Exception):
    """What stands beside a result's JSON is larger than the run's limit."""


class Result(NamedTuple):
    """What a RESULT says; `usage` is processor seconds and peak bytes, `blobs` is not looked at."""

    value: object
    timings: dict[str, float]
    usage: tuple[float, int]
    coerced: tuple[Coercion, ...]
    blobs: object
    imported: tuple[str, ...]


def new_seal() -> bytes:
    """What the answer to one request must start with."""
    return os.urandom(wire.SEAL_BYTES)


def about_call(
    plan: RunPlan,
    *,
    environ: Mapping[str, str],
    manner: Manner = CALL,
    stamp: Sequence[int] | None = None,
    binds: bool = False,
) -> bytes:
    """What a REQUEST says beside the inputs, the same for each run of a plan: a JSON object.

    `stamp` is of the step's file: another content is another step. With `binds` a child that knows
    this ahead executes the module ahead, too.
    """
    about: dict[str, object] = {
        "file": None if plan.file is None else str(plan.file),
        "source": plan.source,
        "function": plan.function,
        "roots": [str(root) for root in plan.import_roots],
        "environ": dict(environ),
    }
    if stamp is not None:
        about["stamp"] = list(stamp)
    if binds:
        about["bind"] = True
    if manner.shows_locals:
        about["locals"] = True
    if manner.purpose != "call":
        about["purpose"] = manner.purpose
    checks = manner.checks
    if checks != STRICT:  # what the guest takes for granted
        about["checks"] = [checks.typecheck, checks.coerce, checks.nan]
    return orjson.dumps(about)


def plain_request(about: bytes, inputs: Mapping[str, object], seal: bytes) -> Request | None:
    """The REQUEST of a call whose inputs are plain JSON; None where that takes a second look."""
    try:
        text = orjson.dumps(dict(inputs), None, _PASSED_ON)
    except orjson.JSONEncodeError:
        return None
    if b"null" in text and may_hold_nan(inputs):  # null is also what orjson makes of NaN
        return None
    return Request(about, (seal, _PLAIN), (b'"inputs":', text, b"}"))


def encode_request(
    about: bytes,
    inputs: Mapping[str, object],
    *,
    seal: bytes,
    packing: Packing,
    allow_nan: bool = False,
) -> Request:
    """The REQUEST of a call. Raises `BadCall` naming the input that is not JSON.

    For each artifact among the inputs the step gets the path that the packing hands it over by;
    what is large is packed, and the packing's file goes out with the frame.
    """
    mark, text = _inputs(inputs, packing, allow_nan=allow_nan)
    blobs = packing.about()
    beside = b"" if blobs is None else b'"blobs":' + orjson.dumps(blobs) + b","
    return Request(about, (seal, mark), (beside, b'"inputs":', text, b"}"))


class Request(NamedTuple):
    """A REQUEST that is not framed yet: what it is `about` its child may know already."""

    about: bytes
    start: tuple[bytes, ...]
    rest: tuple[bytes, ...]

    def frame(self, known: bytes) -> bytes:
        """Its frame, for a child that knows that much."""
        about = b"{" if known and known == self.about else self.about[:-1] + b","
        return wire.frame(wire.REQUEST, *self.start, about, *self.rest)


def encode_command(
    plan: RunPlan,
    inputs: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    seal: bytes,
    packing: Packing,
    manner: Manner = CALL,
) -> bytes:
    """The REQUEST frame of a step that is a command. Raises `BadCall` as `encode_request` does."""
    packing.takes_blobs = False  # a word of a command is text
    texts = _texts(inputs, packing)
    return argv.step_request(plan, texts, environ=environ, seal=seal, manner=manner)


def _inputs(
    inputs: Mapping[str, object], packing: Packing, *, allow_nan: bool
) -> tuple[bytes, bytes]:
    """The mark and the JSON of the inputs."""
    simpler = _simpler_with(packing)
    try:
        text = orjson.dumps(dict(inputs), simpler, _PASSED_ON)
        if b"null" not in text or not may_hold_nan(inputs):
            return _PLAIN, text
    except orjson.JSONEncodeError:
        pass
    packing.clear()  # it is all met again
    from orq_runtime._run.plain import Walk  # start-up budget: few inputs need it

    walk = Walk(simpler, allow_nan=allow_nan)
    try:
        made = walk.inputs(inputs)
        if not walk.has_big and not walk.has_nan:
            return _PLAIN, orjson.dumps(made)
        return (_NAN if walk.has_nan else _BIG), exact.dumps(made, allow_nan=allow_nan)
    except BadCall as error:
        raise error.with_traceback(None) from None  # it names the place; two lines per level do not
    except (TypeError, ValueError, RecursionError) as error:
        raise BadCall(f"the inputs cannot be sent as JSON: {error}") from error


def _simpler_with(packing: Packing) -> Callable[[object], object]:
    known: list[Callable[[object], object]] = []

    def simpler(value: object) -> object:
        if not known:
            from orq_runtime._run.plain import simpler_with  # start-up budget: few inputs need it

            known.append(simpler_with(packing))
        return known[0](value)

    return simpler


def _texts(inputs: Mapping[str, object], packing: Packing) -> dict[str, str]:
    """Each input as a word of a command: a text as it is, anything else as JSON."""
    values = json.loads(_inputs(inputs, packing, allow_nan=False)[1])
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
    }


def decode_result(body: bytes, *, allow_nan: bool = False) -> Result:
    """The parts of a RESULT. Raises `wire.WireError` when it is not one strict document."""
    document = decode_document(body, allow_nan=allow_nan)
    if document.keys() - {"blobs", "coerced", "imported"} != _RESULT_PARTS:
        raise wire.WireError("a result has exactly `timings`, `usage` and `value`")
    return Result(
        document["value"],
        decode_timings(document["timings"]),
        _usage(document["usage"]),
        decode_coerced(document["coerced"]) if "coerced" in document else (),
        document.get("blobs"),
        _modules(document["imported"]) if "imported" in document else (),
    )


def _modules(document: object) -> tuple[str, ...]:
    if not isinstance(document, list) or len(document) > _MOST_IMPORTED:
        raise wire.WireError("a list of modules that is none, or too long")
    if not all(isinstance(name, str) and len(name) <= _LONGEST_TEXT for name in document):
        raise wire.WireError("a module that is no text, or too long")
    return tuple(document)


def _usage(document: object) -> tuple[float, int]:
    if not isinstance(document, dict) or document.keys() != {"cpu_seconds", "peak_kib"}:
        raise wire.WireError("a usage that is none")
    seconds, peak = document["cpu_seconds"], document["peak_kib"]
    if not isinstance(seconds, float) or not 0 <= seconds < math.inf:
        raise wire.WireError("processor seconds that are none")
    if type(peak) is not int or not 0 <= peak < 1 << 53:
        raise wire.WireError("a peak that is none")
    return seconds, peak * 1024


def decode_document(body: bytes, *, allow_nan: bool = False) -> dict[str, object]:
    """The JSON object of a marked body. Raises `wire.WireError` on anything else."""
    mark, text = body[:1], memoryview(body)[1:]
    try:
        if mark == _PLAIN:
            document = orjson.loads(text)
        elif mark == _BIG or (mark == _NAN and allow_nan):
            document = exact.loads(bytes(text).decode(), allow_nan=mark == _NAN)
        else:
            raise wire.WireError("a document without a mark")
    except (ValueError, RecursionError) as error:
        raise wire.WireError(f"not a JSON document: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise wire.WireError("not a JSON object")
    if len(body) > SHALLOW_BYTES and is_too_deep(document, body):
        raise wire.WireError(f"a document of more than {MOST_LEVELS} levels")
    return document


def decode_coerced(document: object) -> tuple[Coercion, ...]:
    """What the guest changed. Raises `wire.WireError` when it said anything else."""
    if not isinstance(document, list) or len(document) > _MOST_COERCED:
        raise wire.WireError("a list of changes that is none, or too long")
    return tuple(_coercion(item) for item in document)


def _coercion(item: object) -> Coercion:
    if not isinstance(item, dict) or item.keys() != _COERCED_PARTS:
        raise wire.WireError("a change that is none")
    if not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in item.values()):
        raise wire.WireError("a change that is no text, or too long")
    return Coercion(**item)


def decode_timings(document: object) -> dict[str, float]:
    """The guest's timings in seconds, and its `received`, a moment of the clock it shares with us.

    Raises `wire.WireError` on unknown names or non-numbers.
    """
    if not isinstance(document, dict) or not document.keys() <= _LAPS:
        raise wire.WireError("timings are not the known ones")
    values = document.values()
    if not set(map(type, values)) <= {float} or not math.isfinite(sum(values)):
        raise wire.WireError("a timing is no finite number")
    return document
