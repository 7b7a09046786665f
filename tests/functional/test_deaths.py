"""The verdict table, driven: every cause of death, behind every tier, by its own name."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime import Limits, Step, settings
from orq_runtime._run import drive_sync
from orq_runtime._run.cgroup import NoMechanism
from orq_runtime._session import Session
from orq_runtime.events import ignore
from orq_runtime.model.limits import MIB
from orq_runtime.model.verdict import VERDICTS
from tests.functional.deaths import TABLE, TIERS, Death

_ZOO = Path(__file__).parent.parent / "zoo"


def _python() -> str:
    """An interpreter that any user may read: behind Landlock root's runs are another user's."""
    return shutil.which("python3", path="/usr/local/bin:/usr/bin") or "python3"


@pytest.fixture(scope="module")
def runtime(request: pytest.FixtureRequest) -> Iterator[orq.Runtime]:
    """One runtime for a tier's whole table, with a cache that any user may read."""
    with tempfile.TemporaryDirectory() as cache:
        Path(cache).chmod(0o755)
        with orq.Runtime(cache_dir=cache, isolation=request.param, python=_python()) as made:
            yield made
        for folder in Path(cache).rglob("*"):
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o700)  # a store is read-only


_CASES = [
    pytest.param(tier, death, id=f"{tier}-{death.name}")
    for tier in TIERS
    for death in TABLE
    if tier in death.tiers
]


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "death"), _CASES, indirect=["runtime"])
def test_each_death_has_its_name(runtime: orq.Runtime, death: Death) -> None:
    """The verdict, the exception's type, exit status and signal are those of the cause."""
    step = Step(file=_ZOO / "deaths.py", function=death.function, components=[_ZOO])
    limits = Limits.from_json({"wall_seconds": 60.0, "stdout_bytes": MIB, **death.limits})

    outcome = runtime.run(step, death.inputs, limits=limits, check=False)

    expected = (death.verdict, death.status, death.signal, VERDICTS[death.verdict].exit_code)
    exit_code = outcome.exit_code - (outcome.signal or 0)
    assert expected == (outcome.verdict, outcome.exit_status, outcome.signal, exit_code), outcome
    assert death.exception in ("", outcome.failure.type if outcome.failure else "none")
    assert "yes" == outcome.began
    assert outcome.stdout.startswith("to be kept\n")
    assert outcome.stderr.startswith("this too\n")


def _session(cache_dir: Path, policy: orq.Policy, mechanism: NoMechanism | None) -> Session:
    return Session(
        settings=settings.load(cache_dir=str(cache_dir)),
        isolation="namespaces",
        limits=Limits(),
        policy=policy,
        spares=0,
        start="exec",
        sink=ignore,
        mechanism=mechanism,
    )


@pytest.mark.slow
@pytest.mark.parametrize("function", ["takes_memory", "takes_memory_in_small_pieces"])
def test_memory_by_rlimit_has_the_same_name(cache_dir: Path, function: str) -> None:
    """Where no cgroup can be had the kernel refuses the memory, and the verdict says so."""
    inputs = {"size": 256 * MIB, "is_shared": False} if function == "takes_memory" else {}
    step = Step(file=_ZOO / "deaths.py", function=function, components=[_ZOO])
    limits = Limits(memory_bytes=96 * MIB, wall_seconds=60)
    with contextlib.closing(_session(cache_dir, orq.Policy(), NoMechanism())) as session:
        run = session.prepare(step, inputs, limits)
        slot, machine = session.claim(run)
        drive_sync.run(machine, slot)
        outcome = session.finish(run)

    assert ("out_of_memory", "to be kept\n") == (outcome.verdict, outcome.stdout), outcome


@pytest.mark.slow
@pytest.mark.parametrize("function", ["forks_on", "starts_threads_on", "raises_of_its_own_accord"])
def test_processes_by_rlimit_have_the_same_name(cache_dir: Path, function: str) -> None:
    """Where no cgroup counts them the step asks once more; what it raises itself stays its own."""
    is_own = function == "raises_of_its_own_accord"
    inputs = {"number": errno.EAGAIN} if is_own else {}
    step = Step(file=_ZOO / "deaths.py", function=function, components=[_ZOO])
    limits = Limits(processes=12, wall_seconds=60)
    with contextlib.closing(_session(cache_dir, orq.Policy(), NoMechanism())) as session:
        run = session.prepare(step, inputs, limits)
        slot, machine = session.claim(run)
        drive_sync.run(machine, slot)
        outcome = session.finish(run)

    assert ("raised" if is_own else "processes_exceeded") == outcome.verdict, outcome
    assert "rlimit" == outcome.enforced_by["processes"]


@pytest.mark.slow
@pytest.mark.parametrize("function", ["sleeps", "stops_itself", "ignores_every_signal"])
def test_a_cancelled_run_keeps_what_it_said(cache_dir: Path, tmp_path: Path, function: str) -> None:
    """Whatever the step does about signals, a cancel ends it, and its output is there."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    source = (_ZOO / "deaths.py").read_text("utf-8")
    tell = f"    with open({str(fifo)!r}, 'w') as file:\n        file.write('x')\n"
    source += f"\ndef f():\n    _speak()\n{tell}    {function}()\n"
    step = Step(source=source, function="f")
    with (
        contextlib.closing(_session(cache_dir, orq.Policy(writable=[tmp_path]), None)) as session,
        contextlib.closing(drive_sync.Canceller()) as canceller,
        ThreadPoolExecutor(1) as threads,
    ):
        run = session.prepare(step, {}, Limits(wall_seconds=60))
        slot, machine = session.claim(run)
        driven = threads.submit(drive_sync.run, machine, slot, canceller)
        assert "x" == fifo.read_text()
        canceller.cancel()
        driven.result(60)
        outcome = session.finish(run)

    assert ("cancelled", "yes", 130) == (outcome.verdict, outcome.began, outcome.exit_code)
    assert outcome.stdout.startswith("to be kept\n")
    assert outcome.stderr.startswith("this too\n")
