"""What a hot run costs in figures that a busy machine does not change.

    python -m benchmarks.gates [--quick] [--rounds N] [--json FILE]

Minor faults, system calls, instructions and processor time of a run: of everything, host, zygote,
init and step, from the order of its child to the end of it.

Rules of this file:

1. A contender is a process of its own, under `perf stat`, once with few runs and once with more;
   the difference over the difference of the runs is what a run costs.
2. Without `perf` processor time and faults are what the kernel tells of the ended process and all
   that it buried. What cannot be counted on a machine is null and has its reason: instructions need
   counters that most virtual machines do not have, system calls need root.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import contenders, environments, machine, report, rivals
from benchmarks.workloads import WORKLOADS, Workload
from orq_runtime import Runtime, Step

__all__ = ["main"]

_ROUNDS = 4
_SEED = 13
_FEW, _MANY = 20, 140
_TIMES = {rivals.POOL_REUSED: 20}  # a call of it costs too little to be seen beside its start
_EVENTS = {
    "raw_syscalls:sys_enter": "system_calls",
    "minor-faults": "minor_faults",
    "task-clock": "cpu_ms",
    "instructions:u": "instructions",
}
_NAMES = tuple(_EVENTS.values())
_OURS = {"orq hot": "auto", "orq hot, unconfined": "process"}
_PEERS: Mapping[str, Callable[[rivals.Bench], rivals.AsPeer]] = {
    rivals.POOL_REUSED: lambda bench: bench.pool(tasks=0),
    rivals.POOL_SINGLE_USE: lambda bench: bench.pool(tasks=1),
    "multiprocessing, fork": lambda bench: bench.process("fork"),
    rivals.FORKS: lambda bench: bench.forks(1),
}

Counts = dict[str, float | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the result file if one is named."""
    options = report.options(__doc__, arguments, rounds=_ROUNDS, quick_rounds=1, add=_add)
    if options.measure is not None:
        _run(options.measure, options.runs, Path(options.folder))
        return 0
    before = machine.load_average()
    few, many = (10, 40) if options.quick else (_FEW, _MANY)
    work = WORKLOADS[0]
    with environments.scratch("gates") as folder:
        step = contenders.supply(work, folder, folder / "cache")
        with Runtime(cache_dir=folder / "cache") as runtime:
            environment = runtime.supply(step)
            isolation = runtime.run(step, work.inputs).isolation
        rivals.bench_of(work, folder, environment.interpreter.path)
        counted = _counted(folder, options.rounds, few, many)
    result = report.document(
        "gates",
        load_before=before,
        environments=[environment],
        settings={"rounds": options.rounds, "seed": _SEED, "runs": [few, many]},
        isolation=isolation,
        rows=[_row(name, costs) for name, costs in counted.items()],
        not_counted=_not_counted(counted),
    )
    report.deliver(result, options.json)
    return 0


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)


def _row(name: str, costs: Sequence[Counts]) -> dict[str, object]:
    row: dict[str, object] = {"contender": name, "n": len(costs)}
    for event in _NAMES:
        found = [cost[event] for cost in costs]
        known = [number for number in found if number is not None]
        row[event] = round(statistics.median(known), 3) if known else None
    cpu = row["cpu_ms"]
    row["runs_per_core_second"] = (
        round(1000 / cpu, 1) if isinstance(cpu, float) and cpu > 0 else None
    )
    return row


def _not_counted(counted: Mapping[str, Sequence[Counts]]) -> dict[str, str]:
    reasons = {
        "system_calls": "`perf` is not there, or not allowed to trace system calls",
        "instructions": "this machine has no counter of instructions, or `perf` is not there",
    }
    first = next(iter(counted.values()))[0]
    return {event: reasons[event] for event in reasons if first[event] is None}


# -- counting ----------------------------------------------------------------------------------


def _counted(folder: Path, rounds: int, few: int, many: int) -> Mapping[str, list[Counts]]:
    found: dict[str, list[Counts]] = defaultdict(list)
    names = [*_OURS, *_PEERS]
    order = random.Random(_SEED)
    told = report.counted(rounds)
    for number in range(rounds):
        for name in order.sample(names, len(names)):
            more = (many - few) * _TIMES.get(name, 1)
            before, after = (_count(name, runs, folder) for runs in (few, few + more))
            found[name].append(
                {event: _each(before[event], after[event], more) for event in _NAMES}
            )
        told(number + 1)
    return found


def _each(before: float | None, after: float | None, runs: int) -> float | None:
    return None if before is None or after is None else (after - before) / runs


def _count(name: str, runs: int, folder: Path) -> Counts:
    command = [sys.executable, "-m", "benchmarks.gates", "--measure", name]
    command += ["--runs", str(runs), "--folder", str(folder)]
    perf = shutil.which("perf")
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as file:
        if perf is not None:
            events = ",".join(_EVENTS)
            command = [perf, "stat", "-x", ";", "-o", file.name, "-e", events, *command]
        process = subprocess.Popen(command, cwd=Path(__file__).parent.parent)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"`{name}` could not be counted: status {process.returncode}")
        counts: Counts = dict.fromkeys(_NAMES)
        counts["cpu_ms"] = (used.ru_utime + used.ru_stime) * 1000
        counts["minor_faults"] = float(used.ru_minflt)
        for line in file.read().splitlines():
            fields = line.split(";")
            if len(fields) > 2 and fields[2] in _EVENTS and not fields[0].startswith("<"):
                counts[_EVENTS[fields[2]]] = float(fields[0])
        return counts


# -- counted -----------------------------------------------------------------------------------


def _run(name: str, runs: int, folder: Path) -> None:
    """So many runs of one contender, one after another, in a process that is counted."""
    work = WORKLOADS[0]
    if name in _OURS:
        _run_ours(work, folder, _OURS[name], runs)
        return
    with Runtime(cache_dir=folder / "cache") as runtime:
        interpreter = runtime.supply(_step(work, folder)).interpreter.path
    bench = rivals.bench_again(work, folder, interpreter)
    with _PEERS[name](bench) as peer:
        for _ in range(runs):
            peer.ask()


def _run_ours(work: Workload, folder: Path, isolation: str, runs: int) -> None:
    with Runtime(cache_dir=folder / "cache", isolation=isolation) as runtime:
        for _ in range(runs):
            if runtime.run(_step(work, folder), work.inputs).value != work.value:
                raise RuntimeError("a wrong value")


def _step(work: Workload, folder: Path) -> Step:
    return Step(file=folder / work.name / f"{work.module}.py", function=work.function)


if __name__ == "__main__":
    sys.exit(report.ended(main))
