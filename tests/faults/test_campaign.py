"""Every method of breaking a supply, in its short form: each fault takes place, nothing breaks."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.faults import kernel_faults, power_cut, tap
from tests.faults.campaign import METHODS, NEEDS
from tests.faults.published import publish_once
from tests.faults.tap import Answer
from tests.faults.trials import Grounds

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", METHODS)
def test_no_fault_breaks_the_store(name: str, tmp_path: Path) -> None:
    """After each fault what has a name is whole, and the next supply heals."""
    if name in NEEDS and not NEEDS[name][0]():
        pytest.skip(NEEDS[name][1])

    found = METHODS[name](tmp_path, is_long=False)

    assert ((), 0) == (found.reasons, found.broken)
    assert found.injected > 0
    assert (found.injected, found.injected) == (found.fired, found.healed)


@pytest.fixture
def tapped() -> None:
    """Skip where system calls cannot be tapped."""
    if not tap.is_available():
        pytest.skip("system calls cannot be tapped here")


@pytest.mark.parametrize(
    ("kind", "is_noticed"), [("syncfs", True), ("fsync", True), ("fsync of a folder", False)]
)
def test_a_power_cut_is_noticed_where_a_sync_is_taken_out(
    tapped: None, tmp_path: Path, kind: str, is_noticed: bool
) -> None:
    """The control: without one sync a state exists that is not whole. Only the last needs none:

    without it a power cut may take the whole name, and nothing is what a miss finds.
    """
    calls = kernel_faults.publish_calls(tmp_path / "root")
    found = power_cut.operations(calls, str(tmp_path / "root"))
    places = [
        number
        for number, one in enumerate(found)
        if one.kind == kind.partition(" ")[0]
        and (one.kind != "fsync" or (one.path == "store") == kind.endswith("folder"))
    ]

    assert 1 == len(places)
    without = [one for number, one in enumerate(found) if number not in places]
    assert [] == kernel_faults.broken_states(found)[1]
    assert is_noticed == bool(kernel_faults.broken_states(without)[1])


def test_an_error_of_the_last_sync_is_no_failure(tapped: None, tmp_path: Path) -> None:
    """The folder has its name and is whole: others use it already. One of the first is."""

    def run(root: Path, name: str) -> tuple[int, bool]:
        (root / "documents").mkdir(parents=True)

        def judge(call: tap.Call) -> Answer | int:
            is_it = call.name == name and not call.paths[0].endswith(".draft")
            return errno.EIO if is_it else Answer.PASS

        ended = kernel_faults.run_published(root, judge)
        return ended.status, (root / "store" / "key").is_dir()

    assert (0, True) == run(tmp_path / "last", "fsync")
    assert (1, False) == run(tmp_path / "first", "syncfs")


@pytest.mark.parametrize("answer", [errno.ENOLCK, errno.ENOSYS, Answer.PRETEND])
def test_a_file_system_without_locks_is_refused(
    tapped: None, tmp_path: Path, answer: Answer | int
) -> None:
    """One that has none says so; one that gives every lock to everybody is found out."""
    ground = Grounds(tmp_path, is_primed=False).fresh()

    ended = kernel_faults.run_supply(
        ground, lambda call: answer if call.name == "flock" else Answer.PASS
    )

    assert 3 == ended.status
    assert "StoreError: " in ended.said
    assert "lock" in ended.said


def test_a_disk_that_fills_while_a_component_is_copied_is_the_hosts_fault(
    tapped: None, tmp_path: Path
) -> None:
    """It is the store that has no space: the component is not blamed."""
    ground = Grounds(tmp_path).fresh()
    copies = ("sendfile", "copy_file_range")

    ended = kernel_faults.run_supply(
        ground, lambda call: errno.ENOSPC if call.name in copies else Answer.PASS
    )

    assert 3 == ended.status
    assert ended.said.startswith("StoreError: ")


def test_the_control_publishes(tmp_path: Path) -> None:
    """Without a fault the program that faults are injected into does what it should."""
    (tmp_path / "documents").mkdir()

    publish_once(tmp_path)

    assert b"one" == (tmp_path / "store" / "key" / "one").read_bytes()
    assert [] == list((tmp_path / "staging").iterdir())
