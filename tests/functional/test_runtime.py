"""The facades' own promises: futures, cancelling, order, closing, and what raises."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime import errors
from orq_runtime.model.outcome import Usage
from orq_runtime.model.plan import StartMode
from orq_runtime.model.verdict import VERDICTS
from tests.supply_fixtures import make_component, make_wheel

_DOUBLE = orq.Step(source="def f(n: int) -> int:\n    return 2 * n\n", function="f")
_WAITS = orq.Step(
    source=(
        "import os, time\n"
        "def f(fifo: str) -> None:\n"
        "    with open(fifo, 'w') as file:\n"
        "        file.write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    ),
    function="f",
)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A pipe on which a step says that it is under way."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _is_gone(pid: int) -> bool:
    """Whether it is dead; burying it may be the machine's init's, who takes its time under load."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], 0)[0])
    finally:
        os.close(pidfd)


def test_run_returns_or_raises_with_the_outcome(cache_dir: Path, start: StartMode) -> None:
    """`run` returns what is ok; else it raises the verdict's class, with the outcome."""
    with orq.Runtime(cache_dir=cache_dir, start=start) as runtime:
        assert 4 == runtime.run(_DOUBLE, {"n": 2}).value
        with pytest.raises(errors.WrongArgument) as caught:
            runtime.run(_DOUBLE, {"n": "2"})

    assert caught.value.outcome is not None
    assert "wrong_type" == caught.value.outcome.verdict


def test_every_verdict_but_ok_raises_its_own_class() -> None:
    """The table gives each verdict an exception, and the exception the outcome."""
    for name, row in VERDICTS.items():
        outcome = orq.Outcome(verdict=name, usage=Usage(wall_seconds=0.0))
        error = outcome.error()
        if name == "ok":
            assert error is None
        else:
            assert type(error) is row.raises
            assert error is not None
            assert error.outcome is outcome


def test_a_second_run_is_hot(cache_dir: Path) -> None:
    """The first run of a runtime starts a zygote, the next finds a child parked."""
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        runtime.supply(_DOUBLE)
        starts = [runtime.run(_DOUBLE, {"n": 1}).start for _ in range(3)]

    assert ["warm", "hot", "hot"] == starts


def test_submit_gives_a_future(cache_dir: Path, start: StartMode) -> None:
    """A submitted run's outcome, or its error, comes through a `concurrent.futures.Future`."""
    with orq.Runtime(cache_dir=cache_dir, start=start) as runtime:
        futures = [runtime.submit(_DOUBLE, {"n": n}) for n in range(6)]
        bad = runtime.submit(_DOUBLE, {"n": "x"})
        done, waiting = concurrent.futures.wait([*futures, bad], timeout=60)

        assert (7, 0) == (len(done), len(waiting))
        assert [0, 2, 4, 6, 8, 10] == [future.result().value for future in futures]
        assert isinstance(bad.exception(), errors.WrongArgument)


def test_cancelling_a_future_kills_its_run(cache_dir: Path, start: StartMode, fifo: Path) -> None:
    """`cancel` works while the run is under way, and its process is dead soon after."""
    with orq.Runtime(cache_dir=cache_dir, start=start, isolation="process") as runtime:
        future = runtime.submit(_WAITS, {"fifo": str(fifo)})
        pid = int(fifo.read_text())
        was_running = future.running()

        assert (True, True, True) == (was_running, future.cancel(), future.cancelled())
        concurrent.futures.wait([future], timeout=60)
        assert _is_gone(pid)


def test_cancelling_a_task_kills_its_run(cache_dir: Path, start: StartMode, fifo: Path) -> None:
    """A cancelled task goes on, as cancelled, when its run's process is dead."""

    async def main() -> int:
        async with orq.AsyncRuntime(
            cache_dir=cache_dir, start=start, isolation="process"
        ) as runtime:
            task = asyncio.ensure_future(runtime.run(_WAITS, {"fifo": str(fifo)}))
            pid = int(await asyncio.to_thread(fifo.read_text))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert _is_gone(pid)
            return pid

    assert asyncio.run(main()) > 0


def test_map_keeps_order_and_raises_at_the_failing_item(cache_dir: Path) -> None:
    """Outcomes come in the order of the inputs; the failing one raises in its place."""
    inputs: list[dict[str, object]] = [{"n": n} for n in range(20)]
    inputs[15] = {"n": "fifteen"}
    seen: list[object] = []
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        outcomes = runtime.map(_DOUBLE, inputs)
        seen += [next(outcomes).value for _ in range(15)]
        with pytest.raises(errors.WrongArgument):
            next(outcomes)

    assert [2 * n for n in range(15)] == seen


def test_async_map_keeps_order(cache_dir: Path) -> None:
    """The same through asyncio."""

    async def main() -> list[object]:
        async with orq.AsyncRuntime(cache_dir=cache_dir) as runtime:
            inputs = [{"n": n} for n in range(20)]
            return [outcome.value async for outcome in runtime.map(_DOUBLE, inputs)]

    assert [2 * n for n in range(20)] == asyncio.run(main())


def test_closing_ends_runs_under_way(cache_dir: Path, start: StartMode, fifo: Path) -> None:
    """Nothing of a runtime lives on after `close`."""
    runtime = orq.Runtime(cache_dir=cache_dir, start=start, isolation="process")
    future = runtime.submit(_WAITS, {"fifo": str(fifo)})
    pid = int(fifo.read_text())

    runtime.close()

    assert (True, True) == (future.cancelled(), _is_gone(pid))
    with pytest.raises(errors.OrqRuntimeError):
        runtime.run(_DOUBLE, {"n": 1})


def test_many_threads_share_a_runtime(cache_dir: Path) -> None:
    """Runs from many threads at once all end with their own values."""
    values: list[object] = []
    with orq.Runtime(cache_dir=cache_dir) as runtime:

        def work(n: int) -> None:
            values.append(runtime.run(_DOUBLE, {"n": n}).value)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert 12 == len(values)
    assert {2 * n for n in range(12)} == set(values)


def test_a_second_environment_does_not_wait_for_the_first(cache_dir: Path, tmp_path: Path) -> None:
    """What one environment's lease holds is no obstacle to making another with the same support."""
    make_wheel(make_component(tmp_path / "part", {}) / "vendor", "alone", "1.0")
    step = orq.Step(
        source="import alone\ndef f() -> str:\n    return alone.__name__\n",
        function="f",
        components=[tmp_path / "part"],
    )
    with orq.Runtime(cache_dir=cache_dir, offline=True) as runtime:
        runtime.run(_DOUBLE, {"n": 1})
        outcome = runtime.run(step)

    assert ("alone", "cold") == (outcome.value, outcome.start)


def test_the_default_is_the_strongest_wall(cache_dir: Path) -> None:
    """Without a word about it a run is confined, and its outcome says how."""
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        assert runtime.run(_DOUBLE, {"n": 1}).isolation in ("namespaces", "landlock")


@pytest.mark.parametrize(
    "make",
    [
        lambda: orq.Step(function="f"),
        lambda: orq.Step("a.py", "f", source="x"),
        lambda: orq.Step("a.py"),
        lambda: orq.Step(source="x", function="f", requirements="numpy"),
        lambda: orq.Limits(wall_seconds=0),
        lambda: orq.Limits(wall_seconds=float("nan")),
        lambda: orq.Limits(result_bytes=True),
        lambda: orq.Runtime(isolation="none"),
    ],
)
def test_bad_requests_are_refused_when_made(make: Callable[[], object]) -> None:
    """What cannot be meant is refused at once, as the caller's error."""
    with pytest.raises(errors.RequestError):
        make()


def test_a_missing_file_is_not_found(cache_dir: Path, tmp_path: Path) -> None:
    """A step whose file is not there is the caller's error; nothing is supplied."""
    step = orq.Step(file=tmp_path / "none.py", function="f")
    with orq.Runtime(cache_dir=cache_dir) as runtime, pytest.raises(errors.NotFound) as caught:
        runtime.run(step)

    assert str(tmp_path / "none.py") in caught.value.message


def test_descriptors_and_children_are_as_before(cache_dir: Path, start: StartMode) -> None:
    """Runs leave no descriptor open and no child unreaped."""
    held, children = _descriptors(), _children()
    with orq.Runtime(cache_dir=cache_dir, start=start) as runtime:
        for _ in range(5):
            runtime.run(_DOUBLE, {"n": 1})

    assert held == _descriptors()
    assert children == _children()


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
