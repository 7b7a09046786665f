"""The signals that end a command, as an exception: what was begun is undone on the way out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from types import FrameType

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    import signal
else:
    # start-up budget: `signal` is this, and an enumeration of every number that there is
    try:
        import _signal as signal
    except ImportError:
        import signal

__all__ = ["CLOSED", "Ended", "ending_by_signal", "ringing_by_signal"]

CLOSED = 128 + signal.SIGPIPE

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAME_SECONDS = 1.0


class Ended(BaseException):
    """A signal asked this command to end. No `except Exception` may keep it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """For example `SIGTERM`."""
        from signal import Signals  # start-up budget, as above

        return Signals(self.number).name


@contextlib.contextmanager
def ending_by_signal() -> Iterator[None]:
    """Turn the signals that end a command into `Ended`, so that a run is stopped on the way out."""
    last = float("-inf")

    def end(number: int, _: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        # a terminal and a wrapper that forwards signals both send one: the second may not end what
        # the first has begun to clean up
        if now - last >= _SAME_SECONDS:
            last = now
            raise Ended(number)

    with _handled(end):
        yield


@contextlib.contextmanager
def ringing_by_signal(ring: Callable[[], None]) -> Iterator[list[int]]:
    """Have those signals call `ring` and be listed, in place of an exception.

    An exception may come between a read and what is made of it, and what a run printed be lost.
    """
    rung: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        rung.append(number)
        ring()

    with _handled(note):
        yield rung


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {}
    try:
        for number in _ENDING:
            # one that is ignored stays so: `nohup` means it
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread: signals are the caller's then
        pass
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
