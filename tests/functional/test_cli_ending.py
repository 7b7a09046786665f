"""How the command line ends before its time: signals, readers that leave, failures of ours."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.cli_fixtures import STEPS, Cli

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(cache_dir: Path, tmp_path: Path) -> Cli:
    """The command line over the session's store."""
    steps = tmp_path / "steps.py"
    steps.write_text(STEPS, "utf-8")
    return Cli(cache=cache_dir, steps=steps)


def _waiting(fifo: Path) -> tuple[str, ...]:
    """Without a wall: the step writes to a file of the host's."""
    return ("-i", f"fifo={fifo}", "--isolation", "process")


def _begun(fifo: Path) -> int:
    """Wait until the step says that it is under way; its process id."""
    return int(fifo.read_text("utf-8"))


@pytest.mark.parametrize("start", ["exec", "zygote"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_run(
    cli: Cli, tmp_path: Path, number: signal.Signals, code: int, start: str
) -> None:
    """The step is dead, what it printed is shown, and there is no traceback."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = cli.start(
        "run",
        cli.step("waits"),
        "-i",
        f"fifo={fifo}",
        "--isolation",
        "process",
        "--start",
        start,
        "-q",
    )
    step = _begun(fifo)
    os.killpg(process.pid, number)
    out, err = process.communicate()

    assert (code, b"") == (process.returncode, out)
    assert f"begun\norq-runtime: ended by {number.name}\n" == err.decode()
    with pytest.raises(ProcessLookupError):
        os.kill(step, 0)


def test_a_run_that_was_ended_has_its_document(cli: Cli, tmp_path: Path) -> None:
    """The verdict is `cancelled`, with what was printed."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    words = (
        "run",
        cli.step("waits"),
        "-i",
        f"fifo={fifo}",
        "--isolation",
        "process",
        "--output-format",
        "json",
    )
    process = cli.start(*words)
    _begun(fifo)
    os.killpg(process.pid, signal.SIGINT)
    document = json.loads(process.communicate()[0])

    assert ("cancelled", "yes", "begun\n") == (
        document["verdict"],
        document["began"],
        document["stdout"],
    )


def test_nothing_of_an_ended_run_stays_in_the_store(cli: Cli, tmp_path: Path) -> None:
    """The run's folder is gone."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = cli.start("run", cli.step("waits"), *_waiting(fifo))
    _begun(fifo)
    runs = Path(tempfile.gettempdir()) / f"orq-runtime-{os.geteuid()}"
    mine = {path for path in runs.glob("*/guest-*/run-*") if _stands_in(path, process.pid)}
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()

    assert 1 == len(mine)
    assert not any(path.exists() for path in mine)


def _stands_in(folder: Path, host: int) -> bool:
    """Whether a descendant of the host works in the folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink().is_relative_to(folder) and host in _above(entry.name):
                    return True
    return False


def _above(pid: str) -> list[int]:
    found: list[int] = []
    while int(pid) > 1:
        pid = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        found.append(int(pid))
    return found


def test_a_signal_that_is_ignored_stays_so(cli: Cli) -> None:
    """Under `nohup` a closed terminal does not end the run."""
    said = subprocess.run(
        ["nohup", sys.executable, "-m", "orq_runtime", "run", cli.step("echo"), "-i", "value=a"],
        env=cli.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )

    assert (0, b'"a"\n') == (said.returncode, said.stdout)


@pytest.mark.parametrize(
    "words", [("run", "echo", "-i", "value=a"), ("schema", "outcome"), ("--version",), ("--help",)]
)
def test_a_reader_that_left_ends_the_command_quietly(cli: Cli, words: tuple[str, ...]) -> None:
    """The exit code is that of a closed pipe, and nobody complains."""
    cli("supply", str(cli.steps))
    given = [cli.step(word) if word == "echo" else word for word in words]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = cli.start(*given, stdout=writing)
    finally:
        os.close(writing)
    _, err = process.communicate()

    assert (141, b"") == (process.returncode, err)


def test_a_full_disk_is_said(cli: Cli) -> None:
    """A result that cannot be written is an error, and not an internal one."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        process = cli.start("run", cli.step("echo"), "-i", "value=a", stdout=full)
    finally:
        os.close(full)
    _, err = process.communicate()

    assert 125 == process.returncode
    assert b"cannot write the result to stdout: No space left on device" in err
    assert b"Traceback" not in err


# a path that no command line can hold: the operating system's refusal is a ValueError
_CRASH = """
import sys
from orq_runtime.cli import main
sys.exit(main(["doctor", "--cache-dir", "a" + chr(0)]))
"""


@pytest.mark.parametrize("is_debugged", [False, True])
def test_a_failure_of_ours_exits_with_125(cli: Cli, *, is_debugged: bool) -> None:
    """One line that asks for a report; the traceback only for who asks for it."""
    variables = {"ORQ_RUNTIME_DEBUG": "1"} if is_debugged else {}
    said = subprocess.run(
        [sys.executable, "-c", _CRASH],
        env={**cli.environment(), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (125, "") == (said.returncode, said.stdout)
    assert "orq-runtime: internal error: ValueError: " in said.stderr
    assert "please report" in said.stderr
    assert is_debugged == ("Traceback" in said.stderr)
