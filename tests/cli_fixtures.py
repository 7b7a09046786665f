"""The real command line as a process, for tests: its streams, its exit code, its steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.architecture.sources import tree_environment

__all__ = ["STEPS", "Cli", "Said"]

STEPS = """
import os, signal, sys, time

def greet(name: str, times: int = 1) -> str:
    return " ".join(["Grüße, " + name] * times)

def echo(value):
    return value

def numbers(xs: list[int], ratio: float = 1.0) -> int:
    return sum(xs)

def prints(text: str) -> None:
    print("to stdout:", text)
    print("to stderr:", text, file=sys.stderr)

def raises(secret: str) -> None:
    try:
        {}[secret]
    except KeyError as error:
        raise ValueError("no such thing") from error

def wrong_result() -> int:
    return "a"

def not_encodable():
    return object()

def exits(status: int) -> None:
    os._exit(status)

def dies_of(number: int) -> None:
    os.kill(os.getpid(), number)

def returns_much() -> str:
    return "x" * (65 * 1024 * 1024)

def waits(fifo: str) -> None:
    print("begun", flush=True)
    with open(fifo, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        """Its stdout, which is one JSON object and a line end."""
        assert self.out.endswith("\n")
        assert 1 == self.out.count("\n")
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cli:
    """The command line with a store and a file of steps."""

    cache: Path
    steps: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def step(self, function: str) -> str:
        """The target of a function in the file of steps."""
        return f"{self.steps}:{function}"

    def environment(self) -> dict[str, str]:
        """The variables of the process."""
        mine = {"ORQ_RUNTIME_CACHE_DIR": str(self.cache), "XDG_CONFIG_HOME": str(self.cache)}
        return {**tree_environment(), **mine, **self.variables}

    def start(self, *words: str, **streams: int) -> subprocess.Popen[bytes]:
        """A process in a group of its own. The caller waits for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "orq_runtime", *words],
            stdin=streams.get("stdin", subprocess.DEVNULL),
            stdout=streams.get("stdout", subprocess.PIPE),
            stderr=streams.get("stderr", subprocess.PIPE),
            env=self.environment(),
            start_new_session=True,
        )

    def __call__(self, *words: str, stdin: bytes = b"", cwd: Path | None = None) -> Said:
        """Run a command to its end."""
        said = subprocess.run(
            [sys.executable, "-m", "orq_runtime", *words],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env=self.environment(),
            check=False,
        )
        return Said(code=said.returncode, out=said.stdout.decode(), err=said.stderr.decode())


def read_terminal(master: int) -> bytes:
    """All that is written to a terminal until nobody holds its other end."""
    shown = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # EIO: the last holder has closed it
            return shown
        if not chunk:
            return shown
        shown += chunk
