"""The life of a step's process: parked, told what to expect, asked once, lingering, gone.

Rules of this file:

1. PARKED says that the process waits for its request, on the request's socket; one RESULT or
   FAILURE ends it.
2. After its answer the process lingers until the host closes the request socket: the host has its
   answer before any teardown, and ends the run when it likes.
3. It ends by `os._exit`: nothing of the step runs after the answer.
"""

from __future__ import annotations

import os
import socket
import sys
import typing

from orq_sandbox import rehearsal, wire
from orq_sandbox.ahead import Ahead
from orq_sandbox.answer import Files, answer, send
from orq_sandbox.failure import clip
from orq_sandbox.receive import receive

__all__ = ["get_ready", "serve"]

_MT19937_WORDS = 624
_TIMES = 10
_PARKED = wire.frame(wire.PARKED)


def get_ready(json: typing.Any) -> None:
    """In a zygote: what each child does in its own life, as far as nothing of that can be seen."""
    rehearsal.get_ready(json)
    for _ in range(_TIMES):
        _draw_anew()
        _flush()


def serve(
    request: socket.socket,
    result: int,
    json: typing.Any,
    rooms: typing.Tuple[str, str],
    ahead: typing.Optional[Ahead] = None,
    *,
    is_spare: bool,
    is_all_disk_ours: bool,
) -> None:
    """Wait for the one request, answer it, end the process. Never returns.

    `ahead`: what was prepared for the step before this process was there. A spare that has time
    before its request serves one of our own first: the pages that it touches are its own by then.
    """
    if ahead is None:
        ahead = Ahead(rooms)
    if is_spare:
        rehearsal.warm_up(json, rooms, ahead, request)
    _draw_anew()
    mark = request.fileno()
    send(mark, _PARKED)
    files = Files()
    ahead.bind()
    frame = receive(request, files, ahead, json)
    if frame is None:  # a spare that is not needed any more
        os._exit(0)
    try:
        said = answer(json, frame, mark, rooms[1], files, ahead, is_all_disk_ours=is_all_disk_ours)
    except SystemExit as wish:
        _flush()
        os._exit(_exit_status(wish))
    _flush()
    try:
        send(result, said, files.goes)
    except OSError:  # the step closed the descriptor: without a result, which the host sees
        os._exit(0)
    try:
        request.recv(1)  # linger
    except OSError:
        pass
    os._exit(0)


def _draw_anew() -> None:
    """Children of one zygote must not draw the same numbers; `random` sees to itself."""
    numpy: typing.Any = sys.modules.get("numpy")
    if numpy is not None and "numpy.random" in sys.modules:
        try:  # what `seed` would come to, and a third less of memory that is written to
            state = numpy.frombuffer(os.urandom(4 * _MT19937_WORDS), numpy.uint32)
            numpy.random.set_state(("MT19937", state, _MT19937_WORDS))
        except Exception:  # a package may have put another generator there
            numpy.random.seed()
    uuid: typing.Any = sys.modules.get("uuid")
    if uuid is not None:  # the C library's state for `uuid1` was copied by the fork
        node = int.from_bytes(os.urandom(6), "big") | 1 << 40  # nobody's address: RFC 9562
        vars(uuid).update(_generate_time_safe=None, _node=node)


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
