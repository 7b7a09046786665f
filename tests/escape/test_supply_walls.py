"""Supply executes other people's code, and all of it behind the wall: attacks in four modes.

`lab_supply` is a process of its own in each: as root and as an ordinary user, in namespaces and
behind Landlock. `open` is the control: the tier `process`, where the same attacks work.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest
import uv

from tests.escape.modes import WALLED

pytestmark = pytest.mark.slow

_REPOSITORY = Path(__file__).resolve().parents[2]
_PYTHON = "/usr/bin/python3"
_PLACES = ("build", "pth", "import", "run")
# a private /tmp takes them in silence, and Landlock feigns a mode: what they did, the host sees
_SEEN_BY_THE_HOST = frozenset(
    {"write the secret", "truncate the secret", "chmod the secret", "daemon"}
    | {f"write into {name}" for name in ("uv", "environments", "wheels", "builds")}
    | {f"write into {name}" for name in ("locks", "guards")}
)
_REAL = frozenset(
    {"secret", "home", "variables of others", "tcp", "udp", "unix socket"}
    | {"abstract socket", "kill", "write the secret", "write into uv", "write into guards"}
)


def _environ() -> dict[str, str]:
    spec = importlib.util.find_spec("orjson")
    assert spec is not None
    assert spec.origin is not None
    packages = Path(spec.origin).parent.parent
    paths = (_REPOSITORY, _REPOSITORY / "sandbox", packages)
    return {
        "ORQ_CANARY": "hunter2",
        "HOME": "/nonexistent",
        "PATH": f"{Path(uv.find_uv_bin()).parent}:/usr/bin:/bin",
        "PYTHONPATH": ":".join(map(str, paths)),
    }


def _attacked(mode: str) -> dict[str, dict[str, object]]:
    usable = [_PYTHON, "-B", "-c", "import orjson, packaging, orq_runtime._session"]
    other = ["setpriv", "--reuid=61500", "--regid=61500", "--clear-groups"]
    if subprocess.run(
        [*other, *usable], env=_environ(), check=False, capture_output=True
    ).returncode:
        pytest.skip(f"another user's `{_PYTHON}` cannot import the host's packages from here")
    ended = subprocess.run(
        [_PYTHON, "-B", "-m", "tests.escape.lab_supply", mode],
        cwd=_REPOSITORY,
        env=_environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    found: dict[str, dict[str, object]] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("mode", WALLED)
def test_what_supply_executes_reaches_nothing(mode: str) -> None:
    """No file, network, variable, process or cache of the host's, at build, compilation or run."""
    said = _attacked(mode)

    for place in _PLACES:
        done = {name for name, what in said[place].items() if what == "done"}
        assert set() == done - _SEEN_BY_THE_HOST, place
        assert len(said[place]) > 20
    expected = {"reached": [], "secret": "the secret", "mode": "0o644", "made": 0}
    assert {**expected, "victim": None, "daemons": 0} == said["host"]


def test_litellm_like_pth_files_steal_without_the_wall() -> None:
    """The control: in the tier `process` the same code reads, sends, kills and poisons."""
    said = _attacked("open")

    for place in _PLACES:
        assert set() == {name for name in _REAL if said[place][name] != "done"}, place
    assert ["tcp", "udp", "unix", "abstract"] == said["host"]["reached"]
    assert "the secret" != said["host"]["secret"]
    assert said["pth"]["write a neighbour"] == "done"
