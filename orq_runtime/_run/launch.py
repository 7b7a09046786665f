"""Starting guest processes: the command, the clean environment, and why one did not start."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orq_runtime._run.channel import Channel
from orq_runtime._run.slot import Slot
from orq_runtime.errors import NeverStarted
from orq_runtime.model.environment import Environment

__all__ = ["GUEST_VARIABLES", "Launch", "last_words", "launch", "launch_exec"]

GUEST_VARIABLES: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
"""All that a guest's environment holds before the run's own variables."""

_MOST_WORDS = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a guest process is started from; equal launches are interchangeable."""

    environment: Environment
    bundle: Path
    preload: tuple[str, ...] = ()


def launch(
    what: Launch, mode: str, descriptors: Sequence[int], preload: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a guest in `mode` with the descriptors at their own numbers.

    Its stderr is a pipe until it has booted: `last_words`. Raises `NeverStarted`.
    """
    environment = what.environment
    command = [
        *(str(environment.python), "-I", "-S", "-B", str(what.bundle), mode),
        ",".join(map(str, descriptors)),
        *(str(environment.support), str(environment.site_packages), str(environment.path)),
        *preload,
    ]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            env=GUEST_VARIABLES,
            cwd="/",
            start_new_session=True,  # a Ctrl-C in the caller's terminal is the caller's
        )
    except OSError as error:
        raise NeverStarted(
            f"cannot start `{environment.python}`: {error.strerror}",
            hint="`orq-runtime cache clean` makes environments anew",
        ) from error


def launch_exec(what: Launch) -> Slot:
    """A process of its own for one run: the same harness without a zygote."""
    channel = Channel()
    try:
        process = launch(what, "exec", channel.guest_ends())
        channel.forget_guest()
        if process.stderr is not None:
            process.stderr.close()
        return Slot(channel, os.pidfd_open(process.pid), process)
    except BaseException:
        channel.close()
        raise


def last_words(process: subprocess.Popen[bytes]) -> str:
    """What a guest that died in its boot wrote to stderr, as far as it is there now."""
    if process.stderr is None:
        return ""
    descriptor = process.stderr.fileno()
    if not select.select([descriptor], [], [], 0)[0]:
        return ""
    return os.read(descriptor, _MOST_WORDS).decode("utf-8", "replace").strip()[-2000:]
