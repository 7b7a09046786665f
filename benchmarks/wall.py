"""What the wall costs: hot runs, processor time and zygote starts of each tier, and each stage.

    python -m benchmarks.wall [--quick] [--rounds N] [--json FILE]

Rules of this file:

1. Every tier has one turn in each round, in an order shuffled anew, against `process` in the same
   round. A turn is a few calls, each after a pause, so that a spare is parked.
2. Processor time is that of the host and of all guests of a tier, over all of its turns. What the
   kernel does later on its own account (taking namespaces down) is in nobody's account.
3. Started by root, everything is measured once as root and once as an ordinary user.
4. A time never fails this benchmark; whoever reads the targets compares.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orq_runtime as orq
from benchmarks import machine
from benchmarks.figures import median_ratio, summary
from orq_runtime._run.bundle import stage
from orq_runtime._run.capabilities import attempt
from orq_runtime._run.ground import Grounds
from orq_runtime.errors import WallUnavailable

__all__ = ["TIERS", "main"]

TIERS = ("namespaces", "landlock", "process")
_ROUNDS = 60
_CALLS = 5
_START_ROUNDS = 30
_STAGE_ROUNDS = 12
_PAUSE_SECONDS = 0.03
_SEED = 3
_USER = 61500
_TICK = os.sysconf("SC_CLK_TCK")
_STEP = orq.Step(source="def f(n: int) -> int:\n    return n + 1\n", function="f")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as every user that can be had, print a table, write the result file if named."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (2 if options.quick else _ROUNDS)
    if options.measure:
        print(json.dumps(_measured(rounds, is_quick=options.quick)))
        return 0
    before = machine.load_average()
    users = {
        name: found
        for name, prefix in _users()
        if (found := _asked(prefix, rounds, is_quick=options.quick)) is not None
    }
    result = {
        "benchmark": "wall",
        "format": 1,
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "load_average": {"before": before, "after": machine.load_average()},
        "source": machine.source_version(),
        "versions": machine.versions([]),
        "settings": {
            "rounds": rounds,
            "calls_in_a_turn": _CALLS,
            "pause_seconds": _PAUSE_SECONDS,
            "seed": _SEED,
        },
        "users": users,
    }
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    from benchmarks import show  # the tables are its; it is not needed to measure

    print(show.tables(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two rounds: proves that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {_ROUNDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result file")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser


# -- as whom -----------------------------------------------------------------------------------


def _users() -> list[tuple[str, list[str]]]:
    """Who can be measured as: a name, and the command before ours that makes us that user."""
    if os.geteuid() != 0:
        return [("user", [])]
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return [("root", [])]
    ids = (f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups")
    return [("root", []), ("user", [setpriv, *ids])]


def _asked(prefix: list[str], rounds: int, *, is_quick: bool) -> Mapping[str, object] | None:
    """What a process of its own measures as that user; None where it cannot be started."""
    command = [sys.executable, "-m", "benchmarks.wall", "--measure", "--rounds", str(rounds)]
    ended = subprocess.run(
        [*prefix, *command, *(["--quick"] if is_quick else [])],
        cwd=Path(__file__).parent.parent,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "HOME": "/nonexistent",
        },
        stdout=subprocess.PIPE,
        check=False,
    )
    if ended.returncode != 0:
        print(f"cannot be measured as {prefix[1:] or 'ourselves'}", file=sys.stderr)
        return None
    found: Mapping[str, object] = json.loads(ended.stdout)
    return found


# -- measuring ---------------------------------------------------------------------------------


def _measured(rounds: int, *, is_quick: bool) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="wall-", ignore_cleanup_errors=True) as folder:
        cache = Path(folder)
        cache.chmod(0o755)  # behind Landlock root's runs are another user's
        tiers = [tier for tier in TIERS if _is_there(tier, cache)]
        hot, cpu = _hot(tiers, cache, rounds)
        starts = _starts(tiers, cache, 1 if is_quick else min(_START_ROUNDS, rounds))
        found: dict[str, object] = {}
        for tier in tiers:
            found[tier] = {
                **summary(hot[tier]),
                "cpu_ms": round(cpu[tier], 3),
                "hot_ratio": median_ratio(hot[tier], hot["process"]),
                "added_cpu_ms": round(cpu[tier] - cpu["process"], 3),
                "start_ms": round(statistics.median(starts[tier]), 1),
                "added_start_ms": round(
                    statistics.median(
                        mine - base
                        for mine, base in zip(starts[tier], starts["process"], strict=True)
                    ),
                    1,
                ),
                "stages_us": _stages(tier, cache, 1 if is_quick else _STAGE_ROUNDS),
            }
        return found


def _is_there(tier: str, cache: Path) -> bool:
    try:
        _call(tier, cache)
    except WallUnavailable as error:
        print(f"not measured: {tier}: {error}", file=sys.stderr)
        return False
    return True


def _call(tier: str, cache: Path) -> float:
    """Seconds from nothing to a value, closing not counted."""
    begun = time.perf_counter()
    with orq.Runtime(cache_dir=cache, isolation=tier, spares=0) as runtime:
        runtime.run(_STEP, {"n": 1})
        return time.perf_counter() - begun


def _hot(
    tiers: Sequence[str], cache: Path, rounds: int
) -> tuple[dict[str, dict[int, list[float]]], dict[str, float]]:
    """Seconds of each call by tier and round; processor milliseconds of a run by tier."""
    calls: dict[str, dict[int, list[float]]] = defaultdict(dict)
    used: dict[str, float] = defaultdict(float)
    order = random.Random(_SEED)
    with contextlib.ExitStack() as stack:
        runtimes = {}
        guests = {}
        for tier in tiers:
            before = _children(os.getpid())
            runtimes[tier] = stack.enter_context(orq.Runtime(cache_dir=cache, isolation=tier))
            for _ in range(3):
                runtimes[tier].run(_STEP, {"n": 1})
                time.sleep(_PAUSE_SECONDS)
            guests[tier] = _children(os.getpid()) - before
            used[tier] -= _cpu_seconds(guests[tier])
        for number in range(rounds):
            for tier in order.sample(tiers, len(tiers)):
                host = time.process_time()
                calls[tier][number] = [_timed(runtimes[tier]) for _ in range(_CALLS)]
                time.sleep(_PAUSE_SECONDS)
                used[tier] += time.process_time() - host
        for tier in tiers:
            used[tier] += _cpu_seconds(guests[tier])
    return calls, {tier: used[tier] / (rounds * _CALLS) * 1000 for tier in tiers}


def _timed(runtime: orq.Runtime) -> float:
    time.sleep(_PAUSE_SECONDS)
    begun = time.perf_counter()
    outcome = runtime.run(_STEP, {"n": 1})
    seconds = time.perf_counter() - begun
    if (outcome.value, outcome.start) != (2, "hot"):
        raise RuntimeError(f"not a hot run: {outcome}")
    return seconds


def _starts(tiers: Sequence[str], cache: Path, rounds: int) -> dict[str, list[float]]:
    """Milliseconds from a new runtime to its first value, the environment being in the store."""
    found: dict[str, list[float]] = defaultdict(list)
    order = random.Random(_SEED)
    for _ in range(rounds):
        for tier in order.sample(tiers, len(tiers)):
            found[tier].append(_call(tier, cache) * 1000)
    return found


def _stages(tier: str, cache: Path, rounds: int) -> dict[str, list[float]]:
    """Median and least microseconds of each stage of a throw-away wall."""
    if tier == "process":
        return {}
    laps: dict[str, list[float]] = defaultdict(list)
    with orq.Runtime(cache_dir=cache, isolation=tier) as runtime:
        interpreter = runtime.supply(_STEP).interpreter
    grounds = Grounds(Path(tempfile.gettempdir()))
    try:
        for _ in range(rounds):
            found = attempt(
                tier, bundle=stage(cache, interpreter), interpreter=interpreter, grounds=grounds
            )
            stages = found["stages"]
            assert isinstance(stages, dict)
            for name, microseconds in stages.items():
                laps[name].append(microseconds)
    finally:
        grounds.close()
    return {
        name: [round(statistics.median(costs)), round(min(costs))] for name, costs in laps.items()
    }


# -- processor time ----------------------------------------------------------------------------


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found.update(map(int, (thread / "children").read_text().split()))
    return found


def _cpu_seconds(pids: set[int]) -> float:
    """Of these processes, all that is below them, and all that they have buried."""
    ticks = 0
    for pid in _below(pids):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICK


def _below(pids: set[int]) -> Iterator[int]:
    for pid in pids:
        yield pid
        with contextlib.suppress(OSError):
            yield from _below(_children(pid))


if __name__ == "__main__":
    sys.exit(main())
