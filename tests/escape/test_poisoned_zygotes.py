"""Imports that turn their zygote's own code on the host: it harms their own runs, and no more."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orq_runtime.model.verdict import VERDICTS
from tests.escape import poison
from tests.escape.modes import MODES, WALLED, driven
from tests.escape.processes import named

_READS = r"""
import sys, orq_runtime as orq
large = (
    "import cuts, os\ndef f() -> bytes:\n    if os.fork() == 0: os._exit(0)\n    os.wait()\n"
    "    return b'x' * (16 << 20)\n"
)
asks = "import cuts\ndef f() -> str:\n    return cuts.state[0]\n"
with orq.Runtime(
    cache_dir=sys.argv[1], find_links=[sys.argv[2]], offline=True, isolation="namespaces"
) as runtime:
    value = runtime.run(orq.Step(source=large, function="f", requirements=["cuts"])).value
    while runtime.run(orq.Step(source=asks, function="f", requirements=["cuts"])).value != "cut":
        pass
    print(len(value), bytes(value.memoryview()[-2:]))
"""
_HONEST = "def step(x):\n    return sum(range(10**6))\n"
_OTHERS_FAULT = {"bad_call", "not_found", "wrong_type", "wall_unavailable", "cancelled"}
_MULTIPLIES = ("multiplies", "outlives-its-shepherd")
_MOST_PROCESSES = 400


@pytest.fixture(scope="module")
def wheels() -> Iterator[Path]:
    """A folder that every user may read."""
    with tempfile.TemporaryDirectory(prefix="orq-wheels-") as folder:
        Path(folder).chmod(0o755)
        poison.make_poisons(Path(folder))
        yield Path(folder)


def _ended(mode: str, wheels: Path, names: list[str], **orders: object) -> dict[str, Any]:
    honest = [{"id": f"honest-{number}", "source": _HONEST} for number in range(4)]
    attacks = [*honest[:2], *map(poison.order, names), *honest[2:]]
    said = driven(MODES[mode], {"attacks": attacks, "find_links": [str(wheels)], **orders})
    assert [] == said["left"]
    outcomes = said["outcomes"]
    assert isinstance(outcomes, dict)
    for one in honest:
        ended = outcomes.pop(one["id"])
        assert ("ok", 499999500000) == (ended["verdict"], ended["value"]), outcomes
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_a_poisoned_zygote_fails_its_own_runs_only(mode: str, wheels: Path) -> None:
    """Whatever it hands over or says: the host lives, and so do honest runs before and after."""
    names = [name for name in poison.POISONS if name not in _MULTIPLIES]
    outcomes = _ended(mode, wheels, names)

    verdicts = {name: one["verdict"] for name, one in outcomes.items()}
    assert names == list(verdicts)
    assert set(verdicts.values()) <= VERDICTS.keys() - _OTHERS_FAULT, verdicts
    handed = {name: said for name, said in verdicts.items() if name.startswith("hands-over")}
    assert set(handed.values()) <= {"never_started", "ok"}, handed
    kept = {name: said for name, said in verdicts.items() if name.startswith("keeps")}
    assert set(kept.values()) == {"missing_output"}, kept


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
@pytest.mark.parametrize("name", _MULTIPLIES)
def test_a_package_that_will_not_end_ends_with_its_host(mode: str, name: str, wheels: Path) -> None:
    """Neither one whose zygote hears nothing any more, nor one whose daemons fork without end."""
    before = set(named("orqevil"))
    _ended(mode, wheels, [name], processes=_MOST_PROCESSES)

    assert set() == set(named("orqevil")) - before


@pytest.mark.slow
def test_no_zygote_cuts_short_a_value_that_its_host_holds(wheels: Path, tmp_path: Path) -> None:
    """The file of a large value may be one that it has kept: whoever maps that dies of SIGBUS."""
    words = [sys.executable, "-c", _READS, str(tmp_path / "cache"), str(wheels)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)

    assert (0, f"{16 << 20} b'xx'\n") == (ended.returncode, ended.stdout), ended.stderr[-2000:]
