"""Commands behind the wall: the guest becomes the program, the machine follows it to its end.

Rules of this file:

1. A command starts like a run without a zygote, and the same machine decides how it ended.
2. The writable folder is given to the run's user before, and is a stranger's afterwards: whoever
   reads it checks what is there, as `_supply/files` does.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Self

from orq_runtime._run import drive_sync
from orq_runtime._run.argv import command_request
from orq_runtime._run.bundle import stage
from orq_runtime._run.cgroup import Mechanism
from orq_runtime._run.codec import new_seal
from orq_runtime._run.exceeded import of_group
from orq_runtime._run.ground import Grounds
from orq_runtime._run.guest import GUEST_VARIABLES
from orq_runtime._run.held import enforced_by
from orq_runtime._run.launch import launch_command, why_it_died
from orq_runtime._run.machine import Machine
from orq_runtime._run.outcome import Circumstances, conclude
from orq_runtime._run.sentry import Watched
from orq_runtime._run.slot import Slot
from orq_runtime._run.wall import command_wall
from orq_runtime.errors import NeverStarted
from orq_runtime.model.command import Command, CommandEnd
from orq_runtime.model.outcome import Outcome

__all__ = ["Commands", "Started"]


class Commands:
    """Runs commands in one tier. Owns nothing; safe for several threads."""

    def __init__(
        self, *, isolation: str, grounds: Grounds, mechanism: Mechanism, cache_dir: Path
    ) -> None:
        self._isolation = isolation
        self._grounds = grounds
        self._mechanism = mechanism
        self._cache_dir = cache_dir

    def run(self, command: Command) -> CommandEnd:
        """Run it to its end. Blocks. Raises `SandboxError` when it could not be started."""
        with self.start(command) as started:
            return started.end()

    def start(self, command: Command) -> Started:
        """Have it start, and go on meanwhile. Raises `SandboxError` where that is known at once."""
        seal = new_seal()
        request = command_request(
            command.argv,
            environ={**GUEST_VARIABLES, **command.environ},
            folder=command.folder,
            seal=seal,
            source=command.source,
        )
        slot = self._launched(command)
        try:
            slot.begin(request)
        except BaseException:
            slot.close()
            raise
        return Started(command, slot, seal, self._isolation, self._mechanism)

    def _launched(self, command: Command) -> Slot:
        bundle = stage(self._cache_dir, command.interpreter)
        has_cgroup = self._mechanism.has_cgroup
        wall = command_wall(self._isolation, command, bundle, has_cgroup=has_cgroup)
        ground = self._grounds.make(self._isolation)
        places = [ground.scratch]
        try:
            if command.writable is not None:
                places.append(command.writable)
                if ground.run_uid is not None:
                    _give(command.writable, ground.run_uid)
            leaf = self._mechanism.leaf(command.limits)
        except OSError as error:
            ground.remove()
            raise NeverStarted(f"the command has no place to run: {error}") from error
        slot = launch_command(command.interpreter.path, bundle, wall, ground, leaf)
        try:
            leaf.adjust(command.limits)
            slot.post_sentry(self._watched(command, places))
        except OSError as error:
            slot.close()
            raise NeverStarted(f"the command cannot be watched: {error}") from error
        return slot

    def _watched(self, command: Command, places: list[Path]) -> Watched:
        limits = command.limits
        held = enforced_by(self._mechanism, self._isolation, limits)
        return Watched(
            memory_bytes=limits.memory_bytes if "watcher" in held["memory_bytes"] else None,
            processes=limits.processes if held["processes"] == "watcher" else None,
            folders=tuple(places),
            disk_bytes=command.writable_bytes,
        )


class Started:
    """A command on its way: a context manager, whose end is the command's. Owns the slot."""

    def __init__(
        self, command: Command, slot: Slot, seal: bytes, isolation: str, mechanism: Mechanism
    ) -> None:
        self._command = command
        self._slot = slot
        self._seal = seal
        self._isolation = isolation
        self._mechanism = mechanism

    def end(self) -> CommandEnd:
        """How it ended. Blocks, for as long as its limits say from now.

        Raises `SandboxError` when it could not be started.
        """
        limits, slot = self._command.limits, self._slot
        asked_ns = time.monotonic_ns()
        deadline_ns = asked_ns + int(limits.wall_seconds * 1e9)
        machine = Machine(limits, deadline_ns=deadline_ns, seal=self._seal)
        drive_sync.run(machine, slot)
        outcome = self._outcome(machine, asked_ns)
        if outcome.verdict == "never_started" and slot.process is not None:
            raise why_it_died(slot.process, "the guest of a command")
        return _end(outcome)

    def close(self) -> None:
        """End it, and all that it has started. Calling it again does nothing."""
        self._slot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _outcome(self, machine: Machine, asked_ns: int) -> Outcome:
        command = self._command
        held = enforced_by(self._mechanism, self._isolation, command.limits)
        wall = (time.monotonic_ns() - asked_ns) / 1e9
        limits, tier = command.limits, self._isolation
        seen = Circumstances(None, limits, "warm", tier, held, {}, wall, is_command=True)
        seen.peak_memory_bytes = self._slot.leaf.peak_bytes()
        return of_group(conclude(machine, seen), self._slot.leaf, command.limits)


def _give(folder: Path, uid: int) -> None:
    """Make a folder, with all that the caller has put there, the run's."""
    os.chown(folder, uid, uid)
    for _, folders, names, at in os.fwalk(folder):
        for name in (*folders, *names):
            os.chown(name, uid, uid, dir_fd=at, follow_symlinks=False)


def _end(outcome: Outcome) -> CommandEnd:
    return CommandEnd(
        verdict=outcome.verdict,
        message=outcome.failure.message if outcome.failure else "",
        exit_status=outcome.exit_status,
        signal=outcome.signal,
        isolation=outcome.isolation,
        enforced_by=outcome.enforced_by,
        usage=outcome.usage,
        stdout=outcome.stdout,
        stderr=outcome.stderr,
    )
