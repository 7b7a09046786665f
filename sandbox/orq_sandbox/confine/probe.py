"""Whether a wall can be had here, by having one: a throw-away run that attacks it.

Rules of this file:

1. A canary is a thing that must not work behind the wall and is harmless where it does. One that
   works means that there is no wall, whatever the set-up said.
2. The other way round, what a run needs must work: it writes its folder and forks.
"""

from __future__ import annotations

import _socket
import errno
import json
import os
import signal
import sys
import typing

from orq_sandbox.confine import limits, namespaces
from orq_sandbox.confine.rooms import Rooms
from orq_sandbox.confine.stages import WallError
from orq_sandbox.confine.syscalls import call
from orq_sandbox.confine.wall import Wall, enter

__all__ = ["probe"]

_PTRACE_ATTACH = 16
_BROKEN = 125
_RUN_PROCESSES = 2
Mapping = typing.Mapping[str, typing.Any]
_NO_RUN: Mapping = {}


def probe(policy: Mapping, run: Mapping = _NO_RUN) -> typing.Dict[str, typing.Any]:
    """Stand up the wall of `policy` and one `run`, attack it, and say what it is.

    Like `enter` it returns in the process inside, which is to report and end. `policy` may name a
    `canary`, an existing file of the host's that was not granted. All of it is held to the policy's
    limits from the start: no group is around it. Raises `WallError`.
    """
    limits.apply(policy.get("rlimits", {}))
    policy = {"host_pid": os.getppid(), **policy}
    wall = enter(policy)
    reader, writer = os.pipe()
    init = wall.fork_init()
    if init == 0:
        _report(writer, lambda: _be_init(wall, policy, run, writer))
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    os.waitpid(init, 0)
    stage, _, detail = said.partition("\n")
    if stage != "sound":
        raise WallError(stage or "probe", errno.EPERM, detail or "the trial run died")
    return {"tier": wall.tier, "landlock": wall.landlock, "stages": json.loads(detail)}


def _be_init(wall: Wall, policy: Mapping, run: Mapping, writer: int) -> None:
    rooms = wall.settle_init(run)
    step = os.fork()
    if step == 0:
        _report(writer, lambda: _be_step(wall, rooms, policy, run, writer))
    os.waitpid(step, 0)
    for folder in (*rooms, os.path.dirname(rooms.work)):
        try:
            os.rmdir(folder)
        except OSError:  # a mount: it goes with this process
            pass


def _be_step(wall: Wall, rooms: Rooms, policy: Mapping, run: Mapping, writer: int) -> None:
    os.setsid()
    wall.stages.program(wall.locking(run, [writer])).go()
    for name, attack in _canaries(policy):
        try:
            attack()
        except OSError:
            continue
        raise WallError("canary: " + name, errno.EPERM, "it was possible behind the wall")
    with _Needed("write"):
        path = os.path.join(rooms.work, "canary")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        os.unlink(path)
    with _Needed("fork"):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    laps = wall.stages.microseconds  # of the zygote and of init too: we are their copy
    os.write(writer, b"sound\n" + json.dumps(laps).encode())


class _Needed:
    """What must work in a run: an OSError in it says that the wall is no place to run in."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: typing.Optional[BaseException], trace: object) -> None:
        if isinstance(error, OSError):
            raise WallError("needed: " + self._name, error.errno or 0, str(error)) from error


def _report(writer: int, work: typing.Callable[[], None]) -> typing.NoReturn:
    """Do `work` in a forked process, tell a failure through the pipe, and end."""
    status = 0
    try:
        work()
    except WallError as error:
        os.write(writer, ("%s\n%s" % (error.stage, error.detail)).encode("utf-8", "replace"))
        status = 1
    except BaseException as error:
        os.write(
            writer, ("probe\n%s: %s" % (type(error).__name__, error)).encode("utf-8", "replace")
        )
        status = _BROKEN
    finally:
        os._exit(status)


def _canaries(
    policy: Mapping,
) -> typing.Iterator[typing.Tuple[str, typing.Callable[[], typing.Any]]]:
    if policy["tier"] == "process":
        return
    yield "read /etc/shadow", lambda: _open("/etc/shadow", os.O_RDONLY)
    if "canary" in policy:
        yield "read the host's file", lambda: _open(policy["canary"], os.O_RDONLY)
        yield "write the host's file", lambda: _open(policy["canary"], os.O_WRONLY)
    yield "write the interpreter", lambda: _open(sys.executable, os.O_WRONLY)
    if policy["tier"] == "namespaces":
        yield "see other processes", _see_others
    else:
        yield "signal the host", lambda: os.kill(policy["host_pid"], 0)
    yield "trace init", lambda: call("ptrace", _PTRACE_ATTACH, os.getppid(), 0, 0)
    yield "new user namespace", lambda: namespaces.unshare(namespaces.NEW_USER)
    yield "clone a user namespace", _clone
    yield "mount", lambda: call("mount", b"none", b"/", None, 1 << 18, None)
    yield "keys", lambda: call("keyctl", 0, -3 & 0xFFFFFFFF, 0)
    if policy.get("network", "none") == "none":
        yield "internet socket", lambda: _socket.socket(_socket.AF_INET)


def _open(path: str, flags: int) -> None:
    os.close(os.open(path, flags | os.O_CLOEXEC))


def _see_others() -> None:
    """In a pid namespace of its own a run sees itself and its init."""
    seen = [name for name in os.listdir("/proc") if name.isdigit()]
    if len(seen) <= _RUN_PROCESSES:
        raise ProcessLookupError(errno.ESRCH, "only its own")


def _clone() -> None:
    """The control for this one is `fork`: the same call without the flag."""
    arguments = [namespaces.NEW_USER | signal.SIGCHLD, 0, 0, 0, 0]
    pid = call("clone", *arguments)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
