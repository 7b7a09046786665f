"""What both drivers do between the machine and the slot: reads, writes and orders."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Final

from orq_runtime._run.machine import TERM_GRACE_MS, Machine, Order
from orq_runtime._run.slot import Slot

__all__ = ["drain", "note", "obey", "receive", "tick", "wake_ns"]

_CHUNK: Final = 1 << 16
_MOST_CHUNKS: Final = 64


def receive(machine: Machine, slot: Slot, name: str, now_ns: int) -> bool:
    """Read one stream into the machine, a bounded amount; False when the stream has ended."""
    brings_folder = slot.keeps_work and name == "status"
    for _ in range(_MOST_CHUNKS):
        descriptors = 0
        try:
            if name == "result":
                chunk, descriptors = slot.hear_result(_CHUNK)
                if not chunk:
                    note(machine, slot, now_ns)
            elif brings_folder:
                chunk = slot.hear_status(_CHUNK)
            else:
                chunk = os.read(slot.channel.host(name), _CHUNK)
        except BlockingIOError:
            return True
        except OSError:  # reset: the other end died with bytes unread
            chunk = b""
        machine.saw(name, chunk, now_ns, descriptors=descriptors)
        if not chunk:
            return False
        if len(chunk) < _CHUNK:  # that was all for now
            return True
    return True


def note(machine: Machine, slot: Slot, now_ns: int) -> None:
    """Have the machine know what the step has said of its progress."""
    marks = slot.hear_marks()
    if marks:
        machine.saw("result", marks, now_ns)
    if slot.is_untaken:
        machine.missed()


def drain(machine: Machine, slot: Slot, names: Collection[str], now_ns: int) -> None:
    """Read what was told and printed before the end: by now it is all there."""
    note(machine, slot, now_ns)
    for name in ("stdout", "stderr"):
        if name in names:
            receive(machine, slot, name, now_ns)


def wake_ns(machine: Machine, slot: Slot) -> int | None:
    """When the driver must call `tick` at the latest; None for whenever something is seen."""
    if slot.sentry is None:
        return machine.next_ns
    return (
        slot.sentry.due_ns if machine.next_ns is None else min(machine.next_ns, slot.sentry.due_ns)
    )


def tick(machine: Machine, slot: Slot, now_ns: int) -> None:
    """Let the time take effect: deadlines, and the sentry's rounds."""
    machine.tick(now_ns)
    if slot.sentry is not None:
        slot.sentry.look(machine, now_ns)


def obey(machine: Machine, slot: Slot) -> None:
    """Carry out the machine's orders. The driver has forgotten the request once it was answered."""
    for order in machine.orders():
        if order is Order.RELEASE:
            slot.channel.shut("request")
        elif order is Order.STOP:
            slot.ask_to_stop(TERM_GRACE_MS)
        elif order is Order.STOP_NOW:
            slot.ask_to_stop(0)
        else:
            slot.kill()
