"""One call, inside the step process: load, bind, check, call, check the result, encode.

Rules of this file:

1. PARKED says that the process waits for its request, BEGAN goes out just before the function is
   entered, both on the request's socket; one RESULT or FAILURE ends it.
2. After its answer the process lingers until the host closes the request socket: the host has its
   answer before any teardown, and ends the run when it likes.
3. It ends by `os._exit`: nothing of the step runs after the answer.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import sys
import time
import typing

from orq_sandbox import direct, encode, later, load, wire
from orq_sandbox.ahead import Ahead
from orq_sandbox.bind import Call
from orq_sandbox.failure import Refusal, clip, describe, limit_of

__all__ = ["draw_anew", "serve", "warm_up"]

_LONGEST_REQUEST = 1 << 30
_LONGEST_EXPECT = 1 << 20
_LONGEST_FAILURE = 3 << 20
_FIRST_CHUNK = 1 << 15
_CHUNK = 1 << 18
_Pieces = typing.Tuple[typing.Union[bytes, memoryview], ...]
_INT = struct.Struct("i")
_ROOM = socket.CMSG_SPACE(_INT.size)
_STRICT = ("all", False, "error")
_MOST_COERCED = 256
_NOT_PLAIN = ("checks", "purpose", "blobs")
_CANNED_SOURCES = (  # one that is bound directly, one that is bound in full
    "from typing import List\ndef f(n: int, xs: List[int] = []) -> int:\n    return n\n",
    "from typing import Sequence\ndef f(n: 'int', xs: Sequence[int]) -> int:\n    return n\n",
)
_CANNED = {
    "file": None,
    "function": "f",
    "roots": [],
    "environ": {},
    "inputs": {"n": 1, "xs": [1, 2]},
}


_now = time.monotonic  # as it is before a step may have put another in its place
_PHASES = ("decode", "load", "bind", "check", "call", "check_result", "encode")


class _Clock:
    """Seconds between named moments, what was coerced, and how much a failure may tell.

    `received` is when it starts, by the clock that the host has too. What was `spent` on converting
    is no part of checking.
    """

    def __init__(self) -> None:
        self._last = _now()
        self.laps: dict = {"received": self._last}
        self.spent = [0.0]
        self.shows_locals = False
        self.coerced: list = []

    def lap(self, name: str) -> None:
        now = _now()
        seconds = now - self._last
        self._last = now
        if name == "check":
            self.laps["convert"] = self.spent[0]
            seconds -= self.spent[0]
        self.laps[name] = seconds

    def stop(self) -> None:
        """The phase that is under way ends here, and no other follows."""
        for name in _PHASES:
            if name not in self.laps:
                self.lap(name)
                return


class _Files:
    """The file that `came` with the request, and the one that `goes` with a result; -1 for none.

    One that `waits` is taken as it is, but only once the run is over.
    """

    came = -1
    goes = -1
    waits = False


def serve(
    request: socket.socket,
    result: int,
    json: typing.Any,
    rooms: typing.Tuple[str, str],
    *,
    is_spare: bool,
    is_all_disk_ours: bool,
) -> None:
    """Wait for the one request, answer it, end the process. Never returns.

    A spare that has time before its request serves two of our own first, so that the pages they
    touch are its own by then.
    """
    if is_spare:
        warm_up(json, rooms, lambda: not _is_awaited(request))
    draw_anew()
    mark = request.fileno()
    _send(mark, wire.frame(wire.PARKED))
    files, ahead = _Files(), Ahead(rooms)
    frame = _receive(request, files, ahead, json)
    if frame is None:  # a spare that is not needed any more
        os._exit(0)
    try:
        answer = _answer(
            json, frame, mark, rooms[1], files, ahead, is_all_disk_ours=is_all_disk_ours
        )
    except SystemExit as wish:
        _flush()
        os._exit(_exit_status(wish))
    _flush()
    try:
        _send(result, answer, files.goes)
    except OSError:  # the step closed the descriptor: without a result, which the host sees
        os._exit(0)
    try:
        request.recv(1)  # linger
    except OSError:
        pass
    os._exit(0)


def warm_up(
    json: typing.Any, rooms: typing.Tuple[str, str], has_time: typing.Callable[[], bool]
) -> None:
    """Serve requests of our own, as long as there is time."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    roots, modules = len(sys.path), len(sys.modules)  # a copy would write to all that is in them
    for source in _CANNED_SOURCES:
        if not has_time():
            break
        canned = json.dumps({**_CANNED, "source": source})
        frame = bytes(wire.SEAL_BYTES) + encode.PLAIN + canned
        _answer(json, frame, nowhere, rooms[1], _Files(), Ahead(rooms))
    os.close(nowhere)
    del sys.path[roots:]
    while len(sys.modules) > modules:
        sys.modules.popitem()
    load.forget_source()


def _is_awaited(request: socket.socket) -> bool:
    """Whether more has come by now than the word about what to expect."""
    try:
        start = request.recv(wire.HEADER.size, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        if len(start) < wire.HEADER.size or start[0] != wire.EXPECT:
            return True
        longest = wire.HEADER.size + wire.HEADER.unpack(start)[1] + 1
        return len(request.recv(longest, socket.MSG_PEEK | socket.MSG_DONTWAIT)) == longest
    except BlockingIOError:
        return False


def draw_anew() -> None:
    """Children of one zygote must not draw the same numbers; `random` sees to itself."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    uuid: typing.Any = sys.modules.get("uuid")
    if uuid is not None:  # the C library's state for `uuid1` was copied by the fork
        uuid._generate_time_safe = None
        uuid._node = int.from_bytes(os.urandom(6), "big") | 1 << 40  # nobody's address: RFC 9562


def _receive(
    request: socket.socket, files: _Files, ahead: Ahead, json: typing.Any
) -> typing.Optional[bytes]:
    decoder = wire.Decoder({wire.EXPECT: _LONGEST_EXPECT, wire.REQUEST: _LONGEST_REQUEST})
    size = _FIRST_CHUNK  # of the heap that is there already: what most requests fit into
    while True:
        chunk, beside, _, _ = request.recvmsg(size, _ROOM, socket.MSG_CMSG_CLOEXEC)
        if beside:
            files.came = _INT.unpack(beside[0][2][: _INT.size])[0]
        if not chunk:
            return None
        for kind, payload in decoder.feed(chunk):
            if kind == wire.REQUEST:
                return payload
            ahead.expect(json.loads(payload))
        if len(chunk) == size:
            size = _CHUNK


def _answer(
    json: typing.Any,
    frame: bytes,
    mark: int,
    folder: str,
    files: _Files,
    ahead: Ahead,
    *,
    is_all_disk_ours: bool = False,
) -> bytes:
    """The frame to send. Lets SystemExit pass: how a step ends itself is its own business."""
    clock = _Clock()
    seal, body = frame[: wire.SEAL_BYTES], memoryview(frame)[wire.SEAL_BYTES :]
    try:
        value = _run(json, body, mark, folder, clock, files, ahead)
        company = wire.IN_COMPANY if files.waits else _company()
        return wire.frame(wire.RESULT, seal, company, *value)
    except Refusal as refusal:
        verdict, said = refusal.verdict, refusal.body
    except ModuleNotFoundError as error:
        verdict, said = "import_failed", describe(error, shows_locals=clock.shows_locals)
        said["module"] = clip(str(error.name or ""))
    except SystemExit:
        raise
    except BaseException as error:  # the child's top level: every exception becomes data
        verdict = limit_of(error, is_all_disk_ours=is_all_disk_ours) or "raised"
        said = _described(error, shows_locals=clock.shows_locals)
    clock.stop()
    files.goes = -1
    said.update(verdict=verdict, timings=clock.laps)
    if clock.coerced:
        said["coerced"] = clock.coerced[:_MOST_COERCED]
    try:
        body = json.dumps(said)
    except TypeError:  # a name of the step's making that no JSON can hold
        body = b""
    if not 0 < len(body) < _LONGEST_FAILURE:
        message = ascii(said["message"])
        body = json.dumps({"verdict": verdict, "message": message, "timings": clock.laps})
    return wire.frame(wire.FAILURE, seal + body)


def _described(error: BaseException, *, shows_locals: bool) -> dict:
    try:
        return describe(error, shows_locals=shows_locals)
    except MemoryError:  # the step's frames, which the traceback holds, hold all there is
        error.__traceback__ = None
        return {"type": "MemoryError", "message": "", "frames": []}


def _run(
    json: typing.Any,
    body: memoryview,
    mark: int,
    folder: str,
    clock: _Clock,
    files: _Files,
    ahead: Ahead,
) -> _Pieces:
    asked = ahead.asked(encode.decode(json, body))
    inputs = asked["inputs"]
    clock.shows_locals = asked.get("locals", False)
    clock.lap("decode")
    function = ahead.function(asked)
    clock.lap("load")
    checks = asked.get("checks") or _STRICT
    call = None
    is_plain = asked.keys().isdisjoint(_NOT_PLAIN)
    if not is_plain or not direct.fits(function, inputs):
        call = _call(function, checks, clock, is_large="blobs" in asked)
        clock.lap("bind")
        if "purpose" in asked:
            document = _answer_without_call(json, asked, call)
            clock.coerced = call.coerced
            clock.lap("check")
            return _body(json, document, clock)
        if "blobs" in asked:
            parcel = later.part("parcel")  # only for large values

            inputs = parcel.unpacked(inputs, asked["blobs"], files.came)
        positional, inputs = call.bind(inputs)
        clock.coerced = call.coerced
    else:
        clock.lap("bind")
        positional = []
    del asked
    clock.lap("check")
    _send(mark, wire.frame(wire.BEGAN))
    value = _collected(function(*positional, **inputs))
    clock.lap("call")
    if call is not None or not direct.is_result(function, value):
        (call or _call(function, checks, clock)).check_result(value)
    clock.lap("check_result")
    document, blobs = _encoded(json, value, files, folder, allow_nan=checks[2] == "allow")
    clock.lap("encode")
    return _body(json, document, clock, blobs)


def _collected(value: typing.Any) -> typing.Any:
    """What a generator or a coroutine comes to; anything else as it is."""
    kind = type(value)
    if hasattr(kind, "__next__") or hasattr(kind, "__await__") or hasattr(kind, "__anext__"):
        return later.part("collect").collected(value)  # only for results that are not yet there
    return value


def _call(
    function: typing.Callable, checks: typing.Any, clock: _Clock, *, is_large: bool = False
) -> Call:
    """The function with its annotations resolved."""
    call = Call(function, typecheck=checks[0], coerce=checks[1], nan=checks[2], spent=clock.spent)
    call.may_be_large = is_large
    return call


def _encoded(
    json: typing.Any, value: object, files: _Files, folder: str, *, allow_nan: bool
) -> typing.Tuple[bytes, typing.Optional[dict]]:
    """The value's document, and the word about what goes beside it in a file."""
    beside = encode.Beside(allow_nan=allow_nan)

    def encoded() -> bytes:
        return encode.encode(json, value, allow_nan=allow_nan, beside=beside)

    document = encoded()
    blobs = beside.about()
    if blobs is not None:
        files.goes, files.waits = beside.written(folder, encoded)
    return document, blobs


def _body(
    json: typing.Any, document: bytes, clock: _Clock, blobs: typing.Optional[dict] = None
) -> _Pieces:
    """A RESULT's, around the value's document."""
    about = {"timings": clock.laps, "usage": _usage()}
    if blobs is not None:
        about["blobs"] = blobs
    if clock.coerced:
        about["coerced"] = clock.coerced[:_MOST_COERCED]
    value = memoryview(document)[1:]
    return document[:1], json.dumps(about)[:-1], b',"value":', value, b"}"


def _answer_without_call(json: typing.Any, asked: dict, call: Call) -> bytes:
    """The function described, or its inputs checked: the body of it does not run."""
    if asked["purpose"] == "describe":
        made = later.part("schema").described(call.function, *call.annotations(), json)
        return encode.encode(json, made)
    call.bind(asked["inputs"])
    return encode.PLAIN + b"null"


def _company() -> bytes:
    """Whether nothing that this process started can be left: the outcome need not wait for it."""
    if resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt:  # it has buried a child
        return wire.IN_COMPANY
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return wire.ALONE
    return wire.IN_COMPANY


def _usage() -> dict:
    """What this process and its dead children have used: init knows more, but only later."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime
    return {"cpu_seconds": seconds, "peak_kib": max(mine.ru_maxrss, theirs.ru_maxrss)}


def _exit_status(wish: SystemExit) -> int:
    if wish.code is None:
        return 0
    if isinstance(wish.code, int):
        return wish.code & 0xFF
    try:
        os.write(2, (clip(str(wish.code)) + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        pass
    return 1


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # the step may have put anything in its place
            pass


def _send(descriptor: int, message: bytes, beside: int = -1) -> None:
    left = memoryview(message)
    if beside >= 0:
        left = later.part("parcel").send(descriptor, left, beside)
    while left:
        left = left[os.write(descriptor, left) :]
