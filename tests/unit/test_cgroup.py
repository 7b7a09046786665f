"""Version 2, on a fake: this project's machines have no version 2 memory controller.

`_Fake` is a tree of ordinary files that reacts as the kernel's documentation says (admin-guide,
cgroup-v2): control files appear with a group, controllers are handed down, a group with processes
hands none down, sizes are whole pages. What it cannot show is that the kernel does the same.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orq_runtime._run import cgroup
from orq_runtime._run.cgroup_files import KERNEL
from orq_runtime._run.cgroup_home import Home, record, sweep_parent, sweep_recorded
from orq_runtime.errors import WallUnavailable
from orq_runtime.model.limits import MIB, Limits

_LIMITS = Limits(memory_bytes=64 * MIB + 5, processes=7, cpu_millicores=1500)
_FILES = {
    "memory": {
        "memory.max": "max",
        "memory.high": "max",
        "memory.swap.max": "max",
        "memory.oom.group": "0",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0",
        "memory.peak": "4096",
    },
    "pids": {"pids.max": "max", "pids.events": "max 0"},
    "cpu": {"cpu.max": "max 100000"},
}


class _Fake:
    """A unified hierarchy of ordinary files. `deaf` names control files that ignore writes."""

    def __init__(self, mount: Path, controllers: str = "memory pids cpu", deaf: str = "") -> None:
        self.mount = mount
        self._deaf = deaf
        mount.mkdir(parents=True)
        (mount / "cgroup.controllers").write_text(controllers)
        (mount / "cgroup.subtree_control").write_text("")
        (mount / "cgroup.procs").write_text("1\n")

    def read(self, file: Path) -> str:
        return file.read_text().strip()

    def write(self, file: Path, text: str) -> None:
        if not file.exists():
            raise OSError(errno.ENOENT, "no such control file", str(file))
        react: Callable[[Path, str], None] = {
            "cgroup.subtree_control": self._hand_down,
            "cgroup.procs": self._move,
            "cgroup.kill": self._kill,
            "memory.max": self._in_pages,
        }.get(file.name, self._plain)
        if file.name != self._deaf:
            react(file, text)

    def _plain(self, file: Path, text: str) -> None:
        file.write_text(text)

    def _in_pages(self, file: Path, text: str) -> None:
        file.write_text(text if text == "max" else str(int(text) // 4096 * 4096))

    def _hand_down(self, file: Path, text: str) -> None:
        folder = file.parent
        names = [word.removeprefix("+") for word in text.split()]
        if not set(names) <= set(self.read(folder / "cgroup.controllers").split()):
            raise OSError(errno.ENOENT, "controller not there", str(file))
        if names and folder != self.mount and self.read(folder / "cgroup.procs"):
            raise OSError(errno.EBUSY, "has processes", str(file))
        file.write_text(" ".join({*file.read_text().split(), *names}))
        for child in folder.iterdir():
            if child.is_dir():
                self._equip(child)

    def _move(self, file: Path, text: str) -> None:
        folder = file.parent
        if folder != self.mount and self.read(folder / "cgroup.subtree_control"):
            raise OSError(errno.EBUSY, "hands controllers down", str(file))
        for other in self.mount.rglob("cgroup.procs"):
            other.write_text("".join(f"{p}\n" for p in other.read_text().split() if p != text))
        file.write_text(file.read_text() + f"{text}\n")

    def _kill(self, file: Path, _: str) -> None:
        (file.parent / "cgroup.procs").write_text("")

    def make(self, folder: Path) -> None:
        folder.mkdir()
        for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "cgroup.type"):
            (folder / name).write_text("")
        (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1")
        self._equip(folder)

    def _equip(self, folder: Path) -> None:
        names = self.read(folder.parent / "cgroup.subtree_control").split()
        (folder / "cgroup.controllers").write_text(" ".join(names))
        for name in names:
            for file, text in _FILES[name].items():
                if not (folder / file).exists():
                    (folder / file).write_text(text)

    def remove(self, folder: Path) -> None:
        is_used = self.read(folder / "cgroup.procs") or any(p.is_dir() for p in folder.iterdir())
        if is_used:
            raise OSError(errno.EBUSY, "in use", str(folder))
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    def hold(self, file: Path) -> int:
        return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _proc(tmp_path: Path, mount: Path, own: str) -> Path:
    folder = tmp_path / "proc" / "self"
    folder.mkdir(parents=True)
    (folder / "mountinfo").write_text(
        f"31 23 0:28 / {mount} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    (folder / "cgroup").write_text(f"0::{own}\n")
    return folder.parent


def _group(fake: _Fake, name: str, *, hands_down: str = "", pids: str = "") -> Path:
    folder = fake.mount / name
    fake.make(folder)
    if hands_down:
        fake.write(folder / "cgroup.subtree_control", hands_down)
    (folder / "cgroup.procs").write_text(pids)
    return folder


def _choose(tmp_path: Path, fake: _Fake, own: str) -> cgroup.Mechanism:
    return cgroup.choose(root=tmp_path, proc=_proc(tmp_path, fake.mount, own), files=fake)


def _at_root(tmp_path: Path, deaf: str = "") -> tuple[_Fake, cgroup.Mechanism]:
    fake = _Fake(tmp_path / "cgroup", deaf=deaf)
    fake.write(fake.mount / "cgroup.subtree_control", "+memory +pids +cpu")
    return fake, _choose(tmp_path, fake, "/")


def _leaf_folder(fake: _Fake) -> Path:
    (folder,) = fake.mount.rglob("run-*")
    return folder


def test_a_leaf_holds_what_the_limits_say(tmp_path: Path) -> None:
    """Memory in whole pages, no swap, one fate for the group, processes and init, and speed."""
    fake, mechanism = _at_root(tmp_path)

    mechanism.leaf(_LIMITS)

    names = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max")
    folder = _leaf_folder(fake)
    assert ("cgroup v2", [str(64 * MIB), "0", "1", "8", "150000 100000"]) == (
        mechanism.name,
        [fake.read(folder / name) for name in names],
    )
    assert {
        "memory_bytes": "cgroup v2",
        "shared_memory": "cgroup v2",
        "processes": "cgroup v2",
        "cpu_millicores": "cgroup v2",
    } == mechanism.enforced_by(_LIMITS)


def test_a_leaf_takes_the_limits_of_its_run_at_dispatch(tmp_path: Path) -> None:
    """What a child was parked with is replaced, a speed is taken back too."""
    fake, mechanism = _at_root(tmp_path)
    leaf = mechanism.leaf(_LIMITS)

    leaf.adjust(Limits(memory_bytes=128 * MIB, processes=3))

    folder = _leaf_folder(fake)
    names = ("memory.max", "pids.max", "cpu.max")
    assert [str(128 * MIB), "4", "max 100000"] == [fake.read(folder / name) for name in names]


def test_a_process_comes_in_by_the_hosts_descriptor_or_by_the_host(tmp_path: Path) -> None:
    """The descriptors are the host's until it forgets them."""
    fake, mechanism = _at_root(tmp_path)
    leaf = mechanism.leaf(_LIMITS)
    (descriptor,) = leaf.procs_descriptors()
    os.write(descriptor, b"77\n")
    leaf.place(78)
    leaf.forget_guest()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert ["77", "78"] == fake.read(_leaf_folder(fake) / "cgroup.procs").split()


def test_what_the_kernel_counted_is_told(tmp_path: Path) -> None:
    """Events of memory and processes, and the peak."""
    fake, mechanism = _at_root(tmp_path)
    leaf = mechanism.leaf(_LIMITS)
    before = (leaf.is_out_of_memory(), leaf.processes_were_refused())
    folder = _leaf_folder(fake)
    (folder / "memory.events").write_text("max 9\noom 1\noom_kill 1\noom_group_kill 1")
    (folder / "pids.events").write_text("max 3")
    (folder / "memory.peak").write_text("123456")

    assert ((False, False), True, True, 123456) == (
        before,
        leaf.is_out_of_memory(),
        leaf.processes_were_refused(),
        leaf.peak_bytes(),
    )


def test_an_old_kernel_knows_no_peak(tmp_path: Path) -> None:
    """A number that is not there is None, not 0."""
    fake, mechanism = _at_root(tmp_path)
    leaf = mechanism.leaf(_LIMITS)
    (_leaf_folder(fake) / "memory.peak").unlink()

    assert leaf.peak_bytes() is None


@pytest.mark.parametrize("deaf", ["memory.max", "pids.max", "cpu.max"])
def test_a_limit_that_is_not_applied_is_no_mechanism(tmp_path: Path, deaf: str) -> None:
    """What is set is read back: a kernel that says yes and does nothing is found out."""
    _, mechanism = _at_root(tmp_path, deaf)

    assert "rlimit" == mechanism.name
    assert f"`{deaf}` was set to" in mechanism.notes[0]


def test_a_limit_that_stops_being_applied_stops_the_run(tmp_path: Path) -> None:
    """A manager may take the controllers away after the mechanism was chosen."""
    fake, mechanism = _at_root(tmp_path)
    (home,) = fake.mount.glob("orq-runtime.*")
    (home / "cgroup.subtree_control").write_text("")

    with pytest.raises(WallUnavailable):
        mechanism.leaf(_LIMITS)

    mechanism.close()
    assert [] == list(fake.mount.glob("orq-runtime.*"))


def test_a_killed_leaf_is_empty_and_a_closed_mechanism_leaves_nothing(tmp_path: Path) -> None:
    """All groups go, also those in which something still ran."""
    fake, mechanism = _at_root(tmp_path)
    first, second = mechanism.leaf(_LIMITS), mechanism.leaf(_LIMITS)
    first.place(77)
    second.place(78)
    first.kill()
    pids = [fake.read(file) for file in fake.mount.rglob("run-*/cgroup.procs")]
    first.close()
    second.close()
    mechanism.close()

    assert ["", "78"] == sorted(pids)
    assert [] == list(fake.mount.glob("orq-runtime.*"))


def test_a_leaf_in_use_waits_until_it_is_empty(tmp_path: Path) -> None:
    """Closing does not wait; the next leaf removes what has become empty."""
    fake, mechanism = _at_root(tmp_path)
    leaf = mechanism.leaf(_LIMITS)
    leaf.place(77)
    folder = _leaf_folder(fake)
    leaf.close()
    mechanism.leaf(_LIMITS).close()
    is_there = folder.exists()
    (folder / "cgroup.procs").write_text("")
    mechanism.leaf(_LIMITS)

    assert (True, False) == (is_there, folder.exists())


# -- where ------------------------------------------------------------------------------------


def test_alone_in_its_group_the_host_moves_down_to_make_room(tmp_path: Path) -> None:
    """A delegated scope with the engine in it: the engine goes into a group of its own."""
    fake = _Fake(tmp_path / "cgroup")
    fake.write(fake.mount / "cgroup.subtree_control", "+memory +pids +cpu")
    own = _group(fake, "scope", pids=f"{os.getpid()}\n")

    mechanism = _choose(tmp_path, fake, "/scope")

    (host,) = own.glob("orq-host.*")
    assert ("cgroup v2", (own,), str(os.getpid()), "") == (
        mechanism.name,
        mechanism.parents,
        fake.read(host / "cgroup.procs"),
        fake.read(own / "cgroup.procs"),
    )


def test_not_alone_it_moves_nobody_and_goes_up(tmp_path: Path) -> None:
    """The nearest group above that hands the controllers down is used; no process is moved."""
    fake = _Fake(tmp_path / "cgroup")
    fake.write(fake.mount / "cgroup.subtree_control", "+memory +pids +cpu")
    parent = _group(fake, "slice", hands_down="+memory +pids")
    own = _group(fake, "slice/scope", pids=f"{os.getpid()}\n4711\n")

    mechanism = _choose(tmp_path, fake, "/slice/scope")

    assert ("cgroup v2", (parent,), 2, []) == (
        mechanism.name,
        mechanism.parents,
        len(fake.read(own / "cgroup.procs").split()),
        list(own.glob("orq-*")),
    )
    assert "unlimited" == mechanism.enforced_by(_LIMITS)["cpu_millicores"]


@pytest.mark.parametrize(("name", "text"), [("memory.max", "1048576"), ("cpu.max", "50000 100000")])
def test_it_does_not_climb_out_of_a_limit(tmp_path: Path, name: str, text: str) -> None:
    """A group that the operator limited is not left for one above it."""
    fake = _Fake(tmp_path / "cgroup")
    fake.write(fake.mount / "cgroup.subtree_control", "+memory +pids +cpu")
    own = _group(fake, "service", pids=f"{os.getpid()}\n4711\n")
    (own / name).write_text(text)

    mechanism = _choose(tmp_path, fake, "/service")

    assert ("rlimit", []) == (mechanism.name, list(fake.mount.glob("orq-*")))


def test_without_the_memory_controller_there_is_none(tmp_path: Path) -> None:
    """A hybrid machine has version 2 without controllers; the note says so."""
    fake = _Fake(tmp_path / "cgroup", controllers="")

    mechanism = _choose(tmp_path, fake, "/")

    assert ("rlimit", False) == (mechanism.name, mechanism.has_cgroup)
    assert "cgroup v2: it is mounted without the memory controller" == mechanism.notes[0]


def test_where_nothing_is_mounted_the_calls_do_nothing(tmp_path: Path) -> None:
    """The same calls in the same order, and what nothing holds is named so."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text("1 1 0:1 / / rw - ext4 /dev/sda rw\n")
    mechanism = cgroup.choose(root=tmp_path, proc=tmp_path, files=KERNEL)
    leaf = mechanism.leaf(_LIMITS)
    leaf.adjust(_LIMITS)
    leaf.kill()
    told = (leaf.procs_descriptors(), leaf.is_out_of_memory(), leaf.peak_bytes())
    leaf.close()
    mechanism.close()

    assert ([], False, None) == told
    assert ("cgroup v2: it is not mounted", 2) == (mechanism.notes[0], len(mechanism.notes))
    assert {
        "memory_bytes": "rlimit and watcher",
        "shared_memory": "unlimited",
        "processes": "rlimit",
        "cpu_millicores": "unlimited",
    } == mechanism.enforced_by(_LIMITS)


# -- after a kill -----------------------------------------------------------------------------


def test_the_sweep_takes_the_homes_of_the_dead_and_leaves_those_of_the_living(
    tmp_path: Path,
) -> None:
    """A home belongs to whoever holds its lock."""
    fake = _Fake(tmp_path / "cgroup")
    living = Home(fake.mount, fake)
    dead = fake.mount / "orq-runtime.0123456789ab"
    fake.make(dead)
    fake.make(dead / "run-1-1")
    (dead / "run-1-1" / "cgroup.procs").write_text("4711\n")

    swept = sweep_parent(fake.mount, fake)

    assert ((1, 1), False, True) == (swept, dead.exists(), living.path.exists())
    living.close()
    assert (0, 0) == sweep_parent(fake.mount, fake)


def test_a_later_host_in_another_group_finds_what_was_left(tmp_path: Path) -> None:
    """Hosts write down where they have homes; a place outside the hierarchy is never touched."""
    fake = _Fake(tmp_path / "cgroup")
    register = tmp_path / "register"
    fake.make(fake.mount / "old")
    fake.make(fake.mount / "old" / "orq-runtime.0123456789ab")
    outside = tmp_path / "outside" / "orq-runtime.0123456789ab"
    outside.mkdir(parents=True)
    record(register, [fake.mount / "old", outside.parent])

    removed = sweep_recorded(register, fake.mount, fake)

    assert (1, True, []) == (removed, outside.exists(), list(register.iterdir()))
    assert [] == list((fake.mount / "old").glob("orq-*"))
