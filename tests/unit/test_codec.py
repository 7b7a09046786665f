"""Requests and answers as bytes: values survive, lies are one error class."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime._run import codec, exact, report
from orq_runtime._run.packing import Packing
from orq_runtime.errors import BadCall
from orq_runtime.model.artifact import Artifact
from orq_runtime.model.checks import Checks
from orq_runtime.model.environment import Environment, Interpreter
from orq_runtime.model.limits import Limits
from orq_runtime.model.plan import RunPlan
from orq_sandbox import wire

_HERE = Path("/nowhere")
_PLAN = RunPlan(
    environment=Environment(
        key="k",
        path=_HERE,
        python=_HERE,
        site_packages=_HERE,
        support=_HERE,
        interpreter=Interpreter(
            path=_HERE,
            version=(3, 11, 0),
            implementation="cpython",
            cache_tag="cpython-311",
            soabi="",
            platform="",
            libc="",
            prefix=_HERE,
        ),
    ),
    function="f",
    source="",
)
_ABOUT = codec.about_call(_PLAN, environ={})
_SEAL = bytes(range(wire.SEAL_BYTES))
_TEXT = st.text(st.characters(codec="utf-8"))
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def _sent(inputs: dict[str, object]) -> dict[str, object]:
    message = codec.encode_request(_ABOUT, inputs, seal=_SEAL, packing=_packing()).frame(b"")
    ((kind, body),) = wire.Decoder({wire.REQUEST: 1 << 20}).feed(message)
    assert kind == wire.REQUEST
    assert body.startswith(_SEAL)
    body = body[len(_SEAL) :]
    document = orjson.loads(body[1:]) if body[:1] == b"J" else json.loads(body[1:])
    assert isinstance(document, dict)
    return document


def _packing() -> Packing:
    return Packing(Limits(), Checks(), os.fspath)


@given(st.dictionaries(_TEXT, _JSON, max_size=4))
def test_inputs_arrive_as_they_were(inputs: dict[str, object]) -> None:
    """Every JSON value arrives equal and of its type, integers of any size too."""
    assert repr(inputs) == repr(_sent(inputs)["inputs"])


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"x": float("nan")}, "x"),
        ({"x": [1, {"y": float("inf")}]}, "x[1]['y']"),
        ({"x": object()}, "x"),
        ({"a": 1, "x": {(1,): 2}}, "x"),
        ({"x": "\ud800"}, "x"),
        ({"x": [1 << 70, float("nan")]}, "x[1]"),
        ({"x": {"a": [{1}, "\ud800"]}}, "x['a'][1]"),
    ],
)
def test_what_is_no_json_is_refused_by_name(inputs: dict[str, object], path: str) -> None:
    """The error names the input that JSON has no form for."""
    with pytest.raises(BadCall) as caught:
        _sent(inputs)

    assert f"`{path}`" in caught.value.message


@given(st.binary(max_size=200))
def test_a_result_is_a_value_or_a_wire_error(body: bytes) -> None:
    """No bytes of a guest make the host raise anything but `WireError`."""
    for marked in (body, b"J" + body, b"B" + body):
        with contextlib.suppress(wire.WireError):
            codec.decode_result(marked)


@given(_JSON)
def test_a_failure_is_read_or_a_wire_error(document: object) -> None:
    """No JSON of a guest makes the host raise anything but `WireError`."""
    for said in (document, {"verdict": "raised", "message": document, "frames": document}):
        with contextlib.suppress(wire.WireError):
            report.decode_failure(json.dumps(said).encode())


@given(st.integers(0, 30_000), st.integers(-1, 1), st.booleans())
def test_integers_of_any_length_are_read_and_written(
    digits: int, more: int, is_negative: bool
) -> None:
    """Around every bound of the interpreter's own, exactly."""
    value = (10**digits + more) * (-1 if is_negative else 1)

    assert (exact.loads(exact.dumps([value, "1"]).decode()) == [value, "1"]) is True


def test_an_integer_that_would_take_long_is_refused() -> None:
    """What a guest sends is bounded before it is computed with."""
    with pytest.raises(wire.WireError):
        codec.decode_document(b"B" + b'{"value":' + b"9" * 200_000 + b"}")
    with pytest.raises(BadCall):
        _sent({"x": 1 << 1_000_000})


def test_nan_is_only_read_where_it_was_allowed() -> None:
    """A guest that sends it unasked breaks the protocol."""
    body = b'N{"timings":{},"usage":{"cpu_seconds":0.0,"peak_kib":1},"value":NaN}'

    assert "nan" == repr(codec.decode_result(body, allow_nan=True).value)
    with pytest.raises(wire.WireError):
        codec.decode_result(body)


@pytest.mark.parametrize(
    "coerced",
    [[1], [{}], {}, "x", [{"path": 1, "how": "", "value": "", "became": ""}], [{"path": "x"}]],
)
def test_a_lie_about_what_was_coerced_is_a_wire_error(coerced: object) -> None:
    """A list of four texts each, bounded, or nothing."""
    with pytest.raises(wire.WireError):
        codec.decode_coerced(coerced)


@pytest.mark.parametrize("verdict", ["ok", "timeout", "killed", "cpu_exceeded", "nonsense", 1])
def test_a_guest_cannot_give_the_hosts_verdicts(verdict: object) -> None:
    """A FAILURE that claims a verdict which is the host's to decide is a lie."""
    with pytest.raises(wire.WireError):
        report.decode_failure(json.dumps({"verdict": verdict, "message": ""}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'J{"timings":{},"value":1}',
        b'J{"timings":{},"usage":{"cpu_seconds":1.0,"peak_kib":1},"value":1,"more":2}',
        b'J{"timings":{"rm":1.0},"usage":{"cpu_seconds":1.0,"peak_kib":1},"value":1}',
        b'J{"timings":{"load":"1"},"usage":{"cpu_seconds":1.0,"peak_kib":1},"value":1}',
        b'J{"timings":{},"usage":{"cpu_seconds":-1.0,"peak_kib":1},"value":1}',
        b'J{"timings":{},"usage":{"cpu_seconds":1.0,"peak_kib":1.5},"value":1}',
        b'B{"timings":{},"usage":{"cpu_seconds":1.0,"peak_kib":1},"value":NaN}',
        b"J" + b"[" * 100_000,
        b"B" + b"[" * 100_000,
        b'X{"timings":{},"value":1}',
        b"",
    ],
)
def test_a_strict_result_has_exactly_its_parts(body: bytes) -> None:
    """Anything beside one strict document with its two keys is refused."""
    with pytest.raises(wire.WireError):
        codec.decode_result(body)


def test_artifacts_are_sent_as_their_paths(tmp_path: Path) -> None:
    """Wherever they stand in the inputs, and beside dataclasses and big integers; all are told."""
    first, second = Artifact(tmp_path / "a"), Artifact(tmp_path / "b")
    inputs = {"one": first, "more": [{"x": second}], "big": 1 << 70, "limits": Limits()}
    met: set[Artifact] = set()

    def hand(artifact: Artifact) -> str:
        met.add(artifact)
        return str(artifact.path)

    packing = Packing(Limits(), Checks(), hand)
    message = codec.encode_request(_ABOUT, inputs, seal=_SEAL, packing=packing).frame(b"")

    assert {first, second} == met
    assert str(first.path).encode() in message
    assert b'"memory_bytes"' in message
