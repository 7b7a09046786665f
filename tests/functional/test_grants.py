"""What a policy grants is there, and nothing else: the host's network, folders to write to."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime import Policy, Step

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
