"""What parked children do before their request is there, and what they must not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime.errors import FunctionRaised, StepExited

_TIMES = 6
"""Runs of one step, one after another: by the last of them its children were told of it."""

_WHEN = """
import time
loaded = time.monotonic_ns()
def f() -> int:
    return loaded
"""

_SEEKS = """
import gc, linecache, sys
SECRET = "{secret}"
def f(half: str) -> bool:
    wanted = half + "-of-this-step"
    groups = [group for group in gc.get_objects() if isinstance(group, (dict, list, tuple))]
    groups = [list(one.values()) if isinstance(one, dict) else one for one in groups]
    return any(isinstance(one, str) and wanted in one for group in groups for one in group)
"""


@pytest.fixture
def runtime(cache_dir: Path) -> Iterator[orq.Runtime]:
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        yield runtime


@pytest.fixture
def binding(cache_dir: Path) -> Iterator[orq.Runtime]:
    with orq.Runtime(cache_dir=cache_dir, bind=True) as runtime:
        yield runtime


def _settled(runtime: orq.Runtime) -> None:
    """Wait until a child is parked: it was told what it was to be told."""
    deadline = time.monotonic() + 30
    while not runtime.stats().parked and time.monotonic() < deadline:
        os.sched_yield()


def _runs(runtime: orq.Runtime, step: orq.Step, inputs: dict[str, object]) -> list[orq.Outcome]:
    found = []
    for _ in range(_TIMES):
        found.append(runtime.run(step, inputs, check=False))
        _settled(runtime)
    return found


def test_a_module_is_not_executed_before_its_request(runtime: orq.Runtime) -> None:
    """Also where its children know it: they have compiled it, and no more."""
    step = orq.Step(source=_WHEN, function="f")
    _runs(runtime, step, {})
    before = time.monotonic_ns()
    loaded = runtime.run(step).value

    assert isinstance(loaded, int)
    assert before < loaded


def test_with_bind_a_module_is_executed_before_its_request(cache_dir: Path, tmp_path: Path) -> None:
    """Whoever asks for that gets it, once the step was asked for twice; each child does it once."""
    bell = tmp_path / "bell"
    os.mkfifo(bell)
    heard = os.open(bell, os.O_RDWR)  # for writing too: then it never ends
    source = f"{_WHEN}import os\nos.write(os.open({str(bell)!r}, os.O_WRONLY), b'.')\n"
    step = orq.Step(source=source, function="f")
    with orq.Runtime(cache_dir=cache_dir, bind=True, isolation="process", spares=1) as runtime:
        for _ in range(2):
            runtime.run(step)
            os.read(heard, 1)
        for _ in range(_TIMES):
            os.read(heard, 1)  # nobody has asked yet
            before = time.monotonic_ns()
            loaded = runtime.run(step).value
            assert isinstance(loaded, int)
            assert loaded < before
    os.close(heard)


def test_an_edited_file_is_what_runs(runtime: orq.Runtime, tmp_path: Path) -> None:
    """Children that have compiled what it was before are ended."""
    tmp_path.chmod(0o755)
    file = tmp_path / "step.py"
    step = orq.Step(file=file, function="f")
    values = []
    for number in range(3):
        file.write_text(f"def f() -> int:\n    return {number}\n")
        values += [outcome.value for outcome in _runs(runtime, step, {})]

    assert [0] * _TIMES + [1] * _TIMES + [2] * _TIMES == values


def test_steps_that_take_turns_get_their_own_code(runtime: orq.Runtime) -> None:
    """However often a child had been told of the other one."""
    one = orq.Step(source="def f() -> str:\n    return 'one'\n", function="f")
    two = orq.Step(source="def f() -> str:\n    return 'two'\n", function="f")
    steps = (one, one, one, two, two, one, two, one, one, one, one, two)
    values = [runtime.run(step).value for step in steps]

    assert ["one" if step is one else "two" for step in steps] == values


def test_no_step_finds_what_its_child_was_told_of_another(runtime: orq.Runtime) -> None:
    """The code of one step may be a secret to others that share its environment."""
    first = orq.Step(source=_SEEKS.format(secret="first-of-this-step"), function="f")
    other = orq.Step(source=_SEEKS.format(secret="other-of-this-step"), function="f")
    own = [outcome.value for outcome in _runs(runtime, first, {"half": "first"})]
    others = runtime.run(other, {"half": "first"}).value

    assert [True] * _TIMES == own  # it can be found where it is
    assert others is False


def test_what_goes_wrong_ahead_is_told_with_the_answer(binding: orq.Runtime) -> None:
    """As if it had gone wrong then: verdict, frames, and what was printed."""
    source = "print('so far')\nraise ValueError('at import')\n"
    outcomes = _runs(binding, orq.Step(source=source, function="f"), {})

    assert ["raised"] * _TIMES == [outcome.verdict for outcome in outcomes]
    assert ["so far\n"] * _TIMES == [outcome.stdout for outcome in outcomes]
    failures = [outcome.failure for outcome in outcomes]
    assert all(one is not None and one.frames[-1].line == 2 for one in failures)
    with pytest.raises(FunctionRaised, match="at import"):
        binding.run(orq.Step(source=source, function="f"))


@pytest.mark.parametrize("ending", ["os._exit(7)", "raise SystemExit(7)"])
def test_a_module_that_ends_its_process_ahead_ends_the_run(
    binding: orq.Runtime, ending: str
) -> None:
    """A child that died while it was parked is not taken for a run that ended."""
    step = orq.Step(source=f"import os\n{ending}\ndef f() -> None: ...\n", function="f")

    assert [7] * _TIMES == [outcome.exit_status for outcome in _runs(binding, step, {})]
    with pytest.raises(StepExited):
        binding.run(step)


def test_a_syntax_error_is_told_as_ever(runtime: orq.Runtime) -> None:
    """A child that could not compile ahead says so to whoever asks."""
    step = orq.Step(source="def f(:\n", function="f")
    failures = [outcome.failure for outcome in _runs(runtime, step, {})]

    assert {"SyntaxError"} == {one.type for one in failures if one is not None}
    assert len({one.message for one in failures if one is not None}) == 1
