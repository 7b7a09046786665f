"""Misbehaving steps: each costs its own run, with its own verdict, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime import Limits, Outcome, Step
from tests.functional.conftest import Call

_ZOO = Path(__file__).parent.parent / "zoo" / "animals.py"
_SHORT = Limits(wall_seconds=1.0, stdout_bytes=4096)
_LONG = Limits(stdout_bytes=4096)


def _animal(name: str) -> Step:
    # named, or the component would be this whole repository
    return Step(file=_ZOO, function=name, components=[_ZOO.parent])


@pytest.mark.parametrize(
    ("name", "inputs", "verdict"),
    [
        ("sleeps_on", {}, "timeout"),
        ("stops_itself", {}, "timeout"),
        ("spins", {}, "timeout"),
        ("floods_stdout", {}, "timeout"),
        ("ignores_sigterm", {}, "timeout"),
        ("exits", {"status": 3}, "exited"),
        ("exits", {"status": 0}, "no_result"),
        ("leaves", {"wish": 5}, "exited"),
        ("leaves", {"wish": "bye"}, "exited"),
        ("leaves", {}, "no_result"),
        ("dies_of", {"number": int(signal.SIGSEGV)}, "killed"),
        ("dies_of", {"number": int(signal.SIGKILL)}, "killed"),
        ("dies_of", {"number": int(signal.SIGTERM)}, "killed"),
        ("closes_everything", {}, "no_result"),
        ("closes_stdout", {}, "ok"),
        ("writes_garbage", {}, "protocol_violation"),
        ("answers_twice", {}, "protocol_violation"),
        ("forges_a_failure", {}, "protocol_violation"),
        ("answers_and_crashes", {}, "ok"),
        ("forges_an_answer_and_crashes", {}, "protocol_violation"),
        ("leaves_a_thread", {}, "ok"),
        ("leaves_a_process_on_stdout", {}, "ok"),
        ("replaces_stdout", {}, "ok"),
        ("recurses", {}, "raised"),
        ("raises_strangely", {}, "raised"),
        ("raises_base", {}, "raised"),
        ("talks_to_the_request", {}, "ok"),
    ],
)
@pytest.mark.slow
def test_each_animal_has_its_verdict(
    call: Call, name: str, inputs: dict[str, object], verdict: str
) -> None:
    """Whatever a step does to its process, its run ends with the verdict for it."""
    outcome = call(_animal(name), inputs, limits=_SHORT if verdict == "timeout" else _LONG)

    assert (verdict, "yes") == (outcome.verdict, outcome.began)


def test_a_run_after_a_crash_is_unharmed(call: Call) -> None:
    """The next run of the same runtime does not notice that one was killed."""
    call(_animal("dies_of"), {"number": int(signal.SIGKILL)})

    assert "ok" == call(_animal("leaves_a_thread")).verdict


def test_a_daemon_does_not_outlive_its_run(call: Call) -> None:
    """A process that left its session and its parent is dead when the run is over."""
    mark = f"orq-daemon-{os.getpid()}-{time.monotonic_ns()}"

    outcome = call(_animal("makes_a_daemon"), {"mark": mark})

    assert ("ok", True) == (outcome.verdict, outcome.value), outcome.failure
    assert [] == [line for line in _command_lines() if mark.encode() in line]


def _command_lines() -> Iterator[bytes]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield (entry / "cmdline").read_bytes()


def test_a_step_cannot_end_its_init_behind_a_wall(cache_dir: Path) -> None:
    """The init of a run is out of its step's reach; without a wall killing it ends the run."""
    verdicts = []
    for isolation in ("namespaces", "process"):
        with orq.Runtime(cache_dir=cache_dir, isolation=isolation) as runtime:
            outcome = runtime.run(_animal("kills_its_init"), limits=_SHORT, check=False)
            verdicts.append(outcome.verdict)

    assert ["raised", "killed"] == verdicts


def test_stdout_is_whole_up_to_its_cap(call: Call) -> None:
    """All that a step printed is there, in order."""
    outcome = call(_animal("floods_and_returns"), {"count": 1000})

    assert [f"line {index}" for index in range(1000)] == outcome.stdout.splitlines()


def test_head_and_tail_are_kept_beyond_the_cap(call: Call) -> None:
    """Of too much output the first and the last part are kept, and what is missing is counted."""
    outcome = call(_animal("floods_and_returns"), {"count": 1000}, limits=Limits(stdout_bytes=200))

    total = sum(len(f"line {index}\n") for index in range(1000))
    assert (1000, total - 200) == (outcome.value, outcome.stdout_dropped)
    assert outcome.stdout.startswith("line 0\nline 1\n")
    assert outcome.stdout.endswith("line 998\nline 999\n")


def test_what_was_printed_survives_a_kill(call: Call) -> None:
    """Text without a newline, printed before a SIGKILL, is in the outcome."""
    outcome = call(_animal("ignores_sigterm"), limits=_SHORT)

    assert ("timeout", "deaf") == (outcome.verdict, outcome.stdout)


def test_a_killed_run_has_its_usage(call: Call) -> None:
    """Processor time and memory are known of a run that was stopped at its deadline."""
    outcome = call(_animal("spins"), limits=Limits(wall_seconds=1.0))

    assert outcome.usage.cpu_seconds is not None
    assert outcome.usage.cpu_seconds > 0.02
    assert (outcome.usage.peak_memory_bytes or 0) > 1_000_000


def test_a_result_over_its_cap_is_refused(call: Call) -> None:
    """A result of more bytes than allowed is a limit exceeded, and is not read."""
    outcome = call(_animal("returns_large"), {"size": 200_000}, limits=Limits(result_bytes=100_000))

    assert ("output_exceeded", None) == (outcome.verdict, outcome.value)


def test_the_step_sees_its_own_world_only(call: Call) -> None:
    """No descriptor, variable, module or path of ours or the caller's is there for the step."""
    outcome = call(_animal("sees"))

    seen = outcome.value
    assert isinstance(seen, dict), outcome
    assert [0, 1, 2, 3, 4] == seen["descriptors"]
    assert {"PATH", "LANG", "HOME", "TMPDIR"} == set(seen["environ"])
    assert ([], False, [""], []) == (
        seen["guest_modules"],
        seen["path_has_guest"],
        seen["argv"],
        seen["files"],
    )
    assert seen["cwd"] == seen["environ"]["HOME"]


def test_closing_leaves_no_folder_of_a_run(tmp_path: Path) -> None:
    """What a run has on the disk is removed behind it, at the latest when its runtime closes."""
    with orq.Runtime(cache_dir=tmp_path, isolation="process") as runtime:
        seen = runtime.run(_animal("sees")).value

    assert isinstance(seen, dict)
    assert not Path(seen["cwd"]).exists()


def test_exit_messages_go_to_stderr(call: Call) -> None:
    """`sys.exit("bye")` says bye on stderr and exits with status 1, as everywhere."""
    outcome: Outcome = call(_animal("leaves"), {"wish": "bye"})

    assert ("exited", 1, "bye\n") == (outcome.verdict, outcome.exit_status, outcome.stderr)
