"""Starting guest processes: the command, the clean environment, and why one did not start."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orq_runtime._dataclass import dataclass
from orq_runtime._run.cgroup import Leaf
from orq_runtime._run.channel import Channel
from orq_runtime._run.ground import Ground
from orq_runtime._run.guest import Guests, start_guest
from orq_runtime._run.slot import Slot
from orq_runtime._run.wall import Wall
from orq_runtime.errors import NeverStarted, WallUnavailable
from orq_runtime.model.environment import Environment

__all__ = ["Launch", "launch", "launch_command", "launch_exec", "why_it_died"]

_MOST_WORDS = 64 * 1024
_WALL_STATUS = 77  # the guest's `boot.WALL_STATUS`
_END_SECONDS = 10.0
_OURS = {"namespaces": 4, "landlock": 2, "process": 1}  # shepherds, what they guard, init


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a guest process is started from; equal launches are interchangeable."""

    environment: Environment
    bundle: Path
    wall: Wall
    preload: tuple[str, ...] = ()
    is_command: bool = False

    def __hash__(self) -> int:
        # asked for by each run: the few parts by which launches differ most
        return hash((self.environment.key, self.wall.tier, self.preload))


def launch(
    guests: Guests,
    what: Launch,
    ground: Ground,
    mode: str,
    descriptors: Sequence[int],
    run: Mapping[str, object] | None = None,
) -> subprocess.Popen[bytes]:
    """A guest in `mode` that has these descriptors.

    Its stderr is a pipe until it has booted: `why_it_died`. Raises `NeverStarted`.
    """
    environment = what.environment
    orders = {
        "mode": mode,
        "wall": what.wall.policy(scratch=ground.scratch, run_uid=ground.run_uid),
        "run": dict(run or {}),
        "support": str(environment.support),
        "site_packages": str(environment.site_packages),
        "prefix": str(environment.path),
        "preload": list(what.preload),
    }
    # not the environment's own link to it: a guest may have been started before that was known
    return guests.order(environment.interpreter.path, what.bundle, orders, descriptors)


def launch_exec(guests: Guests, what: Launch, ground: Ground, leaf: Leaf) -> Slot:
    """A process of its own for one run: the same harness without a zygote. It owns the ground."""
    if what.is_command:
        python = what.environment.interpreter.path
        return launch_command(python, what.bundle, what.wall, ground, leaf)

    def start(descriptors: list[int], run: Mapping[str, object]) -> subprocess.Popen[bytes]:
        return launch(guests, what, ground, "exec", descriptors, run)

    return _launched_alone(start, ground, leaf)


def launch_command(python: Path, bundle: Path, wall: Wall, ground: Ground, leaf: Leaf) -> Slot:
    """A process of its own that becomes the command of its request. It owns the ground."""

    def start(descriptors: list[int], run: Mapping[str, object]) -> subprocess.Popen[bytes]:
        orders = {
            "mode": "command",
            "wall": {
                **wall.policy(scratch=ground.scratch, run_uid=ground.run_uid),
                # programs copy files with their times and modes, and take a refusal for a failure
                "feigns_attributes": True,
            },
            "run": dict(run),
        }
        return start_guest(python, bundle, orders, descriptors)

    return _launched_alone(start, ground, leaf)


def _launched_alone(
    start: Callable[[list[int], Mapping[str, object]], subprocess.Popen[bytes]],
    ground: Ground,
    leaf: Leaf,
) -> Slot:
    channel = Channel()
    try:
        folder = ground.run_folder()
        run = {} if folder is None else {"folder": str(folder)}
        process = start([*channel.guest_ends(), *leaf.procs_descriptors()], run)
        channel.forget_guest()
        leaf.forget_guest()
        pidfd = os.pidfd_open(process.pid)
        return Slot(
            channel,
            pidfd,
            leaf=leaf,
            process=process,
            folder=ground.scratch,
            run_uid=ground.run_uid,
            ours=_OURS[ground.tier],
        )
    except BaseException:
        channel.close()
        leaf.close()
        ground.remove()
        raise


def why_it_died(process: subprocess.Popen[bytes], what: str) -> NeverStarted | WallUnavailable:
    """The error for a guest that closed its sockets before it was of use."""
    try:
        status = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return NeverStarted(f"{what} closed its socket")
    words = _last_words(process)
    if status == _WALL_STATUS:
        return WallUnavailable(words, hint="`orq-runtime doctor` says what this machine can give")
    return NeverStarted(f"{what} ended with status {status} {words}".strip())


def _last_words(process: subprocess.Popen[bytes]) -> str:
    """What a guest that died in its boot wrote to stderr, as far as it is there now."""
    if process.stderr is None:
        return ""
    descriptor = process.stderr.fileno()
    poll = select.poll()  # descriptors over 1023 are beyond `select`
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(0):
        return ""
    return os.read(descriptor, _MOST_WORDS).decode("utf-8", "replace").strip()[-2000:]
