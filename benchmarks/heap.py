"""What the size of a zygote's heap costs: a hot run, a fork, an exit.

    python -m benchmarks.heap [--quick] [--rounds N] [--json FILE]

Rules of this file:

1. The function is the same everywhere; what differs is what its module imports, and so what the
   zygote has preloaded: nothing more, NumPy, NumPy and scikit-learn, or so many MB of objects.
2. `hot` is a call on a parked child, 20 a second. `forked for the call` is one with nothing parked.
   Processor time and minor faults are of everything, from the fork to the exit, host included, and
   of runs that follow one another at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import statistics
import sys
import time
import zipfile
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import contenders, environments, machine, processes, report
from benchmarks.report import turns_of
from benchmarks.workloads import WORKLOADS, Workload
from orq_runtime import Environment, Runtime, Step
from orq_runtime.cli.measuring import Contender, measure, median_ratio

__all__ = ["main"]

_ROUNDS = 8
_SEED = 11
_RUNS = 40
_HOT = "hot"
_FORKED = "forked for the call"
_BALLAST_MB = (50, 200)
_BALLAST = "DATA = [bytes(1000) for _ in range({count})]\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heap:
    """One size: runtimes with and without spares, and the processor's part of it."""

    work: Workload
    step: Step
    runtime: Runtime
    bare: Runtime
    zygote_mb: float

    def contenders(self, isolation: str) -> Iterator[Contender]:
        """Both ways to call it."""
        for name, runtime in ((_HOT, self.runtime), (_FORKED, self.bare)):

            def call(runtime: Runtime = runtime) -> float:
                started = time.perf_counter()
                outcome = runtime.run(self.step, self.work.inputs)
                seconds = time.perf_counter() - started
                contenders.checked(self.work, outcome, "hot", isolation)
                return seconds

            yield Contender(name=name, work=self.work.name, pace="paced", call=call)

    def spend(self, runs: int) -> processes.Spent:
        """What a run uses in all, on the average of so many."""
        before = processes.spent(os.getpid())
        for _ in range(runs):
            if self.runtime.run(self.step, self.work.inputs).value != self.work.value:
                raise RuntimeError(f"`{self.work.name}` gave a wrong value")
        time.sleep(0.1)  # the last one's end is behind its caller
        return processes.spent(os.getpid()).since(before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the result file if one is named."""
    options = report.options(__doc__, arguments, rounds=_ROUNDS)
    before = machine.load_average()
    runs = 8 if options.quick else _RUNS
    spends: dict[str, list[processes.Spent]] = defaultdict(list)
    with _heaps() as (heaps, environment, isolation):
        told = report.counted(options.rounds)
        field = [*contenders.bare(environment.interpreter.path)[:1]]
        field += [one for heap in heaps for one in heap.contenders(isolation)]

        def after_a_round(number: int) -> None:
            for heap in heaps:
                spends[heap.work.name].append(heap.spend(runs))
            told(number)

        measured = measure(field, options.rounds, seed=_SEED, told=after_a_round)
    hot = {heap.work.name: turns_of(measured, _HOT, heap.work.name, "paced") for heap in heaps}
    result = report.document(
        "heap",
        load_before=before,
        environments=[environment],
        settings={"rounds": options.rounds, "seed": _SEED, "runs_in_a_turn": runs},
        isolation=isolation,
        rows=report.rows(measured, contenders.BARE),
        heaps=[_spending(heap, spends[heap.work.name], runs) for heap in heaps],
        figures={"preloaded": median_ratio(hot["scikit-learn"], hot["hello"])},
    )
    report.deliver(result, options.json)
    return 0


def _spending(heap: _Heap, spends: Sequence[processes.Spent], runs: int) -> Mapping[str, object]:
    return {
        "work": heap.work.name,
        "zygote_mb": round(heap.zygote_mb, 1),
        "cpu_ms": round(statistics.median(one.cpu_seconds for one in spends) / runs * 1000, 3),
        "minor_faults": round(statistics.median(one.minor_faults for one in spends) / runs, 1),
    }


@contextlib.contextmanager
def _heaps() -> Iterator[tuple[list[_Heap], Environment, str]]:
    with environments.scratch("heap") as folder, contextlib.ExitStack() as stack:
        links = folder / "wheels"
        links.mkdir()
        for size in _BALLAST_MB:
            _write_ballast(links, size)
        heaps = [_heap(work, folder, links, stack) for work in _works()]
        first = heaps[0]
        environment = heaps[2].runtime.supply(heaps[2].step)
        yield heaps, environment, first.runtime.run(first.step, first.work.inputs).isolation


def _works() -> Iterator[Workload]:
    hello = WORKLOADS[0]
    yield hello
    for name, needs, imports in (
        ("numpy", ("numpy",), "import numpy"),
        ("scikit-learn", ("numpy", "scikit-learn"), "import numpy\nimport sklearn.linear_model"),
        *(
            (f"ballast of {size} MB", (f"orq-ballast-{size}==1.0",), f"import orq_ballast_{size}")
            for size in _BALLAST_MB
        ),
    ):
        yield replace(
            hello,
            name=name,
            requirements=(*hello.requirements, *needs),
            source=f"{imports}\n{hello.source}",
        )


def _heap(work: Workload, folder: Path, links: Path, stack: contextlib.ExitStack) -> _Heap:
    place = folder / work.name.replace(" ", "_")
    step = Step(file=replace(work, name="heap").write_component(place), function=work.function)
    before = set(processes.under(os.getpid()))
    found = []
    for spares in (4, 0):
        runtime = stack.enter_context(
            Runtime(cache_dir=folder / "cache", find_links=[str(links)], spares=spares)
        )
        for _ in range(2):
            runtime.run(step, work.inputs)
        found.append(runtime)
    new = [pid for pid in processes.under(os.getpid()) if pid not in before]
    largest = max(_resident_mb(pid) for pid in new)
    return _Heap(work=work, step=step, runtime=found[0], bare=found[1], zygote_mb=largest)


def _resident_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


def _write_ballast(folder: Path, size: int) -> None:
    """A wheel whose one module holds so many MB of small objects once it is imported."""
    name = f"orq_ballast_{size}"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": _BALLAST.format(count=size * 1_000_000 // 1033),  # with their headers
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: orq\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = [f"{path},{_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def _digest(text: str) -> str:
    digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.rstrip(b'=').decode()}"


if __name__ == "__main__":
    sys.exit(report.ended(main))
