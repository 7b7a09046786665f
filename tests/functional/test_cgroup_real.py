"""Groups of this machine's own kernel hold real processes; nothing of them is left afterwards.

Skips where this process may not make groups. Version 2 is in tests/unit/test_cgroup.py.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orq_runtime._run import cgroup
from orq_runtime._run.cgroup_files import KERNEL
from orq_runtime._run.cgroup_home import Home
from orq_runtime._run.cgroup_v1 import LegacyMechanism
from orq_runtime.model.limits import MIB, Limits

_SMALL = Limits(memory_bytes=96 * MIB, processes=8)

_HOGS = {
    "shared": "import mmap\nm = mmap.mmap(-1, SIZE)\nfor i in range(0, SIZE, 4096): m[i] = 1",
    "private": "x = bytearray(b'x') * SIZE",
    "memfd": (
        "fd = os.memfd_create('x')\nfor _ in range(SIZE >> 20): os.write(fd, bytes(1 << 20))"
    ),
    "divided": (
        "r, w = os.pipe()\n"
        "signal.signal(signal.SIGCHLD, lambda *_: os.kill(0, 9))\n"  # version 1 kills one of us
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        x = bytearray(b'x') * (SIZE // 4); os.write(w, b'x'); signal.pause()\n"
        "for _ in range(4): os.read(r, 1)\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_DFL)\n"
        "signal.signal(15, lambda *_: os._exit(0)); os.kill(0, 15)"
    ),
}

_WAIT = "print('in', flush=True)\nos.read(0, 1)\n"

_FORKS = """
alive, refused = 0, 0
for _ in range(40):
    try:
        if os.fork() == 0:
            signal.pause()
        alive += 1
    except BlockingIOError:
        refused += 1
print(alive, refused, flush=True)
signal.signal(15, lambda *_: os._exit(0)); os.kill(0, 15)
"""


@pytest.fixture
def mechanism() -> Iterator[cgroup.Mechanism]:
    """The machine's own; whatever a test leaves running in it is ended."""
    found = cgroup.choose()
    if not found.has_cgroup:
        pytest.skip("; ".join(found.notes))
    yield found
    found.close()
    assert [] == [home for home in _homes(found) if home.exists()]


def _homes(mechanism: cgroup.Mechanism) -> list[Path]:
    assert isinstance(mechanism, LegacyMechanism)
    return [home.path for home in mechanism._homes.values()]


def _start(leaf: cgroup.Leaf | None, body: str, *, before: str = "") -> subprocess.Popen[str]:
    """A plain process that enters the leaf as a run's init does, then does something."""
    descriptors = [] if leaf is None else leaf.procs_descriptors()
    script = f"import os, signal, sys\nSIZE = {256 * MIB}\n{before}\n"
    script += f"for n in {descriptors}:\n    os.write(n, b'0')\n    os.close(n)\n{body}"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", script],
        pass_fds=descriptors,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if leaf is not None:
        leaf.forget_guest()
    return process


def _wait_until_inside(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert "in\n" == process.stdout.readline()


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Let a waiting process go on, and see it to its end."""
    try:
        said, _ = process.communicate("x", timeout=60)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, said


@pytest.mark.slow
@pytest.mark.parametrize("hog", _HOGS)
def test_memory_of_every_kind_is_stopped(mechanism: cgroup.Mechanism, hog: str) -> None:
    """256 MiB do not fit into 96, however they are asked for; outside the group they do."""
    leaf = mechanism.leaf(_SMALL)
    inside, _ = _end(_start(leaf, _HOGS[hog]))
    peak = leaf.peak_bytes()
    outside, _ = _end(_start(None, _HOGS[hog]))

    assert (-signal.SIGKILL, True, 0) == (inside, leaf.is_out_of_memory(), outside)
    assert peak is not None
    assert 80 * MIB < peak <= 96 * MIB
    leaf.close()


def test_forks_are_refused_above_the_limit(mechanism: cgroup.Mechanism) -> None:
    """Eight processes and the run's init may be alive at once; outside the group forty can."""
    leaf = mechanism.leaf(_SMALL)
    _, said = _end(_start(leaf, _FORKS))
    _, control = _end(_start(None, _FORKS))

    assert ("8 32\n", "40 0\n", True) == (said, control, leaf.processes_were_refused())
    assert not leaf.is_out_of_memory()
    leaf.close()


def test_a_process_without_rights_comes_in_by_the_hosts_descriptors(
    mechanism: cgroup.Mechanism,
) -> None:
    """The rights are those of whoever opened the descriptor, so a mapped run may enter."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become nobody in particular")
    leaf = mechanism.leaf(_SMALL)
    drop = "os.setgroups([])\nos.setresgid(61234, 61234, 61234)\nos.setresuid(61234, 61234, 61234)"

    code, _ = _end(_start(leaf, _HOGS["private"], before=drop))

    assert (-signal.SIGKILL, True) == (code, leaf.is_out_of_memory())
    leaf.close()


def test_limits_of_the_run_replace_those_of_the_parked_child(mechanism: cgroup.Mechanism) -> None:
    """Raised and lowered while a process waits inside."""
    leaf = mechanism.leaf(_SMALL)
    process = _start(leaf, _WAIT + _HOGS["private"])
    _wait_until_inside(process)
    leaf.adjust(Limits(memory_bytes=64 * MIB))
    leaf.adjust(Limits(memory_bytes=512 * MIB))
    code, _ = _end(process)

    assert (0, False) == (code, leaf.is_out_of_memory())
    leaf.close()


@pytest.mark.slow
def test_a_speed_given_at_dispatch_holds_what_is_inside_already(
    mechanism: cgroup.Mechanism,
) -> None:
    """A fifth of a core: half a second on the clock is a tenth of processor time."""
    if "cgroup" not in mechanism.enforced_by(Limits(cpu_millicores=200))["cpu_millicores"]:
        pytest.skip("no cpu controller here")
    leaf = mechanism.leaf(_SMALL)
    spin = _WAIT + (
        "import time\n"
        "end = time.monotonic() + 0.5\ncpu = time.process_time()\n"
        "while time.monotonic() < end: pass\nprint(time.process_time() - cpu)"
    )
    process = _start(leaf, spin)
    _wait_until_inside(process)
    leaf.adjust(Limits(memory_bytes=96 * MIB, processes=8, cpu_millicores=200))
    _, said = _end(process)

    assert float(said) < 0.25
    leaf.close()


def test_a_quota_above_that_of_the_hosts_own_group_is_held_by_that(
    mechanism: cgroup.Mechanism,
) -> None:
    """The kernel refuses it in version 1; the group above is slower already, and the run goes."""
    assert isinstance(mechanism, LegacyMechanism)
    homes = {name: home.path for name, home in mechanism._homes.items()}
    if "cpu" not in homes:
        pytest.skip("no cpu controller here")
    slow = homes["cpu"] / "slow"
    KERNEL.make(slow)
    KERNEL.write(slow / "cpu.cfs_quota_us", "50000")
    inner = LegacyMechanism({**homes, "cpu": slow}, KERNEL)

    leaf = inner.leaf(Limits(cpu_millicores=2000))

    (folder,) = slow.rglob("run-*")
    assert "-1" == KERNEL.read(folder / "cpu.cfs_quota_us")
    leaf.close()
    inner.close()
    KERNEL.remove(slow)


def test_kill_ends_everything_inside(mechanism: cgroup.Mechanism) -> None:
    """Also what has left its session and lost its parents."""
    leaf = mechanism.leaf(_SMALL)
    body = (
        "for _ in range(4):\n    if os.fork() == 0:\n        os.setsid()\n        break\n"
        "print('x', flush=True)\nsignal.pause()"
    )
    process = _start(leaf, body)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    leaf.kill()

    assert (-signal.SIGKILL, "") == _end(process)  # end of file: all five have let go of the pipe
    leaf.close()


def test_a_closed_leaf_goes_once_its_last_process_has(mechanism: cgroup.Mechanism) -> None:
    """Closing does not wait; the next leaf of the host removes it."""
    leaf = mechanism.leaf(_SMALL)
    process = _start(leaf, _WAIT)
    _wait_until_inside(process)
    leaf.close()
    mechanism.leaf(_SMALL).close()
    left = [len(list(home.glob("run-*"))) for home in dict.fromkeys(_homes(mechanism))]
    _end(process)
    last = mechanism.leaf(_SMALL)

    assert 2 in left
    assert {0, 1} >= {len(list(home.glob("run-*"))) for home in _homes(mechanism)}
    last.close()


@pytest.mark.slow
def test_many_threads_make_leaves_at_once(mechanism: cgroup.Mechanism) -> None:
    """No two get the same one, and none is left."""

    def use(_: int) -> None:
        for _ in range(25):
            leaf = mechanism.leaf(_SMALL)
            leaf.adjust(Limits())
            leaf.close()

    with ThreadPoolExecutor(8) as threads:
        assert [None] * 8 == list(threads.map(use, range(8)))


def test_a_host_that_was_killed_leaves_nothing_after_the_next_start(
    mechanism: cgroup.Mechanism, tmp_path: Path
) -> None:
    """Its groups and what still runs in them go; those of a living host stay."""
    script = (
        "import signal, subprocess, sys\nfrom orq_runtime._run import cgroup\n"
        "from orq_runtime.model.limits import Limits\n"
        "m = cgroup.choose()\nleaf = m.leaf(Limits())\n"
        "p = subprocess.Popen(['/bin/sleep', '600'], stdout=subprocess.DEVNULL)\n"
        "leaf.place(p.pid)\n"
        "print(p.pid, *[h.path for h in m._homes.values()], flush=True)\nsignal.pause()\n"
    )
    host = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    sleeper, *words = host.stdout.readline().split()
    homes = [Path(word) for word in words]
    pidfd = os.pidfd_open(int(sleeper))
    cgroup.sweep(mechanism, tmp_path / "register")
    while_alive = [home.exists() for home in homes]
    host.kill()
    host.communicate()
    removed = cgroup.sweep(mechanism, tmp_path / "register")

    assert [pidfd] == select.select([pidfd], [], [], 5)[0]
    os.close(pidfd)
    assert ({True}, {False}) == (set(while_alive), {home.exists() for home in homes})
    assert len(set(homes)) <= removed
    assert all(home.exists() for home in _homes(mechanism))


def test_the_folders_lock_is_free_when_the_host_is_dead(mechanism: cgroup.Mechanism) -> None:
    """The kernel's lock works on its own control folders, which the sweep relies on."""
    home = Home(mechanism.parents[0], KERNEL)
    home.close()

    assert not home.path.exists()


def test_a_fork_of_the_host_does_not_end_its_runs(mechanism: cgroup.Mechanism) -> None:
    """A fork that closes what it inherited lets go of it, and nothing else."""
    leaf = mechanism.leaf(_SMALL)
    process = _start(leaf, _WAIT)
    _wait_until_inside(process)
    fork = os.fork()
    if fork == 0:
        mechanism.close()
        os._exit(0)
    os.waitpid(fork, 0)

    assert ((0, ""), True) == (_end(process), all(home.exists() for home in _homes(mechanism)))
    leaf.close()


def test_closing_the_mechanism_ends_what_runs_in_leaves_still_open() -> None:
    """Nothing outlives it."""
    mechanism = cgroup.choose()
    if not mechanism.has_cgroup:
        pytest.skip("; ".join(mechanism.notes))
    process = _start(mechanism.leaf(_SMALL), _WAIT)
    _wait_until_inside(process)
    homes = _homes(mechanism)
    mechanism.close()

    assert -signal.SIGKILL == process.wait()
    process.communicate()
    assert [] == [home for home in homes if home.exists()]
