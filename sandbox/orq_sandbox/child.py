"""The step's side of a run's two processes: what init's child does before it serves its request.

Rules of this file:

1. The step holds five descriptors: 0, 1, 2, the request and the result; neither init's nor anybody
   else's. It cannot speak for init.
2. Between fork and the step's harness nothing imports and no thread is started.
"""

from __future__ import annotations

import _socket
import io
import os
import signal
import sys
import typing

from orq_sandbox import confine, harness, kernel
from orq_sandbox.ahead import Ahead, set_variables
from orq_sandbox.harness import serve as serve_request

__all__ = [
    "Channel",
    "Place",
    "Serve",
    "become_step",
    "confess",
    "get_ready",
    "locking",
    "reset_signals",
    "serving",
]

_REQUEST = 3
_RESULT = 4
_NOWHERE = ("/", "/")
_new_socket: typing.Any = _socket.socket
_UNIX, _STREAM = _socket.AF_UNIX, _socket.SOCK_STREAM

Serve = typing.Callable[[_socket.socket], None]


class Channel:
    """The guest's ends of a run's five descriptors, in the order they travel."""

    __slots__ = ("ends", "status", "stderr")

    def __init__(self, request: int, result: int, stdout: int, stderr: int, status: int) -> None:
        self.ends = (stdout, stderr, request, result)
        """The step's, in the order that it has them in."""
        self.stderr, self.status = stderr, status


class Place:
    """Where a run takes place: behind which wall, its quantities, the doors to its cgroups.

    `doors` are open `cgroup.procs` files: init moves itself through them before it forks, or
    `waits` until the host has moved it. A spare is forked ahead of its request. Its init
    serves as many runs `more`, if it is asked to.
    `become` serves a command instead of a function.
    """

    __slots__ = ("become", "doors", "is_spare", "more", "run", "wall")

    def __init__(
        self,
        wall: confine.Wall,
        run: typing.Dict[str, typing.Any],
        doors: typing.Sequence[int] = (),
        *,
        is_spare: bool = False,
        more: int = 0,
        become: typing.Optional[typing.Callable[..., None]] = None,
    ) -> None:
        self.wall, self.run, self.doors = wall, run, doors
        self.is_spare, self.more, self.become = is_spare, more, become


def reset_signals() -> None:
    """Undo what the environment's packages may have done: a step starts like any Python process.

    Once for all that are forked from here: it is 60 calls into the kernel.
    """
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP) and number not in _RESERVED:
            signal.signal(number, _STARTING_HANDLERS.get(number, signal.SIG_DFL))


def locking(place: Place, channel: Channel, init: int) -> typing.List[confine.Stage]:
    """What makes a process that this `init` forks a step; of descriptors it keeps its ends."""
    own = ("step: its own", confine.make, kernel.becoming(channel.ends, init, inherited=2))
    return [own, *place.wall.locking(place.run, (_REQUEST, _RESULT))]


def serving(
    place: Place,
    rooms: typing.Tuple[str, str],
    ahead: typing.Optional[Ahead],
    json: typing.Any,
) -> Serve:
    """What a step does when it is locked, with its request's socket. Never returns.

    `ahead` is what its init has prepared, for all of its steps.
    """
    is_all_disk_ours = place.wall.is_all_disk_ours
    become, is_spare = place.become, place.is_spare

    def serve(request: _socket.socket) -> None:
        if become is not None:
            become(request, _RESULT, rooms)
        serve_request(
            request,
            _REQUEST,
            _RESULT,
            json,
            rooms,
            ahead,
            is_spare=is_spare,
            is_all_disk_ours=is_all_disk_ours,
        )

    return serve


def become_step(lock: typing.Callable[[], None], serve: Serve, stderr: int) -> None:
    """Give everything up, and serve. Never returns.

    No other run's process has been here: whatever name is looked up is copied for this one alone.
    """
    try:
        lock()
        if not _printers:
            _show_printers()
        # with nothing left to ask for
        serve(_new_socket(_UNIX, _STREAM, 0, _REQUEST))
    except BaseException as error:  # nothing may run on in a copy of the zygote
        confess(2, error)
        confess(stderr, error)
    finally:
        os._exit(125)


def confess(descriptor: int, error: BaseException) -> None:
    """Say on a run's stderr why it could not be started, if that can be heard."""
    try:
        os.write(descriptor, b"orq-runtime: cannot start a run: %s\n" % ascii(error).encode())
    except OSError:
        pass


_RESERVED = (32, 33)  # the C library's own
_STARTING_HANDLERS = {
    signal.SIGPIPE: signal.SIG_IGN,  # as in any Python process
    signal.SIGXFSZ: signal.SIG_IGN,
    signal.SIGINT: signal.default_int_handler,
}


_printers: typing.Dict[str, io.TextIOWrapper] = {}  # a zygote's, for all of its steps


def get_ready(json: typing.Any, rooms: typing.Optional[typing.Tuple[str, str]]) -> None:
    """In a zygote: do what each child would have to do, for memory that is written to is dear.

    `rooms` are those of all runs, if they are the same.
    """
    reader, writer = os.pipe()
    kept = [os.dup(number) for number in (1, 2)]
    for number in (1, 2):
        os.dup2(writer, number)  # a printer asks at once what it prints to
    _show_printers()
    for number, descriptor in zip((1, 2), kept):
        os.dup2(descriptor, number)
    for descriptor in (reader, writer, *kept):
        os.close(descriptor)
    harness.get_ready(json)
    set_variables(rooms or _NOWHERE)


def _show_printers() -> None:
    """Have what is printed from here on go where 1 and 2 lead by then."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        _printers[name] = printer = _printer(number)
        setattr(sys, name, printer)
        setattr(sys, "__%s__" % name, printer)


def _printer(number: int) -> io.TextIOWrapper:
    """Unbuffered, as under `python -u`: what was printed survives a SIGKILL."""
    raw = typing.cast("typing.BinaryIO", io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
