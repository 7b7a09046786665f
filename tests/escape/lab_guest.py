"""The guest of the wall's bench: a zygote that confines itself and runs what it is sent.

`python -I -S -B lab_guest.py SANDBOX POLICY CONTROL [SITE_PACKAGES [PRELOAD...]]`. Python 3.8.

::

    bench -> zygote   one JSON message with four descriptors: result, stdout, stderr, status
    zygote -> bench   b"ready" + timings once; then b"forked" with a pidfd of each init
"""

from __future__ import annotations

import array
import fcntl
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import types
import typing

_RIGHTS = socket.SCM_RIGHTS
_BROKEN = 125
_HIGH = 100


def main(sandbox: str, policy: str, control_number: str, *rest: str) -> None:
    """Confine, say so, fork a run for each message until the bench closes."""
    sys.path.insert(0, sandbox)
    confine = importlib.import_module("orq_sandbox.confine")
    syscalls = importlib.import_module("orq_sandbox.confine.syscalls")
    sys.path.pop(0)
    begun = time.perf_counter()
    control = socket.socket(fileno=int(control_number))
    control.set_inheritable(False)
    try:
        wall = confine.enter(json.loads(policy))
    except confine.WallError as error:
        control.send(b"failed " + str(error).encode())
        os._exit(1)
    entered = (time.perf_counter() - begun) * 1e6
    _add_packages(*rest)
    report = dict(wall.stages.microseconds, entered=entered, landlock_version=wall.landlock)
    control.send(b"ready " + json.dumps(report).encode())
    inits: set[int] = set()
    while True:
        ready = select.select([control], [], [], 0.05)[0]  # also to bury the dead
        inits -= {pid for pid in inits if os.waitpid(pid, os.WNOHANG)[0]}
        if not ready:
            continue
        message, ancillary, _, _ = control.recvmsg(1 << 20, socket.CMSG_SPACE(64))
        if not message:
            os._exit(0)
        descriptors = array.array("i")
        for _, _, body in ancillary:
            descriptors.frombytes(body[: len(body) - len(body) % 4])
        inits.add(_fork_run(wall, control, message, list(descriptors), syscalls.pidfd_open))


def _add_packages(site_packages: str = "", *preload: str) -> None:
    if site_packages:
        sys.path.append(site_packages)
        sys.executable = os.path.normpath(site_packages + "/../../../bin/python")
    for name in preload:
        importlib.import_module(name)


def _fork_run(
    wall: typing.Any,
    control: socket.socket,
    message: bytes,
    descriptors: list[int],
    pidfd_open: typing.Callable[[int], int],
) -> int:
    wall.stages.microseconds.clear()
    init: int = wall.fork_init()
    if init == 0:
        _be_init(wall, json.loads(message), *descriptors)
    pidfd = pidfd_open(init)
    control.sendmsg([b"forked"], [(socket.SOL_SOCKET, _RIGHTS, array.array("i", [pidfd]))])
    for descriptor in (pidfd, *descriptors):
        os.close(descriptor)
    return init


def _be_init(
    wall: typing.Any, request: dict[str, typing.Any], result: int, out: int, err: int, status: int
) -> None:
    try:
        rooms = wall.settle_init(request["run"])
        step = os.fork()
        if step == 0:
            _be_step(wall, request, rooms, [out, err, result])
        for descriptor in (result, out, err):
            os.close(descriptor)
        signal.signal(signal.SIGTERM, lambda *_: wall.kill_everything(step))
        code = os.waitpid(step, 0)[1]
        wall.kill_everything(step)
        _bury_all()
        os.write(status, json.dumps({"status": code}).encode())
        os._exit(0)
    finally:  # nothing may run on in a copy of the zygote
        os.write(status, json.dumps({"setup_error": repr(sys.exc_info()[1])}).encode())
        os._exit(_BROKEN)


def _bury_all() -> None:
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def _be_step(
    wall: typing.Any, request: dict[str, typing.Any], rooms: typing.Any, descriptors: list[int]
) -> None:
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        empty = os.open(os.devnull, os.O_RDONLY)
        high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _HIGH) for one in (empty, *descriptors)]
        for number, descriptor in enumerate(high):
            os.dup2(descriptor, number, inheritable=number < 3)
        begun = time.perf_counter()
        wall.lock_step(request["run"], [3])
        locked = (time.perf_counter() - begun) * 1e6
        laps = dict(wall.stages.microseconds, lock_step=locked)
        _run(request, {"__name__": "step", "ROOMS": rooms, "LAPS": laps})
    finally:  # a step that is not locked runs nothing
        os.write(2, b"SETUP " + repr(sys.exc_info()[1]).encode())
        os._exit(_BROKEN)


def _run(request: dict[str, typing.Any], names: dict[str, typing.Any]) -> None:
    rooms = names["ROOMS"]
    os.environ.clear()
    os.environ.update(PATH="/usr/bin:/bin", HOME=rooms.work, TMPDIR=rooms.temporary)
    os.environ.update(LANG="C.UTF-8", **request["environ"])
    answer = ""
    try:
        exec(compile(request["code"], "<step>", "exec"), names)
        answer = json.dumps({"ok": names["step"](request["inputs"])}, allow_nan=False)
    finally:
        error = sys.exc_info()[1]
        if error is not None:  # whatever it is: what a step raises is its author's choice
            answer = json.dumps({"err": (type(error).__name__ + ": " + str(error))[-2000:]})
        try:
            _send(answer.encode())
        finally:
            os._exit(0)


def _send(answer: bytes) -> None:
    left = memoryview(answer)
    while left:
        left = left[os.write(3, left) :]
    os.close(3)


if __name__ == "__main__":
    # spawned interpreters import the main module by its path, which is not theirs to see
    _kept = sys.modules.pop("__main__")
    sys.modules["__main__"] = types.ModuleType("__main__")
    main(*sys.argv[1:])
