"""One run, driven by an event loop: the same machine, no thread of its own."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from orq_runtime._run import drive
from orq_runtime._run.machine import Machine
from orq_runtime._run.slot import STREAMS, Slot

__all__ = ["run"]

_SECOND: Final = 1_000_000_000


async def run(machine: Machine, slot: Slot) -> None:
    """Send what is left of the request and follow the run until its outcome is certain.

    Cancelling the task ends the run, waits until nothing of it is alive, and goes on as cancelled.
    """
    driver = _Driver(machine, slot)
    try:
        await asyncio.shield(driver.finished)
    except asyncio.CancelledError:
        driver.cancel()
        while not driver.finished.done():
            try:
                await asyncio.shield(driver.finished)
            except asyncio.CancelledError:
                continue  # asked twice: the run is ending as fast as it can
        raise
    finally:
        driver.close()


class _Driver:
    def __init__(self, machine: Machine, slot: Slot) -> None:
        self._machine, self._slot = machine, slot
        self._loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._names = {name: slot.channel.host(name) for name in STREAMS}
        for name, descriptor in self._names.items():
            self._loop.add_reader(descriptor, self._readable, name)
        self._request = -1
        if slot.is_sending:
            self._request = slot.channel.host("request")
            self._loop.add_writer(self._request, self._writable)
        self._settle()

    def cancel(self) -> None:
        self._machine.stop("cancelled", time.monotonic_ns())
        self._settle()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for descriptor in self._names.values():
            self._loop.remove_reader(descriptor)
        self._names.clear()
        self._forget_request()

    def _readable(self, name: str) -> None:
        if not drive.receive(self._machine, self._slot, name, time.monotonic_ns()):
            self._loop.remove_reader(self._names.pop(name))
        self._settle()

    def _writable(self) -> None:
        if not self._slot.push():
            self._forget_request()

    def _forget_request(self) -> None:
        if self._request >= 0:
            self._loop.remove_writer(self._request)
            self._request = -1

    def _tick(self) -> None:
        drive.tick(self._machine, self._slot, time.monotonic_ns())
        self._settle()

    def _settle(self) -> None:
        """Do as the machine says, and be woken when it next must be."""
        if self._machine.is_answered:
            self._forget_request()
        drive.obey(self._machine, self._slot)
        if self._machine.is_settled:
            if not self.finished.done():
                drive.drain(self._machine, self._slot, self._names, time.monotonic_ns())
                self.finished.set_result(None)
            return
        if self._timer is not None:
            self._timer.cancel()
        next_ns = drive.wake_ns(self._machine, self._slot)
        if next_ns is not None:
            delay = max(0.0, (next_ns - time.monotonic_ns()) / _SECOND)
            self._timer = self._loop.call_later(delay, self._tick)
