"""What a policy grants is there, and nothing else: the host's network, folders to write to."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime import Policy, Step
from orq_runtime.errors import RequestError, SupplyError

_CALLS = Step(
    source=(
        "import socket\n"
        "def f(port: int, files: list) -> list:\n"
        "    socket.create_connection(('localhost', port), 10).close()\n"
        "    return [open(file).read() for file in files]\n"
    ),
    function="f",
)
_WRITES = Step(
    source=(
        "import os\n"
        "def f(folder: str, beside: str) -> list:\n"
        "    with open(folder + '/made', 'w') as file:\n"
        "        file.write('by the run')\n"
        "    try:\n"
        "        open(beside + '/made', 'w').close()\n"
        "    except OSError:\n"
        "        return os.listdir(folder)\n"
        "    return []\n"
    ),
    function="f",
)
_OF_NAMES = [path for path in ("/etc/resolv.conf", "/etc/hosts") if Path(path).is_file()]

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("tier", ["namespaces", "landlock"])]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that any user may walk through: as root a run is another user."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        for path in Path(folder).rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)  # a store is read-only


def _runtime(place: Path, tier: str, policy: Policy) -> orq.Runtime:
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin") or "python3"
    return orq.Runtime(cache_dir=place / "cache", isolation=tier, python=python, policy=policy)


def test_the_whole_network_comes_with_its_names(place: Path, tier: str) -> None:
    """`full` reaches a server of the host's by name, and reads how names are found here."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        inputs = {"port": server.getsockname()[1], "files": _OF_NAMES}
        with _runtime(place, tier, Policy(network="full")) as runtime:
            outcome = runtime.run(_CALLS, inputs, check=False)
        with _runtime(place, tier, Policy()) as runtime:
            without = runtime.run(_CALLS, inputs, check=False)

    assert [Path(path).read_text() for path in _OF_NAMES] == outcome.value, outcome.failure
    assert "raised" == without.verdict


def test_a_writable_folder_is_written_and_what_lies_beside_it_is_not(
    place: Path, tier: str
) -> None:
    """Also where the run is another user than the host, who must then be let in by the mode."""
    for name in ("granted", "beside"):
        (place / name).mkdir()
        (place / name).chmod(0o777)
    with _runtime(place, tier, Policy(writable=[place / "granted"])) as runtime:
        inputs = {"folder": str(place / "granted"), "beside": str(place / "beside")}
        outcome = runtime.run(_WRITES, inputs, check=False)

    assert ["made"] == outcome.value, outcome.failure
    assert "by the run" == (place / "granted" / "made").read_text()
    assert [] == list((place / "beside").iterdir())


def test_a_folder_to_write_to_may_lie_in_one_to_read(place: Path, tier: str) -> None:
    """Both lie in /tmp here, where a run has mounts of its own: they are shown in them again."""
    outer, inner = place / "outer", place / "outer" / "inner"
    for folder in (outer, inner):
        folder.mkdir()
        folder.chmod(0o777)
    with _runtime(place, tier, Policy(read_only=[outer], writable=[inner])) as runtime:
        inputs = {"folder": str(inner), "beside": str(outer)}
        outcome = runtime.run(_WRITES, inputs, check=False)

    assert ["made"] == outcome.value, outcome.failure
    assert "by the run" == (inner / "made").read_text()
    assert [inner] == list(outer.iterdir())


_READS = Step(
    source=(
        "import os, socket\n"
        "def f(folder: str) -> list:\n"
        "    found = []\n"
        "    for name in sorted(os.listdir(folder)):\n"
        "        path = os.path.join(folder, name)\n"
        "        try:\n"
        "            if name == 'socket':\n"
        "                socket.socket(socket.AF_UNIX).connect(path)\n"
        "            elif name == 'pipe':\n"
        "                os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), b'x')\n"
        "            else:\n"
        "                open(path, 'a').close()\n"
        "            found.append(name)\n"
        "        except OSError:\n"
        "            pass\n"
        "    return found\n"
    ),
    function="f",
)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder where no run has one of its own, which it may write to."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


def test_a_folder_to_be_read_is_not_written_by_its_pipes(
    place: Path, elsewhere: Path, tier: str
) -> None:
    """A read-only mount keeps nobody from them, Landlock does. Sockets come with a folder.

    SECURITY.md says so; Landlock knows of them from its version 9 on.
    """
    folder = elsewhere
    folder.chmod(0o755)
    (folder / "file").touch()
    os.mkfifo(folder / "pipe")
    for path in folder.iterdir():
        path.chmod(0o666)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o777)
        listener.listen()
        reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            with _runtime(place, tier, Policy(read_only=[folder])) as runtime:
                outcome = runtime.run(_READS, {"folder": str(folder)}, check=False)
        finally:
            os.close(reader)

    assert outcome.value in (([], ["socket"]) if tier == "namespaces" else ([],)), outcome.failure


def test_a_link_that_the_caller_names_is_followed_and_no_other(place: Path, tier: str) -> None:
    """A step's file or a component may be a link. One in a component leads out of it nowhere."""
    for name in ("real", "other"):
        (place / name).mkdir()
        (place / name).chmod(0o755)
        (place / name / "step.py").write_text("def f() -> int:\n    return 1\n")
    (place / "component").symlink_to("real")
    (place / "step.py").symlink_to("real/step.py")
    (place / "other" / "out.py").symlink_to("../real/step.py")
    steps = (
        Step(file=place / "step.py", function="f"),
        Step(file=place / "component/step.py", function="f", components=[place / "component"]),
        Step(file=place / "other/out.py", function="f", components=[place / "other"]),
    )
    with _runtime(place, tier, Policy()) as runtime:
        verdicts = [runtime.run(step, check=False).verdict for step in steps]

    assert ["ok", "ok", "not_found"] == verdicts


def test_the_whole_machine_is_no_component(place: Path, tier: str) -> None:
    """All of it would be granted to the run."""
    (place / "step.py").write_text("def f() -> int:\n    return 1\n")
    step = Step(file=place / "step.py", function="f", components=["/"])
    with _runtime(place, tier, Policy()) as runtime, pytest.raises(RequestError, match="the root"):
        runtime.run(step)


def test_no_file_of_a_component_holds_its_host_up(place: Path, tier: str) -> None:
    """A pipe that nobody writes to, a device without an end, a hole of a terabyte."""
    with _runtime(place, tier, Policy()) as runtime:
        for number, (name, kind) in enumerate(itertools.product(_READ_BY_THE_HOST, _ENDLESS)):
            component = place / f"component-{number}"
            component.mkdir()
            (component / "step.py").write_text("def f() -> int:\n    return 1\n")
            (component / name).unlink(missing_ok=True)
            _make(component / name, kind)
            step = Step(file=component / "step.py", function="f", components=[component])
            with pytest.raises((RequestError, SupplyError)):
                runtime.run(step)


_READ_BY_THE_HOST = ("step.py", "requirements.txt", "pyproject.toml")
_ENDLESS = ("pipe", "device", "hole")


def _make(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
