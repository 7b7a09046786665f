"""Threads that drive submitted runs, each from its turn to its end; and their futures.

Rules of this file:

1. A thread is started when a run has a turn and no thread is free; all end with `close`.
2. A future that waits for its turn holds no descriptor. Cancelled, or late, it leaves the queue.
3. A future is settled exactly once, by whoever takes it out of the queue.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from orq_runtime._run.drive_sync import Canceller
from orq_runtime._turns import Turns
from orq_runtime.errors import NeverStarted, RequestError, RuntimeSaturated
from orq_runtime.model.owner import Owner
from orq_runtime.model.when import When

__all__ = ["Calls", "Drivers", "RunFuture"]

T = TypeVar("T")


class RunFuture(Future[T]):
    """The future of one run. `cancel` works until the run is over: it kills the run."""

    def __init__(self, work: Callable[[Canceller], T], when: When) -> None:
        super().__init__()
        self.when = when
        self._work = work
        self._owner = Owner()
        self._guard = threading.Lock()
        self._canceller: Canceller | None = None
        self._is_cancelled = self._is_under_way = False

    def running(self) -> bool:
        """Whether the run is under way."""
        return self._is_under_way and not self.done()

    def cancel(self) -> bool:
        """Kill the run, or keep it from starting; False when it is over, or not ours."""
        if not self._owner.is_here:
            return False
        with self._guard:
            self._is_cancelled = True
            if self._canceller is not None:
                self._canceller.cancel()
        return super().cancel()

    def run(self) -> None:
        """Do the run and settle the future. For the runtime's own threads."""
        error: BaseException | None = None
        results: list[T] = []
        canceller: Canceller | None = None
        with self._guard:
            if not self._is_cancelled:
                try:
                    self._canceller = canceller = Canceller()
                except OSError as lacking:
                    error = NeverStarted(f"no descriptor for a run: {lacking.strerror}")
        if canceller is not None:
            self._is_under_way = True
            try:
                results.append(self._work(canceller))
            except BaseException as raised:  # noqa: BLE001 - it is the caller's, through the future
                error = raised
            with self._guard:
                self._canceller = None
            canceller.close()
        # only now, for a future that says it runs can no more be cancelled
        if self.set_running_or_notify_cancel():
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(results[0])

    def drop(self) -> None:
        """It is cancelled and nobody will run it: have those told that wait for it."""
        super().cancel()
        self.set_running_or_notify_cancel()


_Future = RunFuture[Any]  # whatever their runs give


class Drivers:
    """Up to `most` threads, and `queue` runs that wait for one. Safe for many threads."""

    def __init__(self, most: int | None, queue: int) -> None:
        self._owner = Owner()
        self._turns: Turns[_Future] = Turns(most, queue)
        self.ahead = self._turns.ahead
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._sooner = threading.Condition(self._lock)
        self._threads: list[threading.Thread] = []
        self._watch: threading.Thread | None = None
        self._futures: set[_Future] = set()
        self._over: dict[_Future, tuple[int, Hashable]] = {}
        self._idle = 0
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many runs have no turn yet."""
        return self._turns.waiting

    def submit(self, key: Hashable, work: Callable[[Canceller], T], when: When) -> RunFuture[T]:
        """Have the work done when it is its turn: fair between keys. Raises `RuntimeSaturated`.

        What waits still when its time is over is done at once: it is to say so.
        """
        self._owner.confirm()
        future = RunFuture(work, when)
        with self._lock:
            if self._is_closed:
                raise RequestError("the runtime is closed", hint="make another `Runtime`")
            self._turns.join(key, future)
            self._futures.add(future)
            if self._idle >= self._turns.waiting:
                self._ready.notify()
            elif len(self._threads) < self._turns.most:
                name = f"orq-run-{len(self._threads)}"
                thread = threading.Thread(target=self._drive, name=name, daemon=True)
                self._start(thread, key, future)
            elif when.over_ns is not None:
                self._watch_over(future, when.over_ns, key)
        future.add_done_callback(lambda _: self._forget(key, future))
        return future

    def _start(self, thread: threading.Thread, key: Hashable, future: _Future) -> None:
        """Raises `RuntimeSaturated` where the host has no thread more, and we have none."""
        try:
            thread.start()
        except RuntimeError as error:
            if self._threads:
                return  # one of those that are there will come to it
            self._turns.leave(key, future)
            self._futures.discard(future)
            raise RuntimeSaturated(
                f"no thread for a run: {error}", hint="end other programs of this user, or wait"
            ) from error
        self._threads.append(thread)

    def close(self, *, drain: bool) -> None:
        """End all runs, or wait for them if they are to `drain`; take no others."""
        with self._lock:
            self._is_closed = True
            left = [] if drain else self._turns.leave_all()
            if not drain:
                self._over.clear()
            self._ready.notify_all()
            self._sooner.notify_all()
            threads = [*self._threads, *([self._watch] if self._watch else [])]
        for future in left:
            future.drop()
        if not drain:
            for future in list(self._futures):
                future.cancel()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()

    def _drive(self) -> None:
        while (future := self._next()) is not None:
            future.run()
            with self._lock:
                self._turns.give()
            del future  # or it would be kept while there is nothing to do

    def _next(self) -> _Future | None:
        with self._lock:
            while (future := self._turns.take()) is None:
                if self._is_closed:
                    return None
                self._idle += 1
                self._ready.wait()
                self._idle -= 1
            if self._over.pop(future, None) and self._is_closed:
                self._sooner.notify()
            return future

    def _forget(self, key: Hashable, future: _Future) -> None:
        with self._lock:
            self._futures.discard(future)
            was_waiting = future.cancelled() and self._turns.leave(key, future)
            self._over.pop(future, None)
        if was_waiting:
            future.drop()

    def _watch_over(self, future: _Future, over_ns: int, key: Hashable) -> None:
        self._over[future] = (over_ns, key)
        if self._watch is None:
            watch = threading.Thread(target=self._end_late, name="orq-late", daemon=True)
            with contextlib.suppress(RuntimeError):  # no thread more: it is late when it has a turn
                watch.start()
                self._watch = watch
        self._sooner.notify()

    def _end_late(self) -> None:
        while (future := self._next_late()) is not None:
            future.run()
            del future

    def _next_late(self) -> _Future | None:
        with self._lock:
            while True:
                if not self._over:
                    if self._is_closed:
                        return None
                    self._sooner.wait()
                    continue
                future, (over_ns, key) = min(self._over.items(), key=lambda item: item[1][0])
                seconds = (over_ns - time.monotonic_ns()) / 1e9
                if seconds > 0:
                    self._sooner.wait(seconds)
                    continue
                del self._over[future]
                if self._turns.leave(key, future):
                    return future


class Calls:
    """Runs under way in threads that are not ours. Safe for many threads."""

    def __init__(self) -> None:
        self._owner = Owner()
        self._lock = threading.Lock()
        self._none_left = threading.Condition(self._lock)
        self._count = 0
        self._is_closed = False

    def __enter__(self) -> None:
        """One is under way until the `with` ends. Raises `RequestError` once no more are taken."""
        if os.getpid() != self._owner.pid:  # else the lock might be as the fork found it
            self._owner.confirm()
        with self._lock:
            if self._is_closed:
                raise RequestError("the runtime is closed", hint="make another `Runtime`")
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1
            if self._is_closed and not self._count:
                self._none_left.notify_all()

    def refuse(self) -> None:
        """Take no more."""
        with self._lock:
            self._is_closed = True

    def wait(self) -> None:
        """Until none is under way."""
        with self._lock:
            self._none_left.wait_for(lambda: not self._count)
