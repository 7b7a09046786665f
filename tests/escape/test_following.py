"""What a run leaves does not reach the next one, though both have the same init."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.escape import following, poison
from tests.escape.modes import MODES, driven
from tests.supply_fixtures import make_wheel

_NAMESPACES = [name for name, mode in MODES.items() if mode.tier == "namespaces"]


@pytest.fixture(scope="module")
def wheels() -> Iterator[Path]:
    """A folder that every user may read."""
    with tempfile.TemporaryDirectory(prefix="orq-wheels-") as folder:
        Path(folder).chmod(0o755)
        for name in ("careless", "changes", "noise"):
            code = poison.PRELUDE + getattr(following, name.upper())
            make_wheel(Path(folder), name, files={f"{name}.py": code})
        yield Path(folder)


def _seen(
    mode: str, wheels: Path, codes: Mapping[str, str], preloaded: str = "", *, apart: bool = False
) -> dict[str, Any]:
    orders = {
        "attacks": {name: following.attack(code) for name, code in codes.items()},
        "find_links": [str(wheels)],
        "preloaded": [preloaded] if preloaded else [],
        "apart": apart,
    }
    said: dict[str, Any] = driven(MODES[mode], orders, "in_turn")
    assert {"left"} == set(said["done"].values()) or preloaded, said["done"]
    return said


@pytest.mark.slow
@pytest.mark.parametrize("mode", _NAMESPACES)
def test_nothing_of_a_run_reaches_the_next(mode: str, wheels: Path) -> None:
    """Processes, files, queues, names, limits, priorities: all is as it was for the first run."""
    said = _seen(mode, wheels, {**following.ATTACKS, **following.REFUSED})

    for name, seen in said["seen"].items():
        assert [said["first"]] * len(seen) == seen, name
        assert said["followed"][name] > 0, name


@pytest.mark.slow
def test_what_a_run_leaves_is_real(wheels: Path) -> None:
    """With an init that clears up nothing the next run sees it, each time."""
    said = _seen("namespaces-user", wheels, following.ATTACKS, "careless", apart=True)

    for name, seen in said["seen"].items():
        assert any(said["first"] != one for one in seen), name


@pytest.mark.slow
@pytest.mark.parametrize("way", ["changes", "noise"])
def test_an_init_that_is_not_as_it_was_serves_no_other_run(way: str, wheels: Path) -> None:
    """Were there a way to change one after all, what it hands down would show it."""
    said = _seen("namespaces-user", wheels, {"files": following.ATTACKS["files"]}, way)

    assert ([said["first"]] * 3, 0) == (said["seen"]["files"], said["followed"]["files"])
