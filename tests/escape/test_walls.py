"""Attacks on every wall: the catalogue, our own, and a hostile package that a zygote imports.

Each mode is a bench of its own process: as root and as an ordinary user, in namespaces and, where
these are forbidden by a filter, behind Landlock. `open` is the control: no wall, and most attacks
work there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]
_MODES = ["ns-root", "ns-user", "ll-root", "ll-user"]


def _ended(bench: str, mode: str) -> subprocess.CompletedProcess[str]:
    environ = {"PYTHONPATH": f"{_REPOSITORY}:{_REPOSITORY / 'sandbox'}", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-m", f"tests.escape.{bench}", mode],
        cwd=_REPOSITORY,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.mark.slow
@pytest.mark.parametrize("bench", ["lab_catalogue", "lab_attacks", "lab_hostile"])
@pytest.mark.parametrize("mode", _MODES)
def test_the_wall_holds(bench: str, mode: str) -> None:
    """Every attack is denied or contained, but for the gaps that are named as known."""
    ended = _ended(bench, mode)

    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]


@pytest.mark.slow
def test_the_attacks_are_real() -> None:
    """Without a wall most of our own attacks work, by name: a denial means something."""
    ended = _ended("lab_attacks", "open")

    names = ended.stdout.partition("real:")[2].split()
    assert len(names) >= 20, ended.stdout[-3000:] + ended.stderr[-3000:]
