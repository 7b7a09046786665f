"""Zygotes that are killed: their runs say whether they began, and the next run has another."""

from __future__ import annotations

import os
import signal
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


def _zygotes() -> set[int]:
    """The children of this process, whichever thread has started them."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


@pytest.mark.slow
def test_a_killed_zygote_is_replaced(tmp_path: Path) -> None:
    """A run under it has begun and says so; another run starts another zygote."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    before = _zygotes()
    with orq.Runtime(cache_dir=tmp_path / "cache", isolation="process") as runtime:
        future = runtime.submit(_PID, {"fifo": str(fifo)}, check=False)
        assert "here" == fifo.read_text()
        (zygote,) = _zygotes() - before
        os.kill(zygote, signal.SIGKILL)
        outcome = future.result(120)
        again = runtime.run(_ONE)
        stats = runtime.stats()

    assert ("killed", "yes") == (outcome.verdict, outcome.began)
    assert (1, "warm") == (again.value, again.start)
    assert (2, 1) == (stats.starts, stats.deaths)
