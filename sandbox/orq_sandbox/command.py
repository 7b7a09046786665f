"""A command in place of a function: the step process, locked down, becomes it.

Rules of this file:

1. PARKED says that the process waits for its request, BEGAN goes out just before the program takes
   over, FAILURE says that there is none to do so. There is no RESULT: how it ends is the answer.
2. The program gets descriptors 0, 1 and 2, every signal at its default, and the variables of its
   request; nothing of this process but its walls is left to it.
3. Python that comes with the request runs in this process: its interpreter and its walls are there.
"""

from __future__ import annotations

import _socket
import json
import os
import signal
import sys
import typing

from orq_sandbox import wire
from orq_sandbox.failure import clip

__all__ = ["serve"]

_LONGEST_REQUEST = 1 << 30
_CHUNK = 1 << 18
_UMASK = 0o022
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def serve(request: _socket.socket, result: int, rooms: typing.Tuple[str, str]) -> None:
    """Wait for the one request and become the program it names. Never returns."""
    request.send(wire.frame(wire.PARKED))
    message = _receive(request)
    if message is None:
        os._exit(0)
    seal, asked = message[: wire.SEAL_BYTES], json.loads(message[wire.SEAL_BYTES :].decode())
    variables = dict({"HOME": rooms[0], "TMPDIR": rooms[1]}, **asked["environ"])
    try:
        os.chdir(asked["folder"] or rooms[0])
        os.umask(_UMASK)  # what it leaves behind is read by others than this user
        if asked.get("source") is not None:
            _run(asked, variables, request, result)
        program = _found(asked["argv"][0], variables)
        for number in _IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        request.send(wire.frame(wire.BEGAN))
        os.execve(program, asked["argv"], variables)
    except (OSError, ValueError) as error:
        said = {"verdict": "not_found", "message": clip("cannot run the command: %s" % error)}
        os.write(result, wire.frame(wire.FAILURE, seal + json.dumps(said).encode()))
    os._exit(0)


def _run(
    asked: typing.Mapping[str, typing.Any],
    variables: typing.Mapping[str, str],
    request: _socket.socket,
    result: int,
) -> None:
    """Run Python that comes with the request, in this process. Never returns."""
    os.environ.clear()
    os.environ.update(variables)
    sys.argv[:] = asked["argv"]
    program = compile(asked["source"], asked["argv"][0], "exec")
    request.send(wire.frame(wire.BEGAN))
    request.close()
    os.close(result)
    try:
        exec(program, vars(sys.modules["__main__"]))  # the host's own; the wall is around it
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        os._exit(1)
    os._exit(0)


def _receive(request: _socket.socket) -> typing.Optional[bytes]:
    decoder = wire.Decoder({wire.REQUEST: _LONGEST_REQUEST})
    while True:
        chunk = request.recv(_CHUNK)
        if not chunk:
            return None
        for _, body in decoder.feed(chunk):
            return body


def _found(name: str, variables: typing.Mapping[str, str]) -> str:
    """The path of a program: as it is when it has a slash, else the first in its own PATH."""
    if "/" in name:
        return name
    for folder in variables.get("PATH", "").split(":"):
        path = os.path.join(folder, name)
        if folder and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise FileNotFoundError("no such program: `%s`" % name)
