"""What a child does with the time before its request: the same on a request of our own.

Rules of this file:

1. What a first request touches is dear: pages that are copied, code that no cache holds. A canned
   request pays for that ahead. It runs nothing of the step's and leaves nothing behind.
2. Nobody is kept waiting for it: a child that is awaited already rehearses nothing.
3. A page that only a rehearsal touches is paid for by each child and used by none. So a zygote
   rehearses all there is, and makes ready what its children need for theirs: those are told what
   to expect, as they will be, compile nothing, and bind nothing in full.
"""

from __future__ import annotations

import _socket
import select
import sys
import types
import typing

from orq_sandbox import encode, load, wire
from orq_sandbox.ahead import Ahead
from orq_sandbox.answer import Files, answer
from orq_sandbox.receive import receive

__all__ = ["NOWHERE", "TIMES", "Canned", "get_ready", "warm_up"]

_INTEGERS = "list[int]" if sys.version_info >= (3, 9) else "list"
_PLAIN = "def f(n: int, xs: %s = []) -> int:\n    return n\n" % _INTEGERS  # it is bound directly
_CANNED_SOURCES = (
    _PLAIN,
    "from typing import List\ndef f(n: int, xs: List[int] = []) -> int:\n    return n\n",
    "from typing import Sequence\ndef f(n: 'int', xs: Sequence[int]) -> int:\n    return n\n",
)
_ABOUT = {"file": None, "source": None, "function": "f", "roots": [], "environ": {}}
_NAME = "canned"
NOWHERE = ("/", "/")
_INPUTS = {"n": 1, "xs": [1, 2]}
TIMES = 10  # so often a function is called before the interpreter has fitted its code to it
_NOBODY = -1

_ready: list = []  # a zygote's, for its children


def get_ready(json: typing.Any) -> Canned:
    """In a zygote: do what each child would have to do, for memory that is written to is dear.

    The request that its children will rehearse with.
    """
    told = _told(json)
    whole = [_whole(json, source) for source in _CANNED_SOURCES]
    for time in range(TIMES):
        _rehearse(json, NOWHERE, whole[time % len(whole)])
        _rehearse(json, NOWHERE, told)
    _ready[:] = [told]
    return told


def warm_up(
    json: typing.Any,
    rooms: typing.Tuple[str, str],
    ahead: Ahead,
    request: _socket.socket,
    number: int,
) -> bool:
    """Serve a request of our own, if there is time, and take what is prepared of the step.

    `number` is the descriptor of the `request`. Whether there was time.
    """
    if not _ready:
        _ready.append(_told(json))
    if _is_awaited(request, number):
        return False
    _rehearse(json, rooms, _ready[0])
    ahead.take()
    return True


class _Line:
    """A socket, as far as `receive` knows one, with a request in it."""

    def __init__(self, payload: bytes) -> None:
        self.frame = wire.frame(wire.REQUEST, payload)

    def recvmsg_into(
        self, buffers: typing.Tuple[memoryview], *_: int
    ) -> typing.Tuple[int, list, int, None]:
        size = len(self.frame)
        buffers[0][:size] = self.frame
        return size, [], 0, None


class Canned:
    """A request; with `code`, one for a step that is expected, and whose code this is."""

    def __init__(self, frame: bytes, code: typing.Any = None) -> None:
        self.line: typing.Any = _Line(frame)
        self.code = code

    def expected(self) -> Ahead:
        """As a process knows its step before that request is there."""
        ahead = Ahead(NOWHERE)
        ahead.rehearse(_ABOUT, load.Module(types.ModuleType(_NAME), self.code))
        return ahead

    def forget(self) -> None:
        """Undo what that left in the caches of this process."""
        sys.modules.pop(_NAME, None)


def _told(json: typing.Any) -> Canned:
    return Canned(_frame(json, {"inputs": _INPUTS}), load.compiled(_PLAIN))


def _whole(json: typing.Any, source: str) -> Canned:
    return Canned(_frame(json, {**_ABOUT, "source": source, "inputs": _INPUTS}))


def _frame(json: typing.Any, request: dict) -> bytes:
    return bytes(wire.SEAL_BYTES) + encode.PLAIN + json.dumps(request)


def _rehearse(json: typing.Any, rooms: typing.Tuple[str, str], canned: Canned) -> None:
    ahead = Ahead(rooms) if canned.code is None else canned.expected()
    frame = receive(canned.line, Files(), ahead, json) or b""
    answer(json, frame, _NOBODY, rooms[1], Files(), ahead)
    if canned.code is None:
        load.forget_source()


def _is_awaited(request: _socket.socket, number: int) -> bool:
    """Whether more has come by now than the word about what to expect."""
    if not select.select((number,), (), (), 0)[0]:
        return False
    start = request.recv(wire.HEADER.size, _socket.MSG_PEEK)
    if len(start) < wire.HEADER.size or start[0] != wire.EXPECT:
        return True
    longest = wire.HEADER.size + wire.HEADER.unpack(start)[1] + 1
    return len(request.recv(longest, _socket.MSG_PEEK)) == longest
