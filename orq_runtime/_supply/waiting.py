"""Waiting for another maker: what is waited for, and which process holds its lock."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from orq_runtime._supply.store import Store
from orq_runtime.events import Event, Sink

__all__ = ["exclusively", "holder_of", "making"]

_LOCKS = Path("/proc/locks")
_WORDS = 5


@contextlib.contextmanager
def exclusively(
    store: Store, sink: Sink, kind: str, key: str, *, subject: str, what: str
) -> Iterator[None]:
    """Hold the lock under which one thing is made; says what and for whom, if it must wait.

    Blocks. Raises `StoreBusy` when the other is not done in time.
    """
    waits: list[Event] = []

    def on_wait() -> None:
        holder = holder_of(store.maker_guard(kind, key))
        message = f"{what}, by {holder}" if holder else what
        waits.append(Event(phase="wait", state="started", subject=subject, message=message))
        sink(waits[0])

    with store.exclusively(kind, key, on_wait=on_wait):
        if waits:
            sink(Event(phase="wait", state="done", subject=subject))
        yield


@contextlib.contextmanager
def making(store: Store, sink: Sink) -> Iterator[None]:
    """`Store.making`, which says so if it must wait for the end of a cleaning. Blocks."""
    waits: list[Event] = []

    def on_wait() -> None:
        holder = holder_of(store.activity)
        message = "the cache is being cleaned" + (f", by {holder}" if holder else "")
        waits.append(Event(phase="wait", state="started", subject="cache", message=message))
        sink(waits[0])

    with store.making(on_wait=on_wait):
        if waits:
            sink(Event(phase="wait", state="done", subject="cache"))
        yield


def holder_of(guard: Path) -> str:
    """The process that holds a lock, as `process 4242 (orq-runtime supply)`; empty if not known."""
    try:
        status = guard.stat()
        lines = _LOCKS.read_text("ascii", "replace").splitlines()
    except OSError:
        return ""
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        # `7: FLOCK  ADVISORY  WRITE 4242 fe:01:1310 0 EOF`; one who waits has a `->` in it
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place and fields[4] != "0":
            return f"process {fields[4]}{_command(fields[4])}"
    return ""


def _command(pid: str) -> str:
    """The first words of a command line: up to what may be a path, a value or a credential."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    shown = [words[0].rpartition("/")[2]]
    for word in words[1:_WORDS]:
        if not word or not word.replace("_", "").replace("-", "").isalnum():
            break
        shown.append(word)
    return f" ({' '.join(shown)})"
