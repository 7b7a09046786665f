"""A step as a `concurrent.futures.Executor`: for code that knows executors and nothing of us."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar  # Any: what a step returns is known to its author

from orq_runtime.errors import RequestError, RuntimeSaturated

__all__ = ["StepExecutor", "checked_size", "in_chunks"]

R = TypeVar("R")


class StepExecutor(concurrent.futures.Executor):
    """Runs one step. Futures give what the function returned, or raise as `Runtime.run` does.

    Where an executor takes a function this one takes the inputs of a run, as a mapping, by keyword,
    or both. `shutdown` ends the executor and not its runtime.
    """

    def __init__(self, start: Callable[[Mapping[str, object]], Future[Any]]) -> None:
        """`start` starts a run; its future gives the value."""
        self._start = start
        self._lock = threading.Lock()
        self._pending: set[Future[Any]] = set()
        self._is_shut = False

    def submit(  # what the function of an executor is to another, inputs are here
        self, inputs: object = None, /, *others: object, **named: object
    ) -> Future[Any]:
        """Start a run with these inputs; its future's `cancel` kills it."""
        if others:
            raise RequestError("a run's inputs are one mapping, or keywords")
        with self._lock:
            if self._is_shut:
                # what whoever uses an executor expects of one
                raise RuntimeError("cannot schedule new futures after shutdown")
        future = self._start(_joined(inputs, named))
        with self._lock:
            self._pending.add(future)
        future.add_done_callback(self._forget)
        return future

    def map(
        self,
        inputs: object,
        /,
        *others: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """What the function returns for each of the inputs, mappings all, in their order.

        All runs are started now, as far as the runtime takes them; `chunksize` means nothing, for
        each run has its own process. Raises `TimeoutError` when a value is not there in time.
        """
        if others or not isinstance(inputs, Iterable) or isinstance(inputs, Mapping | str):
            raise RequestError("`map` takes one iterable of mappings, the inputs of each run")
        checked_size(chunksize)
        over = None if timeout is None else time.monotonic() + timeout
        ahead: collections.deque[Future[Any]] = collections.deque()
        for one in inputs:
            ahead.append(self._patiently(one, ahead))
        return _values(ahead, over)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more runs; wait for those that were started, or cancel those that wait."""
        with self._lock:
            self._is_shut = True
            pending = list(self._pending)
        for future in pending if cancel_futures else ():
            if not future.running():
                future.cancel()
        if wait:
            concurrent.futures.wait(pending)

    def _patiently(self, one: object, ahead: Iterable[Future[Any]]) -> Future[Any]:
        while True:
            try:
                return self.submit(one)
            except RuntimeSaturated:
                first = next((future for future in ahead if not future.done()), None)
                if first is None:
                    raise
                concurrent.futures.wait([first])

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._pending.discard(future)


def _joined(inputs: object, named: Mapping[str, object]) -> Mapping[str, object]:
    if inputs is None:
        return named
    if not isinstance(inputs, Mapping):
        raise RequestError(
            f"inputs are a mapping, not: `{type(inputs).__name__}`",
            hint="the step is the executor's own: `submit({...})` or `submit(name=...)`",
        )
    if twice := sorted(inputs.keys() & named.keys()):
        raise RequestError(f"an input is given twice: `{twice[0]}`")
    return {**inputs, **named}


def _values(ahead: collections.deque[Future[Any]], over: float | None) -> Iterator[Any]:
    try:
        while ahead:
            left = None if over is None else over - time.monotonic()
            value = ahead[0].result(left)
            ahead.popleft()
            yield value
    finally:
        for future in ahead:
            future.cancel()


def in_chunks(
    start: Callable[[list[Mapping[str, object]]], Future[list[R | Exception]]],
    inputs: Iterable[Mapping[str, object]],
    size: int,
    *,
    ahead: int,
    is_ordered: bool,
) -> Iterator[R]:
    """What the runs of all inputs give, `size` of them started at a time and `ahead` such chunks.

    Raises at the failing one. What is under way when nobody wants more is cancelled.
    """
    return _in_chunks(start, iter(inputs), checked_size(size), ahead, is_ordered=is_ordered)


def checked_size(size: int) -> int:
    """How many runs make a chunk. Raises `RequestError`."""
    if type(size) is not int or size < 1:
        raise RequestError(f"`chunksize` is a number over 0, not: `{size!r}`")
    return size


def _in_chunks(
    start: Callable[[list[Mapping[str, object]]], Future[list[R | Exception]]],
    inputs: Iterator[Mapping[str, object]],
    size: int,
    ahead: int,
    *,
    is_ordered: bool,
) -> Iterator[R]:
    pending: dict[Future[list[R | Exception]], None] = {}
    ended: queue.SimpleQueue[Future[list[R | Exception]]] = queue.SimpleQueue()
    chunk = list(itertools.islice(inputs, size))
    try:
        while chunk or pending:
            while chunk and len(pending) < ahead:
                try:
                    future = start(chunk)
                except RuntimeSaturated:
                    if not pending:
                        raise
                    break  # others wait too: go on when one of ours is over
                pending[future] = None
                if not is_ordered:
                    future.add_done_callback(ended.put)
                chunk = list(itertools.islice(inputs, size))
            future = next(iter(pending)) if is_ordered else ended.get()
            for found in future.result():
                if isinstance(found, Exception):
                    raise found
                yield found
            del pending[future]
    finally:
        for future in pending:
            future.cancel()
