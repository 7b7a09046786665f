"""Faults of processes: killed at any moment, racing for one key, stopped in the middle."""

from __future__ import annotations

import functools
import os
import random
import select
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from orq_runtime.errors import OrqRuntimeError
from orq_runtime.events import Event
from orq_runtime.model.environment import SupplyRequest
from tests.architecture.sources import REPOSITORY
from tests.faults import tap
from tests.faults.tap import Answer, Call
from tests.faults.trials import Ground, Grounds, Tally, Trial, environment, tally
from tests.supply_fixtures import supplier_with

__all__ = ["SEED", "races", "random_kills", "stopped_builders"]

SEED = 20261124
_PATIENCE_SECONDS = 120


def random_kills(room: Path, *, is_long: bool) -> Tally:
    """`kill -9` of a supply at a random moment, measured by how long one takes (seeded)."""
    grounds = Grounds(room)
    lasts = _seconds(grounds.fresh())
    moments = random.Random(SEED)
    count = 200 if is_long else 6
    todo = [_killed(moments.uniform(0.05, 0.95) * lasts, grounds) for _ in range(count)]
    return tally(grounds.each(todo, at_once=2))


def _seconds(ground: Ground) -> float:
    """How long a supply takes here, by the clock of its own process."""
    program = "import time\nbegun = time.monotonic()\n"
    argv = ground.argv
    argv[2] = program + argv[2] + "\nprint(time.monotonic() - begun)\n"
    process = ground.start(argv)
    said, _ = process.communicate(timeout=_PATIENCE_SECONDS)
    return float(said)


def _killed(after_seconds: float, grounds: Grounds) -> Callable[[Ground], Trial]:
    """A supply that was faster than the measured one is no trial: the next is killed earlier."""

    def trial(ground: Ground) -> Trial:
        found, moment = _killed_after(after_seconds, ground), after_seconds
        while not found.is_fired and not found.broken:
            moment *= 0.7
            (found,) = grounds.each([functools.partial(_killed_after, moment)], at_once=1)
        return found

    return trial


def _killed_after(after_seconds: float, ground: Ground) -> Trial:
    argv = ground.argv
    argv[2] = "print('begun', flush=True)\n" + argv[2]
    process = ground.start(argv)
    assert process.stdout is not None
    process.stdout.readline()
    ended = os.pidfd_open(process.pid)
    select.select([ended], [], [], after_seconds)
    process.kill()
    said, _ = process.communicate(timeout=_PATIENCE_SECONDS)
    os.close(ended)
    return ground.after(
        fired=process.returncode == -signal.SIGKILL,
        fault=f"kill -9 after {after_seconds:.3f} s",
        ended=(process.returncode, said),
    )


def races(room: Path, *, is_long: bool) -> Tally:
    """Several builders ask for one key at the same moment; another one cleans."""
    grounds = Grounds(room)
    return tally(grounds.each([_raced] * (10 if is_long else 2), at_once=1))


def _raced(ground: Ground) -> Trial:
    builders = [ground.start() for _ in range(4)]
    ground.shop.supplier().clean()
    broken = []
    for builder in builders:
        said, _ = builder.communicate(timeout=_PATIENCE_SECONDS)
        if builder.returncode != 0:
            broken.append(f"a builder failed: {said[-300:]}")
    after = ground.after(fired=True, fault="a race")
    return Trial(is_fired=True, broken=(*broken, *after.broken), is_healed=after.is_healed)


def stopped_builders(room: Path, *, is_long: bool) -> Tally:
    """A builder is stopped at a system call; another waits for it, or not, and succeeds."""
    grounds = Grounds(room)
    total = tap.run(
        (first := grounds.fresh()).argv,
        root=first.cache,
        cwd=REPOSITORY,
        environment=environment(),
    ).calls
    moments = random.Random(SEED)
    numbers = [moments.randrange(1, total * 9 // 10) for _ in range(15 if is_long else 3)]
    return tally(grounds.each([_stopped_at(number) for number in numbers], at_once=2))


def _stopped_at(number: int) -> Callable[[Ground], Trial]:
    def trial(ground: Ground) -> Trial:
        stopped = threading.Event()
        host: list[int] = []

        def judge(call: Call) -> Answer:
            host[:] = host or [call.pid]
            if call.number == number:
                os.kill(host[0], signal.SIGSTOP)
                stopped.set()
            return Answer.PASS

        ended: list[tap.Tapped] = []

        def build() -> None:
            ended.append(
                tap.run(
                    ground.argv,
                    root=ground.cache,
                    judge=judge,
                    cwd=REPOSITORY,
                    environment=environment(),
                )
            )
            stopped.set()

        builder = threading.Thread(target=build)
        builder.start()
        stopped.wait(_PATIENCE_SECONDS)
        broken = _supplied_beside(ground, host)
        if not ended:
            os.kill(host[0], signal.SIGCONT)
        builder.join(_PATIENCE_SECONDS)
        if not ended or ended[0].status != 0:
            broken.append(f"the stopped supply: {ended}")
        after = ground.after(fired=True, fault=f"stopped at call {number}")
        broken += after.broken
        return Trial(is_fired=bool(host), broken=tuple(broken), is_healed=after.is_healed)

    return trial


def _supplied_beside(ground: Ground, host: list[int]) -> list[str]:
    """A supply of the same beside a stopped one, which goes on when it is waited for."""

    def go_on(event: Event) -> None:
        if (event.phase, event.state) == ("wait", "started") and host:
            os.kill(host[0], signal.SIGCONT)

    supplier = supplier_with(ground.shop.settings(), go_on, isolation=ground.isolation)
    component = supplier.component(ground.component)
    try:
        supplier.supply(SupplyRequest(components=(component,)))
    except OrqRuntimeError as error:
        return [f"the other supply: {type(error).__name__}: {error}"]
    return []
