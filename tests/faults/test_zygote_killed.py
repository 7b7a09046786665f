"""Zygotes that are killed: their runs say whether they began, and the next run has another."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

import orq_runtime as orq

_PID = orq.Step(
    source=(
        "import os\n"
        "def f(fifo: str) -> int:\n"
        "    with open(fifo, 'w') as file:\n"
        "        file.write('here')\n"
        "    while True:\n"
        "        os.sched_yield()\n"
    ),
    function="f",
)
_ONE = orq.Step(source="def f() -> int:\n    return 1\n", function="f")


def _children(pid: int | str = "self") -> set[int]:
    """The children of a process, whichever of its threads has started them."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}
    except FileNotFoundError:  # it is gone
        return set()


def _descendants(pid: int, generations: int) -> set[int]:
    """So many generations below a process; none where one of them has gone meanwhile."""
    found = {pid}
    for _ in range(generations):
        found = {child for one in found for child in _children(one)}
    return found


@pytest.mark.slow
def test_a_killed_zygote_is_replaced(tmp_path: Path) -> None:
    """A run under it has begun and says so; another run starts another zygote."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    before = _children()
    with orq.Runtime(cache_dir=tmp_path / "cache", isolation="process") as runtime:
        future = runtime.submit(_PID, {"fifo": str(fifo)}, check=False)
        assert "here" == fifo.read_text()
        (zygote,) = _children() - before
        os.kill(zygote, signal.SIGKILL)
        outcome = future.result(120)
        again = runtime.run(_ONE)
        stats = runtime.stats()

    assert ("killed", "yes") == (outcome.verdict, outcome.began)
    assert (1, "warm") == (again.value, again.start)
    assert (2, 1) == (stats.starts, stats.deaths)


@pytest.mark.slow
@pytest.mark.parametrize(("isolation", "generations"), [("namespaces", 4), ("process", 2)])
def test_a_run_whose_child_dies_before_it_takes_the_request_gets_another(
    tmp_path: Path, isolation: str, generations: int
) -> None:
    """The step that is parked is stopped, given a run, and killed: the run goes well."""
    before = _children()
    with orq.Runtime(cache_dir=tmp_path / "cache", isolation=isolation, prewarm=[_ONE]) as runtime:
        while not (counted := runtime.stats()).parked:
            threading.Event().wait(0.01)  # nothing tells when it is ready
        (zygote,) = _children() - before
        while not (parked := _descendants(zygote, generations)):
            threading.Event().wait(0.01)  # it was ordered, and is not forked
        for step in parked:
            os.kill(step, signal.SIGSTOP)
        future = runtime.submit(_ONE)
        while runtime.stats().claims == counted.claims:
            threading.Event().wait(0.01)
        for step in parked:
            os.kill(step, signal.SIGKILL)
        outcome = future.result(120)
        stats = runtime.stats()

    assert (1, "yes") == (outcome.value, outcome.began)
    assert (2, 1, 0) == (stats.claims, stats.starts, stats.deaths)


@pytest.mark.slow
def test_a_guest_that_is_killed_while_it_waits_for_orders_is_not_used(tmp_path: Path) -> None:
    """The second environment has one started ahead for the third."""
    before = _children()
    with orq.Runtime(cache_dir=tmp_path / "cache", isolation="process") as runtime:
        runtime.run(_ONE)
        runtime.run(_ONE, limits=orq.Limits(tmp_bytes=1 << 20))
        while len(ours := _children() - before) < 3:
            threading.Event().wait(0.01)  # nothing tells when it is there
        os.kill(max(ours), signal.SIGKILL)
        os.waitid(os.P_PID, max(ours), os.WEXITED | os.WNOWAIT)
        outcome = runtime.run(_ONE, limits=orq.Limits(tmp_bytes=1 << 21))

    assert (1, "warm") == (outcome.value, outcome.start)
