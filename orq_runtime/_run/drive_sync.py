"""One run, driven by one thread: poll, feed the machine, do as it says."""

from __future__ import annotations

import os
import select
import time
from typing import Final

from orq_runtime._run import drive
from orq_runtime._run.machine import Machine
from orq_runtime._run.slot import Slot

__all__ = ["Canceller", "run"]

_MILLISECOND: Final = 1_000_000


class Canceller:
    """A bell another thread rings to cancel a run. Ringing it twice, or late, is fine."""

    def __init__(self) -> None:
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Readable once it was rung."""
        return self._bell

    def cancel(self) -> None:
        """Have the run end as `cancelled`."""
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Give the bell back, once its run is over."""
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1


def run(machine: Machine, slot: Slot, canceller: Canceller | None = None) -> None:
    """Send what is left of the request and follow the run until its outcome is certain. Blocks.

    KeyboardInterrupt (or whatever else a signal handler raises) ends the run before it goes on.
    Such an exception may come between a read and what is made of it. What is lost then is no loss:
    nobody is told the outcome, and every state of the machine has an end without it.
    """
    driver = _Driver(machine, slot, canceller)
    try:
        driver.follow()
    except BaseException:
        machine.stop("cancelled", time.monotonic_ns())
        driver.end()
        raise


class _Driver:
    def __init__(self, machine: Machine, slot: Slot, canceller: Canceller | None) -> None:
        self._machine, self._slot = machine, slot
        self._poll, self._names = slot.poll, slot.streams
        self._request = -1
        if slot.is_sending:
            self._request = slot.channel.host("request")
            self._poll.register(self._request, select.POLLOUT)
        if canceller is not None:
            self._poll.register(canceller.fileno(), select.POLLIN)

    def follow(self) -> None:
        """From a machine that has seen nothing yet to one that is settled."""
        if not self._has_result():  # mostly it is the first that is seen
            self.end()

    def end(self) -> None:
        """As the machine says, until it is settled."""
        machine = self._machine
        while not machine.is_settled:
            if machine.is_answered:
                self._forget_request()
            drive.obey(machine, self._slot)
            if self._has_result():
                return
        drive.obey(machine, self._slot)
        drive.drain(machine, self._slot, self._names.values(), time.monotonic_ns())

    def _has_result(self) -> bool:
        """Wait and see; whether the RESULT came, and nothing that is still to be read."""
        next_ns = drive.wake_ns(self._machine, self._slot)
        left = None if next_ns is None else max(0, next_ns - time.monotonic_ns()) / _MILLISECOND
        ready = self._poll.poll(left)
        now = time.monotonic_ns()
        for descriptor, _ in ready:
            self._serve(descriptor, now)
        if len(ready) == 1 and self._machine.has_result:
            return True  # what was printed before it would have been seen after it
        drive.tick(self._machine, self._slot, now)
        return False

    def _serve(self, descriptor: int, now: int) -> None:
        name = self._names.get(descriptor)
        if name is not None:
            if not drive.receive(self._machine, self._slot, name, now):
                self._poll.unregister(descriptor)
                del self._names[descriptor]
        elif descriptor == self._request:
            if not self._slot.push():
                self._forget_request()
        else:
            self._poll.unregister(descriptor)
            self._machine.stop("cancelled", now)

    def _forget_request(self) -> None:
        if self._request >= 0:
            self._poll.unregister(self._request)
            self._request = -1
