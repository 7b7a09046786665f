"""Wheel, sdist and editable install give a user what the tree holds."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wheel_smoke
from tests.architecture.sources import REPOSITORY

_GOOD = {
    "orq_runtime/__init__.py": b"",
    "orq_runtime/py.typed": b"",
    "orq_sandbox/__init__.py": b"",
    "orq_runtime-0.1.0.dist-info/licenses/LICENSE": b"",
}


def _smoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "wheel_smoke.py", *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_tree_and_the_sdist_build_the_same_wheel() -> None:
    """Both wheels hold both packages at the top, whole, and nothing else."""
    said = _smoke("--build-only")

    assert said.returncode == 0, said.stdout


@pytest.mark.slow
@pytest.mark.network
def test_the_wheel_and_the_editable_install_work() -> None:
    """An installed wheel runs with its declared dependencies; an editable one shows changes."""
    said = _smoke()

    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize(
    ("extra", "missing"),
    [
        ("tests/__init__.py", None),
        ("sandbox/orq_sandbox/wire.py", None),
        ("orq_runtime/__pycache__/x.pyc", None),
        (None, "orq_runtime/py.typed"),
        (None, "orq_sandbox/__init__.py"),
        (None, "orq_runtime-0.1.0.dist-info/licenses/LICENSE"),
    ],
)
def test_a_wheel_with_something_more_or_less_is_noticed(
    extra: str | None, missing: str | None
) -> None:
    """A stray member and a missing one are each said once."""
    members = {name: body for name, body in _GOOD.items() if name != missing}
    if extra is not None:
        members[extra] = b""

    assert [] == wheel_smoke.check_wheel(_GOOD)
    assert 1 == len(wheel_smoke.check_wheel(members))


def test_wheels_that_differ_are_noticed() -> None:
    """In a name or in a content."""
    assert [] == wheel_smoke.compare_wheels({"a": b"1"}, {"a": b"1"})
    assert ["`b` is in one wheel only", "`a` differs"] == wheel_smoke.compare_wheels(
        {"a": b"1", "b": b""}, {"a": b"2"}
    )
