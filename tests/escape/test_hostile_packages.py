"""Distributions that attack while the zygote starts: at import, and from a `.pth` file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.escape import hostile
from tests.escape.modes import MODES, WALLED, driven
from tests.escape.processes import named

_LOOT = "import sys, thief\ndef step(x):\n    return sys.litellm_loot\n"
_TAMPERED = "import saboteur\ndef step(x):\n    return 1\n"
_HONEST = "def step(x):\n    return 1\n"


def _ended(mode: str, folder: Path, *attacks: tuple[str, str, str]) -> dict[str, Any]:
    orders = [
        {"id": name, "source": source, "requirements": [needs] if needs else []}
        for name, source, needs in attacks
    ]
    said = driven(MODES[mode], {"attacks": orders, "find_links": [str(folder)]})
    outcomes = said["outcomes"]
    assert isinstance(outcomes, dict)
    return outcomes


@pytest.fixture
def wheels() -> Iterator[Path]:
    """A folder that every user may read."""
    with tempfile.TemporaryDirectory(prefix="orq-wheels-") as folder:
        Path(folder).chmod(0o755)
        hostile.make_hostile_wheels(Path(folder))
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_a_package_that_attacks_when_it_is_imported_gets_nothing(mode: str, wheels: Path) -> None:
    """The wall stands before the first byte of it; its daemon is dead when the host has closed."""
    before = set(named("orqevil"))
    outcomes = _ended(mode, wheels, ("import", hostile.READ, "hostile"))

    found = outcomes["import"]["value"]
    assert isinstance(found, dict), outcomes
    assert {} == {name: said for name, said in found.items() if not said.startswith("DENIED")}
    assert len(found) > 25
    assert set() == set(named("orqevil")) - before


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_a_pth_file_that_steals_credentials_as_litellm_1_82_8_did_finds_none(
    mode: str, wheels: Path
) -> None:
    """Executed at every interpreter start, it sees no home, no variables and no network."""
    outcomes = _ended(mode, wheels, ("loot", _LOOT, "thief"))

    assert {"ok": {}} == {outcomes["loot"]["verdict"]: outcomes["loot"]["value"]}


@pytest.mark.slow
def test_the_thief_is_real(wheels: Path) -> None:
    """Without a wall it finds the file in the user's home, and the network."""
    outcomes = _ended("open", wheels, ("loot", _LOOT, "thief"))

    loot = outcomes["loot"]["value"]
    assert "network" in loot
    assert "secret" in loot.values()


@pytest.mark.slow
def test_a_package_that_tampers_with_the_harness_harms_its_own_runs_only(wheels: Path) -> None:
    """Its runs fail by name; those of another environment beside them do not notice."""
    outcomes = _ended(
        "namespaces-user",
        wheels,
        ("tampered", _TAMPERED, "saboteur"),
        ("honest", _HONEST, ""),
        ("tampered-again", _TAMPERED, "saboteur"),
    )

    assert ("ok", 1) == (outcomes["honest"]["verdict"], outcomes["honest"]["value"])
    assert {outcomes[name]["verdict"] for name in ("tampered", "tampered-again")} <= {
        "never_started",
        "protocol_violation",
        "killed",
    }
