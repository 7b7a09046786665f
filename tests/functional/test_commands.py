"""The wall's second entry: a program instead of a function, in every tier that root can have."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orq_runtime._run import cgroup
from orq_runtime._run.command import Commands
from orq_runtime._run.ground import Grounds
from orq_runtime._supply.interpreters import Interpreters
from orq_runtime._supply.store import Store
from orq_runtime.model.command import Command, CommandEnd
from orq_runtime.model.environment import Interpreter
from orq_runtime.model.limits import MIB, Limits

pytestmark = pytest.mark.slow

_TIERS = ["namespaces", "landlock", "process"]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A folder that the users of runs may walk through: pytest's own may not be."""
    with tempfile.TemporaryDirectory(prefix="orq-commands-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def interpreter(root: Path) -> Interpreter:
    """The system's, which every user can read."""
    environment = {"PATH": "/usr/bin:/bin"}
    found = Interpreters(store=Store(root / "cache"), environment=environment, places=())
    return found.find("/usr/bin/python3")


class Bench:
    """Runs commands in one tier, in a folder that they may write."""

    def __init__(self, commands: Commands, interpreter: Interpreter, folder: Path) -> None:
        self.commands = commands
        self.interpreter = interpreter
        self.folder = folder

    def run(
        self, *argv: str, limits: Limits | None = None, writable_bytes: int = 64 * MIB
    ) -> CommandEnd:
        """Run it in the folder."""
        command = Command(
            argv=argv,
            interpreter=self.interpreter,
            folder=self.folder,
            writable=self.folder,
            writable_bytes=writable_bytes,
            limits=limits or Limits(),
            environ={"GIVEN": "yes"},
        )
        return self.commands.run(command)

    def sh(self, script: str, limits: Limits | None = None) -> CommandEnd:
        """Run a script of the shell."""
        return self.run("sh", "-c", script, limits=limits)


@pytest.fixture(params=_TIERS)
def bench(request: pytest.FixtureRequest, root: Path, interpreter: Interpreter) -> Iterator[Bench]:
    """A bench in each tier."""
    folder = root / f"work-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o700)
    (folder / "given.txt").write_text("given\n", "utf-8")
    grounds, mechanism = Grounds(root), cgroup.choose()
    commands = Commands(
        isolation=request.param, grounds=grounds, mechanism=mechanism, cache_dir=root / "cache"
    )
    yield Bench(commands, interpreter, folder)
    grounds.close()
    mechanism.close()


def test_a_command_reads_its_folder_writes_it_and_is_heard(bench: Bench) -> None:
    """The folder is its own, what it prints is kept, and status 0 is `ok`."""
    end = bench.sh("cat given.txt; echo made > made.txt; echo said >&2")

    assert ("ok", 0, "given\n", "said\n") == (
        end.verdict,
        end.exit_status,
        end.stdout,
        end.stderr,
    )
    assert "made\n" == (bench.folder / "made.txt").read_text()


def test_its_environment_is_what_it_was_given(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the host's variables arrives; HOME and TMPDIR are the run's own."""
    monkeypatch.setenv("ORQ_SECRET", "hunter2")

    names = {line.partition("=")[0] for line in bench.sh("env").stdout.splitlines()}

    assert {"GIVEN", "HOME", "TMPDIR", "PATH", "LANG"} == names - {"PWD", "_", "SHLVL", "OLDPWD"}


def test_its_signals_and_descriptors_are_an_ordinary_programs(bench: Bench) -> None:
    """SIGPIPE is not ignored, and nothing but the three standard descriptors is open."""
    code = "import os, signal; print(os.listdir('/proc/self/fd'))"
    script = "yes | head -1"

    descriptors = bench.run("python3", "-I", "-c", code).stdout
    end = bench.sh(script)

    assert "['0', '1', '2', '3']\n" == descriptors  # 3 is that of the listing
    assert ("ok", "y\n", "") == (end.verdict, end.stdout, end.stderr)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 3", ("exited", 3, None)),
        ("kill -15 $$", ("killed", None, 15)),
        ("exec nothing-of-this-name", ("exited", 127, None)),
    ],
)
def test_how_it_ended_is_told(
    bench: Bench, script: str, expected: tuple[str, int | None, int | None]
) -> None:
    """A status or a signal, as for a function."""
    end = bench.sh(script)

    assert expected == (end.verdict, end.exit_status, end.signal)


def test_a_program_that_is_not_there_is_told(bench: Bench) -> None:
    """Before anything ran."""
    end = bench.run("nothing-of-this-name", "x")

    assert "not_found" == end.verdict
    assert "cannot run the command: no such program: `nothing-of-this-name`" == end.message


def test_the_deadline_ends_it_with_all_it_started(bench: Bench) -> None:
    """Also what ignores SIGTERM."""
    script = "trap '' TERM; sleep 60 & sleep 60"
    end = bench.sh(script, Limits(wall_seconds=0.5))

    assert "timeout" == end.verdict


def test_what_it_leaves_running_ends_with_it(bench: Bench) -> None:
    """A daemon with a session of its own, where it may have one, is gone when the command is."""
    pipe = bench.folder / "alive"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    end = bench.sh("(setsid sleep 60 || sleep 60) 3> alive & sleep 0.2")

    with open(reader, "rb") as stream:
        assert ("ok", b"") == (end.verdict, stream.read())  # end-of-file: nobody holds it


def test_it_cannot_fill_the_disk(bench: Bench) -> None:
    """Many files together count as one large one does."""
    filling = "i=0; while true; do i=$((i+1)); head -c 8000000 /dev/zero > f$i; done"
    end = bench.sh(filling)

    assert "disk_exceeded" == end.verdict
    du = subprocess.run(["du", "-sm", bench.folder], capture_output=True, text=True, check=True)
    assert int(du.stdout.split()[0]) < 2000


def test_a_file_without_a_name_fills_no_disk_either(bench: Bench) -> None:
    """What was unlinked while it is open counts."""
    code = """
import os
block = bytes(8 << 20)
while True:
    file = open("nameless", "wb")
    os.unlink("nameless")
    globals().setdefault("kept", []).append(file)
    for _ in range(4):
        file.write(block)
"""
    end = bench.run("python3", "-I", "-c", code)

    assert "disk_exceeded" == end.verdict


def test_its_memory_is_held(bench: Bench) -> None:
    """The command's whole tree counts."""
    code = "import sys; b = bytearray(300 << 20); sys.exit(0)"
    end = bench.run("python3", "-I", "-c", code, limits=Limits(memory_bytes=64 * MIB))

    assert end.verdict in ("out_of_memory", "exited")  # by cgroup or, where none is, by rlimit
