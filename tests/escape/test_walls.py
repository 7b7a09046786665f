"""Attacks on every wall, through a real `Runtime`: the catalogue, and attacks of our own.

As root and as an ordinary user, in namespaces and, where a filter forbids these as a container's
profile does, behind Landlock. `open` is the control: no wall, and most attacks work there.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.escape import catalogue, newer_attacks, own_attacks
from tests.escape.modes import MODES, WALLED, driven

_SHARED_MEMORY_KEY = 0x0C0FFEE
_KNOWN = {
    # files that every run may read can be locked by any: SECURITY.md
    "leak-flock-channel": ("namespaces", "landlock"),
    # an ordinary user has no cgroup on a machine of version 1: SECURITY.md
    "res-mem-shared": ("namespaces-user", "landlock-user"),
}
_HARMLESS = ("fs-read", "network", "process", "kernel", "leak", "env-cache")
_LASTING = "leak-sysvshm"  # unconfined it would leave its memory with the host
_OURS = {
    **dict.fromkeys(own_attacks.ATTACKS, own_attacks.orders),
    **dict.fromkeys(newer_attacks.ATTACKS, newer_attacks.orders),
}


def _ended(mode: str, attacks: list[dict[str, object]]) -> dict[str, Any]:
    said = driven(MODES[mode], {"attacks": attacks})
    assert MODES[mode].tier == said["isolation"]
    outcomes = said["outcomes"]
    assert isinstance(outcomes, dict)
    return outcomes


def _is_known(name: str, mode: str) -> bool:
    return any(part in mode for part in _KNOWN.get(name, ()))


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_the_catalogue_of_attacks_fails(mode: str) -> None:
    """Every published attack is denied or contained, but for the gaps that are named as known."""
    attacks = {
        name: attack
        for name, attack in catalogue.ATTACKS.items()
        if MODES[mode].in_catalogue in attack.get("modes", ["ns", "c"])
    }

    outcomes = _ended(mode, [catalogue.orders(attack) for attack in attacks.values()])

    problems = {name: catalogue.problem(attacks[name], one) for name, one in outcomes.items()}
    assert {} == {n: said for n, said in problems.items() if said and not _is_known(n, mode)}
    assert attacks.keys() == outcomes.keys()
    assert not _has_shared_memory()


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_our_own_attacks_fail(mode: str) -> None:
    """Each has a mechanism of its own, and none of them gets anything."""
    outcomes = _ended(mode, [make(name) for name, make in _OURS.items()])

    values = {name: one["value"] or one["failure"] for name, one in outcomes.items()}
    assert {} == {n: value for n, value in values.items() if not str(value).startswith("DENIED")}
    assert _OURS.keys() == outcomes.keys()


@pytest.mark.slow
def test_our_own_attacks_are_real() -> None:
    """Without a wall most of them work, by name: a denial means something."""
    outcomes = _ended("open", [make(name) for name, make in _OURS.items()])

    real = [name for name, one in outcomes.items() if str(one["value"]).startswith("ESCAPED")]
    assert len(real) >= 65, real


@pytest.mark.slow
def test_the_catalogues_attacks_are_real() -> None:
    """The same for those of the catalogue that can be let loose without harm."""
    attacks = {n: one for n, one in catalogue.ATTACKS.items() if one["group"] in _HARMLESS}
    names = [name for name in attacks if name != _LASTING]
    outcomes = _ended("open", [catalogue.orders(catalogue.ATTACKS[name]) for name in names])

    real = [name for name, one in outcomes.items() if "ESCAPED" in str(one["value"])]
    assert len(real) >= 20, real


@pytest.mark.slow
def test_what_was_found_here_is_not_believed_where_more_is_forbidden() -> None:
    """As in a container with the host's cache: `auto` takes the other wall and does not fail."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        Path(cache).chmod(0o777)
        orders = {"tier": "auto", "cache": cache, "attacks": []}
        found = [
            driven(MODES[mode], orders)["isolation"]
            for mode in ("namespaces-user", "landlock-user")
        ]

    assert ["namespaces", "landlock"] == found


@pytest.mark.slow
def test_a_wall_that_cannot_be_had_is_refused_in_plain_words() -> None:
    """By name, with the step and what the kernel said: no traceback of the guest's, nothing run."""
    with pytest.raises(AssertionError) as caught:
        driven(MODES["landlock-user"], {"tier": "namespaces", "attacks": []})

    said = str(caught.value)
    refusal = (
        "WallUnavailable: isolation `namespaces` cannot be had here: namespaces: cannot confine"
    )
    assert refusal in said
    assert "orq_sandbox" not in said


def _has_shared_memory() -> bool:
    lines = Path("/proc/sysvipc/shm").read_text("ascii").splitlines()[1:]
    return any(int(line.split()[0]) == _SHARED_MEMORY_KEY for line in lines)
