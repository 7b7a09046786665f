"""Steps that lie about large values: what they say of a file, and what they do to it afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from orq_runtime import Blob, Limits, Outcome, Runtime, Step

_LIAR = """
import array, os, socket, sys, json, fcntl, tempfile

def _seal():
    frame = sys._getframe()
    while "seal" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["seal"]

def _frame(kind, body):
    return bytes([kind]) + len(body).to_bytes(4, "big") + body

def _say(about, descriptors, value='{"K": 0}', company="1", lets_go=False):
    blobs = "" if about is None else ',"blobs":' + json.dumps(about)
    text = company + 'J{"timings":{},"usage":{"cpu_seconds":0.0,"peak_kib":1}' + blobs
    body = _seal() + (text + ',"value":' + value + "}").encode()
    line = socket.socket(fileno=4)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    whole = _frame(3, body)
    line.sendmsg([whole[:-1]], rights if descriptors else [])
    if lets_go:
        os.close(descriptors[0])
    line.send(whole[-1:])
    line.detach()
    import threading
    threading.Event().wait(600 if company == "1" else 0)
    os._exit(0)

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

LARGE = {"key": "K", "parts": [["bytes", 0, 1 << 22]]}

def _own():
    made = os.open("/tmp", os.O_RDWR | os.O_TMPFILE)
    os.write(made, bytes(1 << 22))
    return made

def _with_an_orphan(harm, company):
    made = _own()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                harm(made)
        os._exit(0)
    os.wait()
    while harm is _scribble and os.pread(made, 1, 0) == b"\\0":
        pass
    _say(LARGE, [made], company=company)

def _scribble(made):
    import mmap
    memory = mmap.mmap(made, 1 << 22)
    while True:
        for byte in b"\\1\\2\\3":
            memory[:] = bytes([byte]) * (1 << 22)

def _cut(made):
    os.ftruncate(made, 0)
    os.ftruncate(made, 1 << 22)

def own(): _say(LARGE, [_own()], company="0")
def own_at_once(): _say(LARGE, [_own()], company="1")
def scribbles(): _with_an_orphan(_scribble, "0")
def scribbles_on(): _with_an_orphan(_scribble, "1")
def cuts(): _with_an_orphan(_cut, "0")
def cuts_on(): _with_an_orphan(_cut, "1")
def lets_go(): _say(LARGE, [_own()], lets_go=True)
def lets_go_of_holes():
    made = os.open("/tmp", os.O_RDWR | os.O_TMPFILE)
    os.ftruncate(made, 1 << 25)
    _say({"key": "K", "parts": [["bytes", 0, 1 << 25]]}, [made], lets_go=True)
def reopens():
    import threading
    made = _own()
    path = "/proc/self/fd/%d" % os.open("/proc/self/fd/%d" % made, os.O_RDONLY)
    if os.fork() == 0:
        os.setsid()
        os.close(made)
        def again():
            while True:
                try:
                    found = os.open(path, os.O_RDWR | os.O_TRUNC)
                    os.write(found, b"\1" * (1 << 22))
                    os.close(found)
                except OSError:
                    pass
        for _ in range(4):
            threading.Thread(target=again).start()
        threading.Event().wait()
    while os.pread(made, 1, 0) != b"\1":
        pass
    _say(LARGE, [made], lets_go=True)
def own_with_holes():
    made = os.open("/tmp", os.O_RDWR | os.O_TMPFILE)
    os.ftruncate(made, 1 << 25)
    _say({"key": "K", "parts": [["bytes", 0, 1 << 25]]}, [made], company="0")

def shrinks():
    made = os.memfd_create("x", 3)
    os.write(made, bytes(1 << 22))
    sent = os.open("/proc/self/fd/%d" % made, os.O_RDWR)
    if os.fork() == 0:
        os.close(sent)
        while True:
            os.ftruncate(made, 0)
            os.ftruncate(made, 1 << 22)
    _say({"key": "K", "parts": [["bytes", 0, 1 << 22]]}, [sent], lets_go=True)
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
    "own_with_holes",
    "lets_go_of_holes",
    "array_of_lies",
    "pickle",
]


@pytest.fixture(scope="module")
def walled(cache_dir: Path) -> Iterator[Runtime]:
    """Behind the strongest wall."""
    with Runtime(cache_dir=cache_dir, isolation="namespaces", spares=1) as runtime:
        yield runtime


def _told(runtime: Runtime, lie: str) -> Outcome:
    return runtime.run(
        Step(source=_LIAR, function=lie), limits=Limits(wall_seconds=60), check=False
    )


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


@pytest.mark.parametrize("truth", ["own", "own_at_once", "lets_go"])
def test_a_file_of_the_runs_own_is_taken(walled: Runtime, truth: str) -> None:
    """The control for what follows: it is no lie that it has no seal."""
    outcome = _told(walled, truth)

    assert (True, bytes(1 << 22)) == (outcome.ok, outcome.value), outcome.failure


@pytest.mark.parametrize("lie", ["scribbles", "scribbles_on", "cuts", "cuts_on", "reopens"])
def test_an_orphan_that_holds_the_file_changes_nothing(walled: Runtime, lie: str) -> None:
    """Nothing of a value that was handed over changes, whoever had its file mapped or open."""
    outcome = _told(walled, lie)

    if outcome.ok:
        assert isinstance(outcome.value, Blob)
        first = outcome.value.to_bytes()
        for _ in range(20):
            assert first == outcome.value.to_bytes()
        # the control: it was written to until the end
        assert "scribbles" not in lie or first[:1] != b"\0"
    else:
        assert ("protocol_violation", None) == (outcome.verdict, outcome.value)
        assert "scribbles" not in lie


_READER = """
import mmap, os

def _files():
    for number in range(3, 64):
        try:
            if os.fstat(number).st_size >= 1 << 20:
                yield number
        except OSError:
            pass

def look(data: bytes, word: bytes) -> list:
    found = []
    for number in list(_files()):
        size = os.fstat(number).st_size
        memory = mmap.mmap(number, size, mmap.MAP_SHARED, mmap.PROT_READ)
        found.append([size, memory[:].count(word)])
    return found

def write(data: bytes) -> list:
    refused = []
    for number in list(_files()):
        try:
            os.write(number, b"x")
        except OSError as error:
            refused.append(error.strerror)
        try:
            mmap.mmap(number, 4096)
        except OSError as error:
            refused.append(error.strerror)
    return refused
"""
_SECRET = b"of an earlier run"


def test_an_earlier_runs_inputs_are_not_seen(walled: Runtime) -> None:
    """The next run's file is its own, and holds what it was given; the control sees its secret."""
    look = Step(source=_READER, function="look")
    secret = _SECRET * ((8 << 20) // len(_SECRET))
    word = _SECRET[::-1]

    for data, expected in ((secret[::-1], len(secret) // len(word)), (bytes(4 << 20), 0)):
        outcome = walled.run(look, {"data": data, "word": word})

        assert [[len(data) + -len(data) % 64, expected]] == outcome.value, outcome.failure


def test_a_run_cannot_write_to_its_inputs_file(walled: Runtime) -> None:
    """It has it for reading: an array made of it is copied where it is written to."""
    outcome = walled.run(Step(source=_READER, function="write"), {"data": bytes(4 << 20)})

    assert ["Bad file descriptor", "Permission denied"] == outcome.value, outcome.failure


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
