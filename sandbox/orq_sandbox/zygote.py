"""The zygote: one per environment, preloaded, single-threaded; it forks a pair for each run.

It reads no request and runs no step. On its control socket (one frame a message)::

    zygote -> host   READY {"preloaded": [...], "failed": {...}} + its wall's shelf, if it has one
    host -> zygote   SPAWN {the run's quantities} + its five descriptors and its cgroup's doors
    zygote -> host   SPAWNED + a pidfd of init

The first SPAWN may be there before READY is out.
End-of-file on the control socket (the host is gone or done) ends it and every run under it.
"""

from __future__ import annotations

import _socket
import gc
import importlib
import json as standard_json
import os
import select
import signal
import sys
import time
import typing

from orq_sandbox import child, confine, init, kernel, later, wire
from orq_sandbox.failure import clip, describe

__all__ = ["serve"]

_FEWEST = 5
_MOST = 16
_LONGEST_MESSAGE = 4096
_FIRST = 2  # orders: who wants more than one child at once will want more
_AFTER_SECONDS = (0.02, 0.5)  # when each step of getting ready is due, after the one before
_LIVES = (3, 32, 1 << 20)  # further runs of an init, by how many steps were done; then it ends
_USUAL = ("dataclasses", "inspect", "socket")


def serve(
    control_number: int, json: typing.Any, preload: typing.List[str], wall: confine.Wall
) -> None:
    """Preload, say READY, fork on demand until the host closes. Never returns."""
    control = _socket.socket(fileno=control_number)
    os.set_inheritable(control_number, False)
    failed = _preload(preload)
    _part_uuids()
    kernel.adopt_orphans()
    child.reset_signals()
    waker = _hear_of_deaths()
    gc.freeze()
    if preload:
        later.part("pages").collapse()  # without a preload the heap is small
    ready = {"preloaded": [name for name in preload if name not in failed], "failed": failed}
    control.sendmsg([wire.frame(wire.READY, json.dumps(ready))], _rights(wall.shelf))
    if wall.shelf >= 0:
        os.close(wall.shelf)
    inits: typing.Set[int] = set()
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(waker, select.POLLIN)
    steps = [lambda: _rehearse(json, wall), _preload_usual]
    done, due = 0, time.monotonic() + _AFTER_SECONDS[0]
    while True:
        is_ready = done == len(steps)
        patience_ms = None if is_ready else max(0.0, due - time.monotonic()) * 1000
        numbers = [number for number, _ in poll.poll(patience_ms)]
        is_burst = done == 0 and len(inits) >= _FIRST
        if not is_ready and (is_burst or time.monotonic() >= due):
            steps[done]()
            gc.freeze()
            done, due = done + 1, time.monotonic() + _AFTER_SECONDS[-1]
        if waker in numbers:
            os.read(waker, 4096)
            _reap(inits)
        if control.fileno() in numbers:
            order = _next_order(control)
            if order is None:
                break
            run, numbers = order
            # one that lacks what later ones have is not to be there for long
            place = child.Place(wall, run, numbers[5:], is_spare=True, more=_LIVES[done])
            inits.add(_spawn(place, numbers, control, json))
    _end_all()
    os._exit(0)


def _rehearse(json: typing.Any, wall: confine.Wall) -> None:
    """What pays for later children at once. The first one is not kept waiting for it."""
    try:
        later.part("bind")
        child.get_ready(json, wall.own_rooms)
    except Exception:  # an environment may spoil what it likes: each child says what it then lacks
        pass


def _preload_usual() -> None:
    """What pays in the long run: steps import the standard modules often enough to have them here.

    In a burst of runs it would take from them what it saves them.
    """
    _preload(_USUAL)
    _preload_uuid()
    _part_uuids()
    gc.collect()
    later.part("pages").leave_no_room()


def _preload_uuid() -> None:
    """Without the two libraries that it would load for `uuid1`, which is not to ask them here."""
    if "_uuid" in sys.modules:
        _preload(["uuid"])
        return
    sys.modules["_uuid"] = typing.cast("typing.Any", None)  # for `import` it is not there
    _preload(["uuid"])
    del sys.modules["_uuid"]


def _part_uuids() -> None:
    """Have each child draw a node of its own for `uuid1`: nobody's address, and no library's state
    that a fork copies.
    """
    uuid: typing.Any = sys.modules.get("uuid")
    if uuid is not None:
        vars(uuid).update(_GETTERS=[], _node=None, _last_timestamp=None)
        # the second for 3.8, which would look for a library at each call, by programs
        vars(uuid).update(_generate_time_safe=None, _has_uuid_generate_time_safe=False)


def _preload(names: typing.Sequence[str]) -> typing.Dict[str, str]:
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:  # what an import raises is its author's choice
            said = describe(error)
            failed[name] = clip("%s: %s" % (said["type"], said["message"]), 300)
    return failed


def _hear_of_deaths() -> int:
    """A descriptor that becomes readable when a child has ended."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _next_order(
    control: _socket.socket,
) -> typing.Optional[typing.Tuple[typing.Dict[str, typing.Any], typing.List[int]]]:
    message, numbers = kernel.receive_with_descriptors(control, _LONGEST_MESSAGE, _MOST)
    if not message:
        return None
    frames = list(wire.Decoder({wire.SPAWN: _LONGEST_MESSAGE}).feed(message))
    if len(frames) != 1 or len(numbers) < _FEWEST:
        raise wire.WireError("an order is one SPAWN with its descriptors")
    return standard_json.loads(frames[0][1]), numbers


def _spawn(
    place: child.Place, numbers: typing.List[int], control: _socket.socket, json: typing.Any
) -> int:
    pid = place.wall.fork_init()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        control.close()
        init.serve(place, child.Channel(*numbers[:5]), json)
    pidfd = kernel.open_pidfd(pid)
    for number in numbers:
        os.close(number)
    try:
        control.sendmsg([wire.frame(wire.SPAWNED)], _rights(pidfd))
    finally:
        os.close(pidfd)
    return pid


def _rights(descriptor: int) -> list:
    """What goes along with a message: a descriptor, or nothing for -1."""
    if descriptor < 0:
        return []
    return kernel.rights(descriptor)


def _reap(inits: typing.Set[int]) -> None:
    """Bury dead children; where an init was killed, kill what its run left behind."""
    is_orphaned = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == 0:
            break
        is_orphaned = is_orphaned or status != 0 or pid not in inits
        inits.discard(pid)
    if is_orphaned:
        for pid in kernel.children():
            if pid not in inits:
                _kill_with_group(pid, inits)


def _kill_with_group(pid: int, inits: typing.Set[int]) -> None:
    """Kill an orphan, and at one blow all of its group: who forks on outruns a pursuit."""
    try:
        group = os.getpgid(pid)
        if group not in inits and group not in (os.getpgid(0), os.getpid()):
            os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    _kill(pid)


def _end_all() -> None:
    while True:
        for pid in kernel.children():
            _kill(pid)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
