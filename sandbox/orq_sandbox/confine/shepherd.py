"""The process outside the wall: it waits for the guest inside and takes it down with itself.

::

    host -> shepherd (outside)  waits; ends when the guest ends or the host is gone
              -> guest          has the kernel kill it when its shepherd ends

Rules of this file:

1. The guest cannot see, signal or outlive its shepherd.
2. A shepherd holds no descriptor of the guest's: an end-of-file means what it says.
3. SIGTERM ends the guest and whatever it left. SIGKILL of the shepherd ends the guest too, but
   where there is no pid namespace a daemon that a hostile import made outlives it.
4. The host's death is heard through its pidfd: it fires whichever of the host's threads started us.
"""

from __future__ import annotations

import os
import select
import signal
import time
import typing

from orq_sandbox import kernel
from orq_sandbox.confine.descriptors import close_all_but

__all__ = ["fork_inside", "watch_host"]

_ROUNDS = 1000
_MOMENT_SECONDS = 1.0
_POLL_SECONDS = 0.002
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)


def watch_host(host: int) -> int:
    """A descriptor that becomes readable when the host, our parent, has ended.

    Ends this process at once when that has happened before.
    """
    descriptor = kernel.open_pidfd(os.getppid())
    if os.getppid() != host:
        os._exit(1)
    return descriptor


def fork_inside(host: typing.Optional[int] = None, *, adopts: bool = False) -> None:
    """Fork. The child returns, bound to us; we stay as its shepherd and never return.

    `host`: from `watch_host`. `adopts`: whether what the guest leaves behind must be looked for,
    because no pid namespace takes it down.
    """
    if adopts:
        kernel.adopt_orphans()
    reader, writer = (
        os.pipe()
    )  # its end-of-file says that the shepherd ended before it was bound to
    child = os.fork()
    if child == 0:
        os.close(writer)
        kernel.die_with_parent()
        if select.select([reader], [], [], 0)[0]:
            os._exit(1)
        os.close(reader)
        if host is not None:
            os.close(host)
        return
    try:
        _wait(child, host, adopts=adopts, keep=writer)
    finally:
        os._exit(125)  # never run on as the guest


def _wait(child: int, host: typing.Optional[int], *, adopts: bool, keep: int) -> typing.NoReturn:
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _kill(child))
    guest = kernel.open_pidfd(child)
    watched = [guest] if host is None else [guest, host]
    close_all_but([*watched, keep])
    select.select(watched, [], [])
    _kill(child)
    _, status = os.waitpid(child, 0)
    if adopts:
        _kill_left_behind()
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def _kill_left_behind() -> None:
    """Until no descendant is left: orphans come to us."""
    while kernel.children():
        for pid in _held():
            _kill(pid)
        _reap()


def _reap() -> None:
    """Bury all that die within a moment."""
    end = time.monotonic() + _MOMENT_SECONDS
    try:
        while time.monotonic() < end:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                select.select([], [], [], _POLL_SECONDS)  # nothing tells us of all of them
    except ChildProcessError:
        pass


def _held() -> typing.Set[int]:
    """All descendants, stopped: who is killed one by one while others fork on is never the last."""
    held: typing.Set[int] = set()
    for _ in range(_ROUNDS):
        found = set(kernel.descendants())
        if found <= held:
            break
        for pid in found - held:
            _kill(pid, signal.SIGSTOP)
        held = found
    return held


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
