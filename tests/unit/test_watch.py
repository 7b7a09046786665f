"""The watcher of memory: its decision on made-up readings, its readings on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orq_runtime._run.watch import MemoryWatch, Processes
from orq_runtime.model.limits import MIB

_LIMIT = 100


@dataclass
class _Seen:
    """Readings as given: resident, proportional, and (anonymous, shared) by pid; init is 1."""

    resident_bytes: Mapping[int, int]
    shares: Mapping[int, int | None] = field(default_factory=dict)
    privates: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    init: int = 1
    asked: list[int] = field(default_factory=list)

    def resident(self) -> Mapping[int, int]:
        return self.resident_bytes

    def proportional(self, pid: int) -> int | None:
        self.asked.append(pid)
        return self.shares[pid]

    def private(self, pid: int) -> tuple[int, int]:
        return self.privates[pid]


def test_below_the_limit_nothing_dear_is_asked() -> None:
    """Proportional shares cost milliseconds: they are read above the limit only."""
    seen = _Seen({1: 50, 2: 50})

    assert (False, []) == (MemoryWatch(_LIMIT).is_exceeded(seen), seen.asked)


@pytest.mark.parametrize(("shares", "expected"), [((30, 70), False), ((31, 70), True)])
def test_pages_that_are_shared_count_once(shares: tuple[int, int], expected: bool) -> None:
    """Three hundred resident are not a hundred used."""
    watch = MemoryWatch(_LIMIT)
    is_exceeded = watch.is_exceeded(_Seen({1: 150, 2: 150}, dict(zip((1, 2), shares, strict=True))))

    assert (expected, sum(shares)) == (is_exceeded, watch.peak_bytes)


@pytest.mark.parametrize(
    ("privates", "expected"),
    [
        ({1: (60, 0), 2: (60, 0), 3: (60, 0)}, False),  # the zygote's pages in each child
        ({1: (60, 0), 2: (100, 0), 3: (61, 0)}, True),  # 60 + 40 + 1
        ({1: (10, 0), 2: (10, 80), 3: (10, 80)}, False),  # one mapping, shared by two
        ({1: (10, 0), 2: (10, 0), 3: (10, 91)}, True),
    ],
)
def test_where_shares_are_hidden_what_is_inherited_counts_once(
    privates: Mapping[int, tuple[int, int]], expected: bool
) -> None:
    """Too little rather than too much: nobody is killed for what it did not take."""
    seen = _Seen({1: 90, 2: 90, 3: 90}, {1: None, 2: None, 3: None}, privates)

    assert expected == MemoryWatch(_LIMIT).is_exceeded(seen)


def test_the_peak_stays_when_the_memory_is_gone() -> None:
    """It is the most that was confirmed at any look."""
    watch = MemoryWatch(_LIMIT)
    watch.is_exceeded(_Seen({1: 150}, {1: 99}))
    watch.is_exceeded(_Seen({1: 150}, {1: 20}))

    assert 99 == watch.peak_bytes


# -- real processes ---------------------------------------------------------------------------

Start = Callable[[str], int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that says a word when it is ready and then waits; its pidfd."""
    started: list[tuple[subprocess.Popen[str], int]] = []

    def start(body: str) -> int:
        script = f"import ctypes, mmap, os, signal\n{body}\nprint('in', flush=True)\nsignal.pause()"
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append((process, os.pidfd_open(process.pid)))
        assert process.stdout is not None
        assert "in\n" == process.stdout.readline()
        return started[-1][1]

    yield start
    for process, pidfd in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        os.close(pidfd)


def _touch(size: int, flags: str) -> str:
    return f"m = mmap.mmap(-1, {size}, {flags})\nfor i in range(0, {size}, 4096): m[i] = 1\n"


_ANONYMOUS = "mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS"
_SHARED = "mmap.MAP_SHARED | mmap.MAP_ANONYMOUS"


def _with_child(body: str) -> str:
    """A child that does something and waits, and a parent that has heard of it."""
    inside = textwrap.indent(f"{body}\nos.write(w, b'x')\nsignal.pause()", "    ")
    return f"r, w = os.pipe()\nif os.fork() == 0:\n{inside}\nos.read(r, 1)"


@pytest.mark.parametrize("flags", [_ANONYMOUS, _SHARED])
def test_a_real_hog_is_seen(start: Start, flags: str) -> None:
    """Also one that shares its pages with nobody yet, which no rlimit counts."""
    processes = Processes(start(_touch(48 * MIB, flags)))

    assert MemoryWatch(40 * MIB).is_exceeded(processes)
    assert not MemoryWatch(120 * MIB).is_exceeded(processes)


def test_a_grandchild_counts(start: Start) -> None:
    """All of the tree, down from init."""
    processes = Processes(start(_with_child(_touch(48 * MIB, _ANONYMOUS))))

    assert 2 == len(processes.tree())
    assert MemoryWatch(50 * MIB).is_exceeded(processes)


def test_what_two_processes_share_counts_once(start: Start) -> None:
    """The resident sum is above the limit and the run is not."""
    reading = f"for i in range(0, {48 * MIB}, 4096): m[i]"
    processes = Processes(start(_touch(48 * MIB, _SHARED) + _with_child(reading)))

    resident = sum(processes.resident().values())
    assert (True, False) == (resident > 90 * MIB, MemoryWatch(80 * MIB).is_exceeded(processes))


def test_an_undumpable_process_is_still_estimated(start: Start) -> None:
    """The kernel keeps its shares from other users; what it tells everybody is read as well."""
    processes = Processes(start("ctypes.CDLL(None).prctl(4, 0)\n" + _touch(48 * MIB, _SHARED)))
    anonymous, shared = processes.private(processes.init)

    assert anonymous > 0
    assert 48 * MIB <= shared < 49 * MIB


def test_another_users_shares_are_hidden_and_not_zero(start: Start) -> None:
    """The estimate takes their place; a watcher that saw 0 would hold nothing."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    processes = Processes(start("pass"))
    looker = os.fork()
    if looker == 0:
        os.setresuid(61234, 61234, 61234)
        is_hidden = processes.proportional(processes.init) is None
        os._exit(0 if is_hidden and processes.private(processes.init)[0] > 0 else 1)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(looker, 0)[1])


def test_the_end_of_init_is_an_error(start: Start) -> None:
    """Its pid may be anybody's by then."""
    child = subprocess.Popen(["/bin/true"])
    pidfd = os.pidfd_open(child.pid)
    processes = Processes(pidfd)
    child.wait()

    with pytest.raises(ProcessLookupError):
        MemoryWatch(1).is_exceeded(processes)
    os.close(pidfd)


def test_a_kernel_that_lists_no_children_is_asked_for_parents(tmp_path: Path) -> None:
    """Children and grandchildren are found, whatever they call themselves; others are not."""
    (tmp_path / "self" / "fdinfo").mkdir(parents=True)
    (tmp_path / "self" / "fdinfo" / "5").write_text("pos:\t0\nPid:\t77\n")
    for pid, name, parent in ((77, "init", 1), (78, "a) S 9 (", 77), (79, "b", 78), (80, "c", 1)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0\n")

    assert [77, 78, 79] == Processes(5, proc=tmp_path).tree()


def test_a_proc_that_shows_nobody_is_an_error(tmp_path: Path) -> None:
    """A watcher that sees nothing would be a limit that holds nothing."""
    (tmp_path / "self" / "fdinfo").mkdir(parents=True)
    (tmp_path / "self" / "fdinfo" / "5").write_text("pos:\t0\nPid:\t77\n")

    with pytest.raises(FileNotFoundError):
        Processes(5, proc=tmp_path)
