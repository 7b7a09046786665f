"""What an engine needs of a runtime: turns, back-pressure, executors, deadlines, draining."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # Any: what must not be given

import pytest

import orq_runtime as orq
from orq_runtime import errors

_DOUBLE = orq.Step(source="def f(n: int) -> int:\n    return 2 * n\n", function="f")
_WAITS = orq.Step(
    source=(
        "def f(fifo: str, n: int = 0) -> int:\n"
        "    with open(fifo) as file:\n"
        "        file.read()\n"
        "    return n\n"
    ),
    function="f",
)
_LONG = 120


class _Gate:
    """Runs of `_WAITS` stand at it until it is opened."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.inputs = {"fifo": str(path)}
        self._path = path

    def wait(self) -> int:
        """Until a run stands there; opening is closing the descriptor."""
        return os.open(self._path, os.O_WRONLY)


@pytest.fixture
def gate(tmp_path: Path) -> _Gate:
    """A closed gate."""
    return _Gate(tmp_path / "gate")


@pytest.fixture
def narrow(cache_dir: Path) -> Iterator[orq.Runtime]:
    """A runtime with one turn and room for one that waits."""
    with orq.Runtime(cache_dir=cache_dir, isolation="process", concurrency=1, queue=1) as runtime:
        yield runtime


def test_a_full_queue_refuses(narrow: orq.Runtime, gate: _Gate) -> None:
    """One run under way and one that waits: a third is refused, as retryable, and nothing else."""
    first = narrow.submit(_WAITS, gate.inputs)
    opened = gate.wait()
    second = narrow.submit(_DOUBLE, {"n": 2})
    waiting = narrow.stats().waiting
    with pytest.raises(errors.RuntimeSaturated) as caught:
        narrow.submit(_DOUBLE, {"n": 3})
    os.close(opened)

    assert (1, True) == (waiting, caught.value.retryable)
    assert (0, 4) == (first.result(_LONG).value, second.result(_LONG).value)


def test_a_run_that_waits_can_be_cancelled(narrow: orq.Runtime, gate: _Gate) -> None:
    """It leaves the queue at once, whoever waits for it is told, and its place is free."""
    first = narrow.submit(_WAITS, gate.inputs)
    opened = gate.wait()
    second = narrow.submit(_DOUBLE, {"n": 2})
    assert second.cancel()
    done, _ = concurrent.futures.wait([second], timeout=_LONG)
    third = narrow.submit(_DOUBLE, {"n": 3})
    os.close(opened)

    assert ({second}, True) == (done, second.cancelled())
    assert (0, 6) == (first.result(_LONG).value, third.result(_LONG).value)


def test_a_deadline_counts_while_a_run_waits(narrow: orq.Runtime, gate: _Gate) -> None:
    """A run whose time is over before its turn ends then, and has not begun."""
    first = narrow.submit(_WAITS, gate.inputs)
    opened = gate.wait()
    late = narrow.submit(_DOUBLE, {"n": 2}, timeout=0.05)
    with pytest.raises(errors.DeadlineExceeded) as caught:
        late.result(_LONG)
    is_first_still_there = not first.done()
    os.close(opened)

    assert is_first_still_there
    assert caught.value.outcome is not None
    assert "no" == caught.value.outcome.began
    assert 0 == first.result(_LONG).value


def test_a_deadline_covers_the_run(narrow: orq.Runtime, gate: _Gate) -> None:
    """What `timeout` leaves for the run itself is its limit."""
    narrow.run(_DOUBLE, {"n": 1})
    outcome = narrow.run(_WAITS, gate.inputs, timeout=1, check=False)

    assert "timeout" == outcome.verdict


def test_steps_take_turns(cache_dir: Path, gate: _Gate) -> None:
    """One run of a step does not stand behind all that another step has asked for before."""
    order: list[object] = []
    other = orq.Step(source="def f(n: int) -> int:\n    return n\n", function="f")
    with orq.Runtime(cache_dir=cache_dir, isolation="process", concurrency=1) as runtime:
        futures = [runtime.submit(_WAITS, gate.inputs)]
        opened = gate.wait()
        for step, n in [(_DOUBLE, 1), (_DOUBLE, 2), (_DOUBLE, 3), (other, 100)]:
            future = runtime.submit(step, {"n": n})
            future.add_done_callback(lambda done: order.append(done.result().value))
            futures.append(future)
        os.close(opened)
        concurrent.futures.wait(futures, timeout=_LONG)

    assert [2, 100, 4, 6] == order


@pytest.mark.parametrize("facade", ["sync", "async"])
@pytest.mark.parametrize("drain", [True, False])
def test_closing_drains_or_kills(cache_dir: Path, gate: _Gate, facade: str, drain: bool) -> None:
    """`close(drain=True)` waits for what was asked for; without it that ends as cancelled."""
    if facade == "sync":
        values = _closed(cache_dir, gate, drain=drain)
    else:
        values = asyncio.run(_closed_async(cache_dir, gate, drain=drain))

    assert ([7, 14] if drain else [None, None]) == values


def _closed(cache_dir: Path, gate: _Gate, *, drain: bool) -> list[object]:
    runtime = orq.Runtime(cache_dir=cache_dir, isolation="process", concurrency=1)
    first = runtime.submit(_WAITS, {**gate.inputs, "n": 7})
    second = runtime.submit(_DOUBLE, {"n": 7})
    opened = gate.wait()
    closing = threading.Thread(target=lambda: runtime.close(drain=drain))
    closing.start()
    if not drain:
        closing.join()
    os.close(opened)
    closing.join()
    with pytest.raises(errors.RequestError):
        runtime.submit(_DOUBLE, {"n": 1})
    return [None if one.cancelled() else one.result(0).value for one in (first, second)]


async def _closed_async(cache_dir: Path, gate: _Gate, *, drain: bool) -> list[object]:
    runtime = orq.AsyncRuntime(cache_dir=cache_dir, isolation="process", concurrency=1)
    tasks = [
        runtime.submit(_WAITS, {**gate.inputs, "n": 7}),
        runtime.submit(_DOUBLE, {"n": 7}),
    ]
    opened = await asyncio.to_thread(gate.wait)
    closing = asyncio.ensure_future(runtime.close(drain=drain))
    if not drain:
        await closing
    os.close(opened)
    await closing
    with pytest.raises(errors.RequestError):
        await runtime.submit(_DOUBLE, {"n": 1})
    return [None if task.cancelled() else task.result().value for task in tasks]


def test_async_runs_wait_in_a_bounded_queue(cache_dir: Path, gate: _Gate) -> None:
    """The same back-pressure and the same deadline in an event loop."""

    async def main() -> list[str]:
        async with orq.AsyncRuntime(
            cache_dir=cache_dir, isolation="process", concurrency=1, queue=1
        ) as runtime:
            first = runtime.submit(_WAITS, gate.inputs)
            opened = await asyncio.to_thread(gate.wait)
            late = runtime.submit(_DOUBLE, {"n": 1}, timeout=0.05, check=False)
            await asyncio.sleep(0)  # so that it stands in the queue
            with pytest.raises(errors.RuntimeSaturated):
                await runtime.run(_DOUBLE, {"n": 2})
            verdict = (await late).verdict
            os.close(opened)
            return [verdict, (await first).verdict]

    assert ["timeout", "ok"] == asyncio.run(main())


def test_a_hot_run_in_an_event_loop_needs_no_thread(cache_dir: Path) -> None:
    """Once a child is parked and forked, the loop's own threads are asked for nothing."""

    async def main() -> str:
        async with orq.AsyncRuntime(cache_dir=cache_dir) as runtime:
            await runtime.run(_DOUBLE, {"n": 1})
            loop = asyncio.get_running_loop()
            none_left = concurrent.futures.ThreadPoolExecutor(1)
            none_left.shutdown()
            loop.set_default_executor(none_left)
            start = ""
            while not start:
                try:
                    start = (await runtime.run(_DOUBLE, {"n": 1})).start
                except RuntimeError:  # a thread was asked for: the child is not forked yet
                    await asyncio.sleep(0)
            loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
            return start

    assert "hot" == asyncio.run(main())


def test_map_gives_outcomes_as_they_come(cache_dir: Path, gate: _Gate) -> None:
    """`ordered=False` does not wait for the slowest, and every input has its outcome."""
    step = orq.Step(
        source=(
            "def f(n: int, fifo: str) -> int:\n"
            "    if n == 0:\n"
            "        open(fifo).read()\n"
            "    return n\n"
        ),
        function="f",
    )
    with orq.Runtime(cache_dir=cache_dir, isolation="process", concurrency=2) as runtime:
        outcomes = runtime.map(step, ({**gate.inputs, "n": n} for n in range(6)), ordered=False)
        early = [next(outcomes).value for _ in range(3)]
        os.close(gate.wait())
        late = [outcome.value for outcome in outcomes]

    assert 0 not in early
    assert {0, 1, 2, 3, 4, 5} == {*early, *late}


@pytest.mark.parametrize("ordered", [True, False])
def test_map_takes_chunks(cache_dir: Path, ordered: bool) -> None:
    """Chunks change neither what comes nor that a failing item raises in its place."""
    inputs: list[dict[str, object]] = [{"n": n} for n in range(8)]
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        outcomes = list(runtime.map(_DOUBLE, inputs, chunksize=3, ordered=ordered))
        failing = runtime.map(_DOUBLE, [*inputs[:2], {"n": "x"}], chunksize=3)
        before = [next(failing).value, next(failing).value]
        with pytest.raises(errors.WrongArgument):
            next(failing)

    assert [0, 2, 4, 6, 8, 10, 12, 14] == sorted(int(str(one.value)) for one in outcomes)
    assert [0, 2] == before


def test_an_executor_of_a_step(cache_dir: Path) -> None:
    """It is an `Executor`: futures of values, errors through them, `map` in order, a `with`."""
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        with runtime.executor(_DOUBLE) as executor:
            assert isinstance(executor, concurrent.futures.Executor)
            futures = [executor.submit({"n": 2}), executor.submit(n=3)]
            bad = executor.submit(n="x")
            mapped = list(executor.map([{"n": n} for n in range(5)]))
            with pytest.raises(errors.RequestError):
                executor.submit(print, 1)
        with pytest.raises(RuntimeError):
            executor.submit(n=1)
        assert 8 == runtime.run(_DOUBLE, {"n": 4}).value

    assert ([4, 6], [0, 2, 4, 6, 8]) == ([one.result() for one in futures], mapped)
    assert isinstance(bad.exception(), errors.WrongArgument)


def test_an_event_loop_can_use_the_executor(cache_dir: Path) -> None:
    """`run_in_executor` hands the inputs on."""

    async def main(runtime: orq.Runtime) -> object:
        loop = asyncio.get_running_loop()
        return await asyncio.wrap_future(runtime.executor(_DOUBLE).submit({"n": 21}), loop=loop)

    with orq.Runtime(cache_dir=cache_dir) as runtime:
        assert 42 == asyncio.run(main(runtime))


def test_an_executor_is_what_the_standard_library_expects(cache_dir: Path, gate: _Gate) -> None:
    """`as_completed`, `wait`, `run_in_executor`; `map` in time or not; a shutdown that cancels."""

    async def in_loop(executor: concurrent.futures.Executor) -> list[object]:
        loop = asyncio.get_running_loop()
        asked: list[Any] = [{"n": n} for n in range(5)]  # where it expects a function
        return list(await asyncio.gather(*(loop.run_in_executor(executor, one) for one in asked)))

    with orq.Runtime(cache_dir=cache_dir, isolation="process", concurrency=2) as runtime:
        executor = runtime.executor(_DOUBLE)
        futures = [executor.submit(n=n) for n in range(5)]
        completed = sorted(one.result() for one in concurrent.futures.as_completed(futures, _LONG))
        waited = concurrent.futures.wait([executor.submit(n=9)], timeout=_LONG)
        looped = asyncio.run(in_loop(executor))
        waits = runtime.executor(_WAITS)
        with pytest.raises(TimeoutError):
            list(waits.map([gate.inputs] * 4, timeout=0.05))
        left = [waits.submit(gate.inputs) for _ in range(6)]
        opened = gate.wait()
        waits.shutdown(wait=False, cancel_futures=True)
        cancelled = sum(future.cancelled() for future in left)
        os.close(opened)
        for future in left:
            future.cancel()

    assert ([0, 2, 4, 6, 8], [0, 2, 4, 6, 8]) == (completed, looped)
    assert (1, 0) == (len(waited.done), len(waited.not_done))
    assert cancelled >= 4


def test_thousands_that_wait_can_be_cancelled(cache_dir: Path) -> None:
    """At once, whoever is told of it meanwhile and whatever that raises; others then run."""

    def fail(_: object) -> None:
        raise ValueError("a callback's own affair")

    with orq.Runtime(cache_dir=cache_dir, isolation="process", concurrency=1) as runtime:
        runtime.run(_DOUBLE, {"n": 1})
        futures = [runtime.submit(_DOUBLE, {"n": n}) for n in range(3000)]
        futures[-1].add_done_callback(fail)
        for future in reversed(futures):
            future.cancel()
        done, not_done = concurrent.futures.wait(futures, timeout=_LONG)

        assert (3000, 0) == (len(done), len(not_done))
        assert 0 == runtime.stats().waiting
        assert 4 == runtime.submit(_DOUBLE, {"n": 2}).result(_LONG).value


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "1"])
def test_a_deadline_that_is_none_is_refused(cache_dir: Path, timeout: Any) -> None:
    """Before anything is supplied; a huge one that is a time is one."""
    with orq.Runtime(cache_dir=cache_dir, isolation="process") as runtime:
        with pytest.raises(errors.RequestError, match="`timeout`"):
            runtime.run(_DOUBLE, {"n": 1}, timeout=timeout)
        with pytest.raises(errors.RequestError, match="`timeout`"):
            runtime.submit(_DOUBLE, {"n": 1}, timeout=timeout)
        stats = runtime.stats()

    assert (0, 0) == (stats.starts, stats.claims)
