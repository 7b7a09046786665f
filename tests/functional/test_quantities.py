"""Memory and processes of a run: held for all of it together where the machine has cgroups."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime import Limits, Step, settings
from orq_runtime._run import drive_sync
from orq_runtime._run.cgroup import NoMechanism
from orq_runtime._session import Session
from orq_runtime.events import ignore
from tests.functional.conftest import Call

_TOUCH = Step(
    source=(
        "import mmap\n"
        "def f(size: int, shared: bool) -> int:\n"
        "    held = mmap.mmap(-1, size) if shared else bytearray(size)\n"
        "    for place in range(0, size, 4096):\n"
        "        held[place] = 1\n"
        "    return size\n"
    ),
    function="f",
)
_HOLDS = Step(
    source=(
        "import mmap, time\n"
        "def f(size: int) -> None:\n"
        "    held = mmap.mmap(-1, size)\n"
        "    for place in range(0, size, 4096):\n"
        "        held[place] = 1\n"
        "    time.sleep(600)\n"
    ),
    function="f",
)
_FORKS = Step(
    source=(
        "import os, time\n"
        "def f() -> int:\n"
        "    count = 0\n"
        "    try:\n"
        "        while count < 500:\n"
        "            if os.fork() == 0:\n"
        "                time.sleep(600)\n"
        "            count += 1\n"
        "    except OSError:\n"
        "        pass\n"
        "    return count\n"
    ),
    function="f",
)
_MIB = 1 << 20
_ENDING = 4  # PF_EXITING: it left its groups, and may wait for those below it


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_too_much_memory_has_its_verdict(call: Call, shared: bool) -> None:
    """A run over its memory is killed and named so; mappings that are shared count too."""
    limits = Limits(memory_bytes=96 * _MIB)

    outcome = call(_TOUCH, {"size": 256 * _MIB, "shared": shared}, limits=limits)

    if outcome.enforced_by["memory_bytes"].startswith("cgroup") or not shared:
        assert ("out_of_memory", 6) == (outcome.verdict, outcome.exit_code)


@pytest.mark.slow
def test_the_limit_is_the_runs_own(cache_dir: Path) -> None:
    """Two runs of one zygote, one after the other, have each its own memory."""
    with orq.Runtime(cache_dir=str(cache_dir)) as runtime:
        inputs = {"size": 128 * _MIB, "shared": False}
        verdicts = [
            runtime.run(_TOUCH, inputs, limits=Limits(memory_bytes=n * _MIB), check=False).verdict
            for n in (256, 64, 256)
        ]

    assert ("ok", "ok") == (verdicts[0], verdicts[2])
    assert verdicts[1] in ("out_of_memory", "raised")


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["namespaces", "process"])
def test_without_a_cgroup_the_watcher_stops_it(cache_dir: Path, isolation: str) -> None:
    """Shared memory, which no rlimit counts, is seen by the watcher where there is no cgroup."""
    limits = Limits(memory_bytes=96 * _MIB, wall_seconds=60)
    session = Session(
        settings=settings.load(cache_dir=str(cache_dir)),
        isolation=isolation,
        limits=limits,
        policy=orq.Policy(),
        spares=0,
        start="exec",
        sink=ignore,
        mechanism=NoMechanism(),
    )
    with contextlib.closing(session):
        run = session.prepare(_HOLDS, {"size": 256 * _MIB}, limits)
        slot, machine = session.claim(run)
        drive_sync.run(machine, slot)
        outcome = session.finish(run)

    assert ("out_of_memory", "rlimit and watcher") == (
        outcome.verdict,
        outcome.enforced_by["memory_bytes"],
    )


@pytest.mark.slow
def test_processes_are_counted(call: Call) -> None:
    """A run that forks without end gets as many processes as it may have, and ends with them."""
    outcome = call(_FORKS, limits=Limits(processes=32, wall_seconds=60))

    if outcome.isolation == "namespaces" or "cgroup" in outcome.enforced_by["processes"]:
        assert isinstance(outcome.value, int), outcome.failure
        assert outcome.value < 32


@pytest.mark.slow
def test_too_much_processor_time_has_its_verdict(call: Call) -> None:
    """A process that computes for longer than it may is ended by the kernel, and named so."""
    spins = Step(source="def f() -> None:\n    while True:\n        pass\n", function="f")

    outcome = call(spins, limits=Limits(cpu_seconds=1, wall_seconds=60))

    assert ("cpu_exceeded", 6) == (outcome.verdict, outcome.exit_code)


def _below(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):  # it has ended since
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for word in (thread / "children").read_text().split():
                yield int(word)
                yield from _below(int(word))


def _group(pid: int) -> Iterator[str]:
    """The groups of a process that lives: one that is ending is in none, and its run may have."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/cgroup").read_text()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if fields[0] not in "ZX" and not int(fields[6]) & _ENDING:
            yield text


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["namespaces", "process"])
def test_what_is_imported_ahead_is_in_a_group_too(cache_dir: Path, isolation: str) -> None:
    """The zygote and its shepherds are held by a group of their own, runs by theirs."""
    before = set(_below(os.getpid()))
    with orq.Runtime(cache_dir=str(cache_dir), isolation=isolation) as runtime:
        outcome = runtime.run(Step(source="def f() -> int:\n    return 1\n", function="f"))
        if not outcome.enforced_by["memory_bytes"].startswith("cgroup"):
            pytest.skip("no cgroup here")
        groups = [text for pid in set(_below(os.getpid())) - before for text in _group(pid)]

    assert groups
    assert [] == [text for text in groups if "/orq-runtime." not in text]


_FILLS_FILES = Step(
    source=(
        "import os, signal\n"
        "def f() -> None:\n"
        "    print(open('/proc/self/oom_score_adj').read(), flush=True)\n"
        "    if os.fork() == 0:\n"
        "        signal.pause()\n"
        "    held = os.memfd_create('x')\n"
        "    while True:\n"
        "        os.write(held, bytes(1 << 20))\n"
    ),
    function="f",
)


@pytest.mark.slow
def test_the_kernel_kills_a_run_for_its_memory_and_not_its_init(cache_dir: Path) -> None:
    """Also where the memory is in no process, and any of the run's could be taken for it."""
    before = set(_below(os.getpid()))
    limits = Limits(memory_bytes=48 * _MIB, tmp_bytes=1 << 30, wall_seconds=60)
    with orq.Runtime(cache_dir=str(cache_dir), isolation="namespaces") as runtime:
        for _ in range(4):
            outcome = runtime.run(_FILLS_FILES, limits=limits, check=False)
            if not outcome.enforced_by["memory_bytes"].startswith("cgroup"):
                pytest.skip("no cgroup here")

            assert ("out_of_memory", "1000") == (outcome.verdict, outcome.stdout.strip()), outcome
            assert outcome.usage.cpu_seconds is not None, "init was killed, and told nothing"

    assert set() == set(_below(os.getpid())) - before
