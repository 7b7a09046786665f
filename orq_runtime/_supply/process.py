"""Runs one program to its end: own session, lines as they come, a deadline, nothing left behind."""

from __future__ import annotations

import contextlib
import functools
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orq_runtime._dataclass import dataclass

__all__ = ["Finished", "run"]

_CHUNK = 1 << 16
_TICK_SECONDS = 0.2
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How the program ended; a negative status is the signal that ended it."""

    status: int
    timed_out: bool


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    deadline_seconds: float,
    on_line: Callable[[str], None],
    on_tick: Callable[[int], None] | None = None,
    with_stdout: bool = False,
) -> Finished:
    """Run a program and hand each line of its stderr (and stdout, if asked) to `on_line`. Blocks.

    `on_tick` is called with its number a few times a second, for who wants to watch it.
    Its whole process group is killed at the deadline, on an exception, and when it has ended:
    what it left running is gone too. Raises OSError when it cannot be started.
    """
    process = subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if with_stdout else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if with_stdout else subprocess.PIPE,
        start_new_session=True,
    )
    stream = process.stdout if with_stdout else process.stderr
    assert stream is not None
    lines = _Lines(on_line)
    try:
        ended = os.pidfd_open(process.pid)
        try:
            tick = None if on_tick is None else functools.partial(on_tick, process.pid)
            timed_out = not _drain(stream.fileno(), ended, lines, deadline_seconds, tick)
        finally:
            os.close(ended)
    finally:
        # the leader is not reaped yet, so its number still names this group
        _kill_group(process.pid)
        process.wait()
        stream.close()
    lines.end()
    return Finished(status=process.returncode, timed_out=timed_out)


def _drain(
    pipe: int,
    ended: int,
    lines: _Lines,
    deadline_seconds: float,
    tick: Callable[[], None] | None,
) -> bool:
    """Read until the program ends; False at the deadline. A daemon may keep the pipe open."""
    os.set_blocking(pipe, False)
    deadline = time.monotonic() + deadline_seconds
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            wait = left if tick is None else min(left, _TICK_SECONDS)
            ready = {key.fd for key, _ in selector.select(wait)}
            if tick is not None:
                tick()
            if pipe in ready and not lines.read(pipe):
                selector.unregister(pipe)
            if ended in ready:
                while lines.read(pipe):
                    pass
                return True
    return False


class _Lines:
    """Cuts a byte stream into lines of bounded length."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def read(self, pipe: int) -> bool:
        """Take what is there; False at the end or when nothing is there now."""
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return False
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            whole, self._rest = [*whole, self._rest], b""
        for line in whole:
            self._on_line(line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip("\r"))
        return bool(chunk)

    def end(self) -> None:
        """Hand out the last line, which has no line end."""
        if self._rest:
            self._on_line(self._rest.decode("utf-8", "replace"))


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
