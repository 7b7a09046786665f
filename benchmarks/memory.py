"""What a parked child takes: private memory of each pair, and of a thousand of them.

    python -m benchmarks.memory [--quick] [--json FILE]

Rules of this file:

1. Counted is what /proc says of processes that wait for a request: an init of ours and a step.
   Private is what is shared with nobody, so what a further spare costs; the share counts each page
   by the number of those that map it.
2. Page tables and the kernel's own part are in no process: the memory that the machine has
   available is read before and after, for the many.
3. How many are parked is told: it may be fewer than were wanted.
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import contenders, environments, machine, processes, report
from benchmarks.workloads import WORKLOADS, Workload
from orq_runtime import Environment, Runtime, Step

__all__ = ["main"]

_FEW = 8
_MANY, _MANY_EACH = 1000, 250
_NO_CEILING = 64 << 30
_PATIENCE_SECONDS = 60.0
_AVAILABLE = re.compile(r"^MemAvailable:\s*(\d+) kB$", re.MULTILINE)
_SLOW = """
import time


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the result file if one is named."""
    options = report.options(__doc__, arguments, rounds=1, quick_rounds=1)
    before = machine.load_average()
    with environments.scratch("memory") as folder:
        found = [_of(work, folder) for work in WORKLOADS]
        many = _many(folder, 40 if options.quick else _MANY)
    result = report.document(
        "memory",
        load_before=before,
        environments=[environment for _, environment, _ in found],
        settings={"rounds": 1, "spares": _FEW},
        isolation=found[0][2],
        rows=[row for row, _, _ in found],
        many=many,
        figures={"spare": max(_number(row["spare_mb"]) for row, _, _ in found)},
    )
    report.deliver(result, options.json)
    return 0


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value


def _of(work: Workload, folder: Path) -> tuple[dict[str, object], Environment, str]:
    """The pairs of one workload: they are told of the step, as those of a busy pool are."""
    step = contenders.supply(work, folder, folder / "cache")
    with Runtime(cache_dir=folder / "cache", spares=_FEW, concurrency=_FEW) as runtime:
        isolation = runtime.run(step, work.inputs).isolation
        with _parked(runtime, step, work, _FEW):
            pairs = processes.spares(os.getpid())
            inits = [processes.private_bytes(init) / 1e6 for init, _ in pairs]
            steps = [processes.private_bytes(one) / 1e6 for _, one in pairs]
            shares = [
                (processes.share_bytes(init) + processes.share_bytes(one)) / 1e6
                for init, one in pairs
            ]
        both = [init + one for init, one in zip(inits, steps, strict=True)]
        row: dict[str, object] = {
            "work": work.name,
            "n": len(pairs),
            "init_mb": round(statistics.median(inits), 2),
            "step_mb": round(statistics.median(steps), 2),
            "spare_mb": round(statistics.median(both), 2),
            "share_mb": round(statistics.median(shares), 2),
        }
        return row, runtime.supply(step), isolation


@contextlib.contextmanager
def _parked(runtime: Runtime, step: Step, work: Workload, number: int) -> Iterator[None]:
    """So many children parked, after as many runs at once as that takes."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while runtime.stats().parked < number and time.monotonic() < deadline:
        values = [out.value for out in runtime.map(step, [work.inputs] * 2 * number)]
        if values != [work.value] * 2 * number:
            raise RuntimeError(f"`{work.name}` gave `{set(map(str, values))}`")
        _settle([runtime])
    yield


def _settle(runtimes: Sequence[Runtime]) -> None:
    """Wait until what is parked has not changed for a while."""
    before = -1
    while (now := sum(runtime.stats().parked for runtime in runtimes)) != before:
        before = now
        time.sleep(0.5)


def _many(folder: Path, number: int) -> dict[str, object]:
    """As many parked as were wanted at once, in runtimes of at most 250, and what they hold."""
    step = Step(source=_SLOW, function="wait")
    each = min(number, _MANY_EACH)
    with contextlib.ExitStack() as stack:
        runtimes = [
            stack.enter_context(
                Runtime(
                    cache_dir=folder / "cache",
                    spares=each,
                    concurrency=each,
                    parked_bytes=_NO_CEILING,
                )
            )
            for _ in range(number // each)
        ]
        for runtime in runtimes:
            runtime.run(step, {"seconds": 0.0})
        _settle(runtimes)
        before = _available_mb()
        for runtime in runtimes:
            _want(runtime, step, each)
        _settle(runtimes)
        after = _available_mb()
        pairs = processes.spares(os.getpid())
        return {
            "wanted": number,
            "parked": sum(runtime.stats().parked for runtime in runtimes),
            "private_mb": round(sum(_private_mb(pair) for pair in pairs), 1),
            "share_mb": round(sum(_share_mb(pair) for pair in pairs), 1),
            "machine_mb": round(before - after, 1),
        }


def _want(runtime: Runtime, step: Step, number: int) -> None:
    """So many runs at once, each of which lasts until the last one has its child."""
    wait = {"seconds": 0.5 + number / 100}
    outcomes = runtime.map(step, [wait] * number)
    if [out.value for out in outcomes] != [wait["seconds"]] * number:
        raise RuntimeError("a run gave a wrong value")


def _private_mb(pair: tuple[int, int]) -> float:
    return sum(map(processes.private_bytes, pair)) / 1e6


def _share_mb(pair: tuple[int, int]) -> float:
    return sum(map(processes.share_bytes, pair)) / 1e6


def _available_mb() -> float:
    found = _AVAILABLE.search(Path("/proc/meminfo").read_text("ascii"))
    assert found is not None
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(report.ended(main))
