"""What a child does with the time before its request: the same on requests of our own.

Rules of this file:

1. What a first request touches is dear: pages that are copied, code that no cache holds. A canned
   request pays for that ahead. It runs nothing of the step's and leaves nothing behind.
2. Nobody is kept waiting for it: a child that is awaited already rehearses nothing.
"""

from __future__ import annotations

import os
import socket
import sys
import typing

from orq_sandbox import encode, load, wire
from orq_sandbox.ahead import Ahead
from orq_sandbox.answer import Files, answer

__all__ = ["is_awaited", "warm_up"]

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
        answer(json, frame, nowhere, rooms[1], Files(), Ahead(rooms))
    os.close(nowhere)
    del sys.path[roots:]
    while len(sys.modules) > modules:
        sys.modules.popitem()
    load.forget_source()


def is_awaited(request: socket.socket) -> bool:
    """Whether more has come by now than the word about what to expect."""
    try:
        start = request.recv(wire.HEADER.size, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        if len(start) < wire.HEADER.size or start[0] != wire.EXPECT:
            return True
        longest = wire.HEADER.size + wire.HEADER.unpack(start)[1] + 1
        return len(request.recv(longest, socket.MSG_PEEK | socket.MSG_DONTWAIT)) == longest
    except BlockingIOError:
        return False
