"""One request to its answer: load, bind, check, call, check the result, encode.

BEGAN goes out just before the function is entered; all else that is said is the frame returned.
"""

from __future__ import annotations

import os
import resource
import sys
import time
import typing

from orq_sandbox import direct, encode, kernel, later, wire
from orq_sandbox.ahead import Ahead
from orq_sandbox.failure import Refusal, clip, describe, limit_of

__all__ = ["Files", "answer", "send"]

_LONGEST_FAILURE = 3 << 20
_SELF, _CHILDREN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
_Used = typing.Tuple[int, int, int]
_Pieces = typing.Tuple[typing.Union[bytes, memoryview], ...]
_THERE = frozenset((int, str, float, bool, type(None), list, dict, tuple, set, bytes))
_STRICT = ("all", False, "error")
_SHORT = 1 << 16  # bytes that are copied sooner than looked at
_MOST_COERCED = 256
_MOST_IMPORTED = 16
_NOT_PLAIN = ("checks", "purpose", "blobs")


_now = time.monotonic  # as these are before a step may have put others in their place
_write = os.write
_PHASES = ("decode", "load", "bind", "check", "call", "check_result", "encode")
_BEGAN = wire.frame(wire.BEGAN)


class _Clock:
    """When each phase ended, what was coerced, and how much a failure may tell.

    `marks` are moments by the clock that the host has too: when the request was received, and the
    ends of the phases so far, in their order. What was `spent` on converting is not checking.
    """

    def __init__(self) -> None:
        self.marks: typing.List[float] = [_now()]
        self.spent = [0.0]
        self.shows_locals = False
        self.modules = 1 << 30
        self.coerced: list = []

    def stop(self) -> None:
        """The phase that is under way ends here, and no other follows."""
        if len(self.marks) <= len(_PHASES):
            self.marks.append(_now())

    def laps(self) -> dict:
        """Seconds by phase."""
        laps = {"received": self.marks[0]}
        for name, start, end in zip(_PHASES, self.marks, self.marks[1:]):
            if name == "check":
                laps["convert"] = self.spent[0]
                start += self.spent[0]
            laps[name] = end - start
        return laps


class Files:
    """The file that `came` with the request, and the one that `goes` with a result; -1 for none."""

    came = -1
    goes = -1


def answer(
    json: typing.Any,
    frame: bytes,
    mark: int,
    folder: str,
    files: Files,
    ahead: Ahead,
    *,
    is_all_disk_ours: bool = False,
) -> bytes:
    """The frame to send. Lets SystemExit pass: how a step ends itself is its own business."""
    clock = _Clock()
    seal = frame[: wire.SEAL_BYTES]
    body: typing.Union[bytes, memoryview] = frame if len(frame) < _SHORT else memoryview(frame)
    body = body[wire.SEAL_BYTES :]
    try:
        value = _run(json, body, mark, folder, clock, files, ahead)
        return wire.frame(wire.RESULT, seal, *value)
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
    files.goes = -1
    clock.stop()
    laps = clock.laps()
    said.update(verdict=verdict, timings=laps)
    if clock.coerced:
        said["coerced"] = clock.coerced[:_MOST_COERCED]
    try:
        told = json.dumps(said)
    except TypeError:  # a name of the step's making that no JSON can hold
        told = b""
    if not 0 < len(told) < _LONGEST_FAILURE:
        message = ascii(said["message"])
        told = json.dumps({"verdict": verdict, "message": message, "timings": laps})
    return wire.frame(wire.FAILURE, seal + told)


def _described(error: BaseException, *, shows_locals: bool) -> dict:
    try:
        return describe(error, shows_locals=shows_locals)
    except MemoryError:  # the step's frames, which the traceback holds, hold all there is
        error.__traceback__ = None
        return {"type": "MemoryError", "message": "", "frames": []}


def _run(
    json: typing.Any,
    body: typing.Union[bytes, memoryview],
    mark: int,
    folder: str,
    clock: _Clock,
    files: Files,
    ahead: Ahead,
) -> _Pieces:
    clock.modules = ahead.modules
    lap = clock.marks.append
    asked = ahead.asked(encode.decode(json, body))
    inputs = asked["inputs"]
    clock.shows_locals = asked.get("locals", False)
    lap(_now())
    function = ahead.function(asked)
    lap(_now())
    checks = asked.get("checks") or _STRICT
    call = None
    is_plain = asked.keys().isdisjoint(_NOT_PLAIN)
    if not is_plain or not direct.fits(function, inputs):
        call = _call(function, checks, clock, is_large="blobs" in asked)
        lap(_now())
        if "purpose" in asked:
            document = _answer_without_call(json, asked, call)
            clock.coerced = call.coerced
            lap(_now())
            return _body(json, document, clock)
        if "blobs" in asked:
            parcel = later.part("parcel")  # only for large values
            inputs = parcel.unpacked(inputs, asked["blobs"], files.came)
        positional, inputs = call.bind(inputs)
        clock.coerced = call.coerced
    else:
        lap(_now())
        positional = []
    del asked
    lap(_now())
    if mark >= 0:  # else it is a rehearsal
        _write(mark, _BEGAN)
    value = _collected(function(*positional, **inputs))
    lap(_now())
    if call is not None or not direct.is_result(function, value):
        (call or _call(function, checks, clock)).check_result(value)
    lap(_now())
    document, blobs = encode.encode_plain(json, value), None
    if not document:
        document, blobs = _encoded(json, value, files, folder, allow_nan=checks[2] == "allow")
    lap(_now())
    return _body(json, document, clock, blobs)


def _collected(value: typing.Any) -> typing.Any:
    """What a generator or a coroutine comes to; anything else as it is."""
    kind = type(value)
    if kind in _THERE:  # nothing to ask about: a class without an attribute says so by an exception
        return value
    if hasattr(kind, "__next__") or hasattr(kind, "__await__") or hasattr(kind, "__anext__"):
        return later.part("collect").collected(value)  # only for results that are not yet there
    return value


def _call(
    function: typing.Callable, checks: typing.Any, clock: _Clock, *, is_large: bool = False
) -> typing.Any:
    """The function with its annotations resolved."""
    bind = later.part("bind")  # only where `direct` does not know all annotations
    call = bind.Call(
        function, typecheck=checks[0], coerce=checks[1], nan=checks[2], spent=clock.spent
    )
    call.may_be_large = is_large
    return call


def _encoded(
    json: typing.Any, value: object, files: Files, folder: str, *, allow_nan: bool
) -> typing.Tuple[bytes, typing.Optional[dict]]:
    """The value's document, and the word about what goes beside it in a file."""
    beside = encode.Beside(allow_nan=allow_nan)

    def encoded() -> bytes:
        return encode.encode(json, value, allow_nan=allow_nan, beside=beside)

    document = encoded()
    blobs = beside.about()
    if blobs is not None:
        files.goes = beside.written(folder, encoded)
    return document, blobs


def _imported(count: int) -> typing.List[str]:
    """The packages of the environment that this process imported itself: it once had `count`
    modules. A step may have put anything among them.
    """
    names: typing.Dict[str, None] = {}
    try:
        left = len(sys.modules) - count
        for name in reversed(sys.modules):  # no list of them: that would write to each of them
            left -= 1
            if left < 0 or len(names) == _MOST_IMPORTED:
                break
            file = getattr(sys.modules[name], "__file__", None)
            if type(file) is str and file.startswith(sys.prefix + os.sep):
                names[clip(name.partition(".")[0])] = None
    except BaseException:  # of the step's making
        pass
    return list(names)


def _body(
    json: typing.Any, document: bytes, clock: _Clock, blobs: typing.Optional[dict] = None
) -> _Pieces:
    """A RESULT's, behind the seal, around the value's document."""
    mine, theirs = kernel.usage(_SELF), kernel.usage(_CHILDREN)
    about = {"timings": clock.laps(), "usage": _usage(mine, theirs)}
    if blobs is not None:
        about["blobs"] = blobs
    if clock.coerced:
        about["coerced"] = clock.coerced[:_MOST_COERCED]
    if len(sys.modules) > clock.modules + 1 and (imported := _imported(clock.modules)):
        about["imported"] = imported
    value = memoryview(document)[1:]
    company = _company(theirs)
    return company, document[:1], json.dumps(about)[:-1], b',"value":', value, b"}"


def _answer_without_call(json: typing.Any, asked: dict, call: typing.Any) -> bytes:
    """The function described, or its inputs checked: the body of it does not run."""
    if asked["purpose"] == "describe":
        made = later.part("schema").described(call.function, *call.annotations(), json)
        return encode.encode(json, made)
    call.bind(asked["inputs"])
    return encode.PLAIN + b"null"


def _company(theirs: _Used) -> bytes:
    """Whether nothing that this process started can be left: the outcome need not wait for it."""
    has_buried = theirs[2] > 0
    return wire.IN_COMPANY if has_buried or kernel.has_children() else wire.ALONE


def _usage(mine: _Used, theirs: _Used) -> dict:
    """What this process and its dead children have used: init knows more, but only later."""
    return {"cpu_seconds": (mine[0] + theirs[0]) / 1e6, "peak_kib": max(mine[1], theirs[1])}


def send(descriptor: int, message: bytes, beside: int = -1) -> None:
    if beside < 0:
        left = memoryview(message)[_write(descriptor, message) :]
    else:
        left = later.part("parcel").send(descriptor, memoryview(message), beside)
    while left:
        left = left[os.write(descriptor, left) :]
