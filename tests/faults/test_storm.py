"""Whatever of a runtime is killed, every run ends, and says truly whether it began."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime.model.outcome import Outcome

_MARKS = orq.Step(
    source=(
        "import os\n"
        "def f(folder: str, n: int) -> int:\n"
        "    os.close(os.open(f'{folder}/{n}', os.O_CREAT | os.O_WRONLY))\n"
        "    return n\n"
    ),
    function="f",
)
_RUNS = 80
_EVERY = 4
"""So many outcomes from one kill to the next."""


def _under(pid: int) -> Iterator[int]:
    """All processes under one."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text("ascii").split():
                yield int(child)
                yield from _under(int(child))


class _Killer:
    """Kills one of the processes under this one at random: zygotes, their walls, inits, steps."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._before = set(_under(os.getpid()))

    def strike(self) -> None:
        ours = sorted(set(_under(os.getpid())) - self._before)
        if ours:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._random.choice(ours), signal.SIGKILL)


def _inputs(folder: Path) -> list[dict[str, object]]:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    return [{"folder": str(folder), "n": n} for n in range(_RUNS)]


def _more(folder: Path) -> list[dict[str, object]]:
    """Inputs of a few runs more: the first may get a child that was killed a moment ago."""
    return [{"folder": str(folder), "n": _RUNS + n} for n in range(4)]


def _confirm(outcomes: list[Outcome], folder: Path) -> None:
    """Each run ended once; what says that it has not begun left no mark."""
    marked = [(folder / str(n)).exists() for n in range(_RUNS)]

    assert _RUNS == len(outcomes)
    assert not any(
        is_marked for is_marked, one in zip(marked, outcomes, strict=True) if one.began == "no"
    )
    assert all(is_marked for is_marked, one in zip(marked, outcomes, strict=True) if one.ok)
    assert all(one.began == "yes" for one in outcomes if one.ok)
    assert {one.verdict for one in outcomes} <= {"ok", "killed", "never_started"}


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["namespaces", "process"])
def test_every_run_ends_while_processes_are_killed(tmp_path: Path, isolation: str) -> None:
    """Of eight runs at once, in threads; afterwards all is as it was."""
    folder = tmp_path / "marks"
    policy = orq.Policy(writable=[folder])
    inputs = _inputs(folder)
    outcomes: list[Outcome] = []
    with orq.Runtime(
        cache_dir=tmp_path / "cache", isolation=isolation, policy=policy, concurrency=8
    ) as runtime:
        killer = _Killer(1)
        for outcome in runtime.map(_MARKS, inputs, check=False):
            outcomes.append(outcome)
            if len(outcomes) % _EVERY == 0:
                killer.strike()
        again = [runtime.run(_MARKS, one, check=False) for one in _more(folder)]

    _confirm(outcomes, folder)
    assert "ok" == again[-1].verdict, again[-1].failure


@pytest.mark.slow
def test_every_run_ends_in_an_event_loop_while_processes_are_killed(tmp_path: Path) -> None:
    """The same, driven by one event loop."""
    folder = tmp_path / "marks"
    inputs = _inputs(folder)
    outcomes: list[Outcome] = []

    async def main() -> Outcome:
        async with orq.AsyncRuntime(
            cache_dir=tmp_path / "cache", policy=orq.Policy(writable=[folder]), concurrency=8
        ) as runtime:
            killer = _Killer(2)
            async for outcome in runtime.map(_MARKS, inputs, check=False):
                outcomes.append(outcome)
                if len(outcomes) % _EVERY == 0:
                    killer.strike()
            return [await runtime.run(_MARKS, one, check=False) for one in _more(folder)][-1]

    again = asyncio.run(main())

    _confirm(outcomes, folder)
    assert "ok" == again.verdict, again.failure
