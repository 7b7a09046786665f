"""How a step's process hears what it is to do: the one request, and before it what to expect."""

from __future__ import annotations

import _socket
import struct
import typing

from orq_sandbox import wire
from orq_sandbox.ahead import Ahead
from orq_sandbox.answer import Files

__all__ = ["receive"]

_LONGEST_REQUEST = 1 << 30
_CHUNK = 1 << 18
_INT = struct.Struct("i")
_first = memoryview(bytearray(1 << 15))  # there already: what most requests fit into
_ROOM = _socket.CMSG_SPACE(_INT.size)


def receive(
    request: _socket.socket, files: Files, ahead: Ahead, json: typing.Any
) -> typing.Optional[bytes]:
    """The payload of the request, when it is there; None when there will be none."""
    decoder = wire.Decoder({wire.EXPECT: wire.LONGEST_ABOUT, wire.REQUEST: _LONGEST_REQUEST})
    into = _first
    while True:
        size, beside, _, _ = request.recvmsg_into((into,), _ROOM, _socket.MSG_CMSG_CLOEXEC)
        if beside:
            files.came = _INT.unpack(beside[0][2][: _INT.size])[0]
        if not size:
            return None
        for kind, payload in decoder.feed(bytes(into[:size])):
            if kind == wire.REQUEST:
                return payload
            ahead.expect(json.loads(payload))
        if size == len(into):
            into = memoryview(bytearray(_CHUNK))
