"""Large values beside the JSON: both facades, both starts, every tier, and steps that lie."""

from __future__ import annotations

import gc
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from orq_runtime import Blob, Limits, Outcome, Runtime, Step
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


# -- lies ------------------------------------------------------------------------------------------

_LIAR = """
import array, os, socket, sys, json, fcntl, tempfile

def _seal():
    frame = sys._getframe()
    while "seal" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["seal"]

def _frame(kind, body):
    return bytes([kind]) + len(body).to_bytes(4, "big") + body

def _say(about, descriptors, value='{"K": 0}'):
    blobs = "" if about is None else ',"blobs":' + json.dumps(about)
    text = '1J{"timings":{},"usage":{"cpu_seconds":0.0,"peak_kib":1}' + blobs
    body = _seal() + (text + ',"value":' + value + "}").encode()
    line = socket.socket(fileno=4)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    line.sendmsg([_frame(3, body)], rights if descriptors else [])
    line.detach()
    import time
    time.sleep(600)

ONE = {"key": "K", "parts": [["bytes", 0, 8]]}

def _memory(size=8, seals=14):
    made = os.memfd_create("x", 3) if hasattr(os, "memfd_create") else -1
    os.write(made, bytes(size))
    fcntl.fcntl(made, 1033, seals)
    return made

def _file():
    made = os.open("x", os.O_RDWR | os.O_CREAT)
    os.write(made, bytes(8))
    return made

def truth(): _say(ONE, [_memory()])
def no_descriptor(): _say(ONE, [])
def no_word(): _say(None, [_memory()], "1")
def two(): _say(ONE, [_memory(), _memory()])
def many(): _say(ONE, [_memory() for _ in range(100)])
def pipe(): _say(ONE, [os.pipe()[0]])
def stdin(): _say(ONE, [0])
def result_itself(): _say(ONE, [4])
def folder(): _say(ONE, [os.open(".", os.O_RDONLY)])
def zeros(): _say(ONE, [os.open("/dev/zero", os.O_RDONLY)])
def not_ours(): _say(ONE, [os.open(os.__file__, os.O_RDONLY)])
def short(): _say(ONE, [_memory(7)])
def holes():
    made = os.memfd_create("x", 3)
    os.ftruncate(made, 1 << 25)
    fcntl.fcntl(made, 1033, 14)
    _say(ONE, [made])
def array_of_lies(): _say({"key": "K", "parts": [["npy", 0, 8]]}, [_memory()])
def pickle(): _say({"key": "K", "parts": [["pickle", 0, 8]]}, [_memory()])

def shrinks():
    made = os.memfd_create("x", 3)
    os.write(made, bytes(1 << 22))
    if os.fork() == 0:
        while True:
            os.ftruncate(made, 0)
            os.ftruncate(made, 1 << 22)
    _say({"key": "K", "parts": [["bytes", 0, 1 << 22]]}, [made])
"""
_LIES = [
    "no_descriptor",
    "no_word",
    "two",
    "many",
    "pipe",
    "stdin",
    "result_itself",
    "folder",
    "zeros",
    "not_ours",
    "short",
    "holes",
    "array_of_lies",
    "pickle",
]


@pytest.fixture(scope="module")
def walled(cache_dir: Path) -> Iterator[Runtime]:
    """Behind the strongest wall."""
    with Runtime(cache_dir=cache_dir, isolation="namespaces", spares=1) as runtime:
        yield runtime


def _told(runtime: Runtime, lie: str) -> Outcome:
    return runtime.run(_code(_LIAR, lie), limits=Limits(wall_seconds=60), check=False)


def test_the_liar_can_tell_the_truth(walled: Runtime) -> None:
    """The control: with nothing wrong in it, what it sends by hand is an answer."""
    outcome = _told(walled, "truth")

    assert (True, bytes(8)) == (outcome.ok, outcome.value), outcome.failure


@pytest.mark.parametrize("lie", _LIES)
def test_a_lie_is_a_violation(walled: Runtime, lie: str) -> None:
    """Whatever the step hands over: one verdict, no crash, no hang."""
    outcome = _told(walled, lie)

    assert ("protocol_violation", None) == (outcome.verdict, outcome.value), outcome.failure


def test_a_file_that_shrinks_is_read_or_refused(walled: Runtime) -> None:
    """It is never mapped: the host lives, with the bytes or without."""
    outcome = _told(walled, "shrinks")

    assert outcome.verdict in ("ok", "protocol_violation")
    assert outcome.value in (None, bytes(1 << 22))


@pytest.mark.slow
def test_lies_leave_no_descriptor(cache_dir: Path) -> None:
    """A host that was lied to hundreds of times has the descriptors it had."""
    with Runtime(cache_dir=cache_dir, isolation="process", spares=0) as runtime:
        counts = []
        for _ in range(3):
            for lie in ("many", "two", "no_word", "folder", "short"):
                for _ in range(8):
                    assert "protocol_violation" == _told(runtime, lie).verdict
            gc.collect()
            counts.append(len(list(Path("/proc/self/fd").iterdir())))

    assert max(counts) - counts[0] < 8, counts
