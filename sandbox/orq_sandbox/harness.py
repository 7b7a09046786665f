"""The life of a step's process: parked, told what to expect, asked once, lingering, gone.

Rules of this file:

1. PARKED says that the process waits for its request, on the request's socket; one RESULT or
   FAILURE ends it.
2. After its answer the process lingers until the host closes the request socket: the host has its
   answer before any teardown, and ends the run when it likes.
3. It ends by `os._exit`: nothing of the step runs after the answer.
"""

from __future__ import annotations

import _socket
import os
import sys
import typing

from orq_sandbox import wire
from orq_sandbox.ahead import Ahead
from orq_sandbox.answer import Files, answer, send
from orq_sandbox.failure import clip
from orq_sandbox.receive import receive
from orq_sandbox.rehearsal import NOWHERE, TIMES, warm_up
from orq_sandbox.rehearsal import get_ready as get_rehearsed

__all__ = ["get_ready", "serve"]

_MT19937_WORDS = 624
_PARKED = wire.frame(wire.PARKED)


def get_ready(json: typing.Any) -> None:
    """In a zygote: what each child does in its own life, as far as nothing of that can be seen."""
    canned = get_rehearsed(json)
    for _ in range(TIMES):
        ours, theirs = _socket.socketpair()
        ahead = canned.expected()
        _park(ours, ours.fileno(), json, NOWHERE, ahead, is_spare=True)
        theirs.sendall(canned.line.frame)
        receive(ours, Files(), ahead, json)
        ours.close()
        theirs.close()
        _flush()
    canned.forget()


def serve(
    request: _socket.socket,
    mark: int,
    result: int,
    json: typing.Any,
    rooms: typing.Tuple[str, str],
    ahead: typing.Optional[Ahead] = None,
    *,
    is_spare: bool,
    is_all_disk_ours: bool,
) -> None:
    """Wait for the one request, answer it, end the process. Never returns.

    `mark` is the descriptor of the `request`. `ahead`: what was prepared for the step before this
    process was there. A spare that has time before its request serves one of our own first: the
    pages that it touches are its own by then.
    """
    files = Files()
    ahead = ahead or Ahead(rooms)
    _park(request, mark, json, rooms, ahead, is_spare=is_spare)
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


def _park(
    request: _socket.socket,
    mark: int,
    json: typing.Any,
    rooms: typing.Tuple[str, str],
    ahead: Ahead,
    *,
    is_spare: bool,
) -> None:
    if is_spare and warm_up(json, rooms, ahead, request, mark):
        _flush()
    if "numpy.random" in sys.modules:
        _draw_anew()
    send(mark, _PARKED)
    ahead.bind()


def _draw_anew() -> None:
    """Children of one zygote must not draw the same numbers; `random` sees to itself."""
    numpy: typing.Any = sys.modules.get("numpy")
    try:  # what `seed` would come to, and a third less of memory that is written to
        state = numpy.frombuffer(os.urandom(4 * _MT19937_WORDS), numpy.uint32)
        numpy.random.set_state(("MT19937", state, _MT19937_WORDS))
    except Exception:  # a package may have put another generator there
        if numpy is not None:
            numpy.random.seed()


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
