"""Large values beside the JSON: both facades, both starts, every tier, and steps that lie."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from orq_runtime import Blob, Limits, Runtime, Step
from orq_runtime.errors import BadCall, WallUnavailable
from orq_runtime.model.plan import StartMode
from orq_sandbox import wire
from tests.functional.conftest import Call

_LEAST = wire.LEAST_BLOB


def _code(body: str, function: str = "f") -> Step:
    return Step(source=body, function=function)


_ECHO = _code("def f(data: bytes) -> bytes:\n    return data\n")
_OPEN = _code("def f(value):\n    return type(value).__name__\n")


@pytest.mark.parametrize("size", [_LEAST, _LEAST + 1, 3 << 20])
def test_large_bytes_go_in_and_come_out(call: Call, size: int) -> None:
    """As the bytes they were, in a blob that nobody can write to."""
    content = os.urandom(size)

    outcome = call(_ECHO, {"data": content})

    assert outcome.ok, outcome.failure
    assert isinstance(outcome.value, Blob)
    assert ("bytes", (size,), size) == (
        outcome.value.dtype,
        outcome.value.shape,
        outcome.value.nbytes,
    )
    assert outcome.value == content


def test_small_bytes_stay_in_the_json(call: Call) -> None:
    """One byte below the threshold they are base64 text, as the table says."""
    outcome = call(_ECHO, {"data": bytes(_LEAST - 1)})

    assert isinstance(outcome.value, str)
    assert "AAAA" == outcome.value[:4]


def test_blobs_stand_anywhere_in_a_value(call: Call) -> None:
    """Nested, twice, beside NULL and big integers, which take another way to JSON."""
    step = _code(
        "def f(a, *, b):\n"
        "    one = b'x' * 70000\n"
        "    return {'a': a, 'b': [b, None, one, 1 << 70, (one, bytearray(one))]}\n"
    )
    mine = b"m" * 80_000

    outcome = call(step, {"a": {"deep": [mine]}, "b": (1 << 80, mine)})

    theirs = b"x" * 70_000
    last = [theirs, theirs]
    expected = {"a": {"deep": [mine]}, "b": [[1 << 80, mine], None, theirs, 1 << 70, last]}
    assert expected == outcome.value, outcome.failure


@pytest.mark.parametrize(
    ("annotation", "value", "name"),
    [
        ("bytes", b"x" * _LEAST, "bytes"),
        ("bytearray", bytearray(_LEAST), "bytearray"),
        ("memoryview", memoryview(bytes(_LEAST)), "memoryview"),
        ("str", b"x" * _LEAST, "str"),
        ("object", b"x" * _LEAST, "bytes"),
        ("bytes", Blob(b"small"), "bytes"),
        ("bytes", Blob(b""), "bytes"),
    ],
)
def test_a_parameter_gets_what_it_asks_for(
    call: Call, annotation: str, value: object, name: str
) -> None:
    """The class it is annotated with, as from a small value; `Blob`s travel whatever their size."""
    step = _code(f"def f(value: {annotation}) -> str:\n    return type(value).__name__\n")

    outcome = call(step, {"value": value})

    assert name == outcome.value, outcome.failure


def test_an_array_needs_numpy_in_the_step(call: Call) -> None:
    """Without it the call is refused, and the message says what is missing."""
    outcome = call(_OPEN, {"value": Blob(bytes(16), dtype="<f8")})

    assert "bad_call" == outcome.verdict
    assert outcome.failure is not None
    assert "no numpy" in outcome.failure.message


def test_the_result_is_limited(call: Call) -> None:
    """More than `blob_bytes` of a result is `output_exceeded`, of the inputs it is no call."""
    limits = Limits(blob_bytes=100_000)

    assert call(_ECHO, {"data": bytes(99_968)}, limits=limits).ok
    with pytest.raises(BadCall, match="beside their JSON"):
        call(_ECHO, {"data": bytes(100_001)}, limits=limits)
    outcome = call(_code("def f():\n    return bytes(100_001)\n"), limits=limits)
    assert ("output_exceeded", None) == (outcome.verdict, outcome.value)
    assert outcome.hint is not None
    assert "blob_bytes" in outcome.hint


def test_more_blobs_than_one_message_holds(call: Call) -> None:
    """Those beyond go inside the JSON, where its own limit counts them."""
    step = _code(f"def f():\n    return [bytes([n & 255]) * {_LEAST} for n in range(1026)]\n")

    outcome = call(step, limits=Limits(result_bytes=1 << 20))

    assert outcome.ok, outcome.failure
    assert isinstance(outcome.value, list)
    assert [True] * 1024 + [False] * 2 == [isinstance(one, Blob) for one in outcome.value]


@pytest.fixture(scope="module")
def open_cache() -> Iterator[Path]:
    """A store that the runs of root, who are other users, can read behind Landlock too."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("start", ["zygote", "exec"])
@pytest.mark.parametrize("isolation", ["namespaces", "landlock", "process"])
def test_every_tier_has_a_way(open_cache: Path, isolation: str, start: StartMode) -> None:
    """Where memory files are forbidden, a file of the run's; it is as if it were one."""
    try:
        runtime = Runtime(cache_dir=open_cache, isolation=isolation, start=start)
    except WallUnavailable as error:
        pytest.skip(error.message)
    with runtime:
        for size in (100_000, 3 << 20):
            content = os.urandom(size)
            outcome = runtime.run(_ECHO, {"data": content})

            assert outcome.value == content
            assert (isolation, "host") == (outcome.isolation, outcome.enforced_by["blob_bytes"])


def test_the_host_holds_the_data_once_at_most(cache_dir: Path) -> None:
    """Beside what the caller has, 32 MiB there and back take next to nothing of Python's memory."""
    content = bytes(32 << 20)
    with Runtime(cache_dir=cache_dir, isolation="namespaces") as runtime:
        runtime.run(_ECHO, {"data": content})
        tracemalloc.start()
        try:
            outcome = runtime.run(_ECHO, {"data": content})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert isinstance(outcome.value, Blob)
    assert peak < 4 << 20
