"""Ordinary code works behind the wall; what does not behind Landlock is a documented list."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime import Limits, Step
from tests.functional.compatibility import CASES, NOT_BEHIND_LANDLOCK, PACKAGES

_ROOMY = Limits(wall_seconds=120, processes=256)
_OF_PACKAGES = [
    name
    for name in CASES
    if name.partition("-")[0] in ("numpy", "pandas", "sklearn", "joblib", "psutil")
]
_OF_PYTHON = [name for name in CASES if name not in _OF_PACKAGES]
_SECURITY = Path(__file__).resolve().parents[2] / "SECURITY.md"


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def runtime(request: pytest.FixtureRequest) -> Iterator[orq.Runtime]:
    """One for a tier, with a cache and an interpreter that any user may read."""
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin") or "python3"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        Path(cache).chmod(0o755)
        with orq.Runtime(cache_dir=cache, isolation=request.param, python=python) as made:
            yield made
        for folder in Path(cache).rglob("*"):
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o700)  # a store is read-only


def _works(runtime: orq.Runtime, name: str, *packages: str) -> bool:
    step = Step(source=CASES[name], function="step", requirements=packages)
    outcome = runtime.run(step, {"x": None}, limits=_ROOMY, check=False)
    assert outcome.verdict in ("ok", "raised"), outcome
    if outcome.isolation == "namespaces":
        assert outcome.ok, outcome.failure
    return outcome.value is True


def _must_work(runtime: orq.Runtime, name: str) -> bool:
    is_landlock = runtime.run(Step(source="def f(): pass", function="f")).isolation == "landlock"
    return not (is_landlock and name in NOT_BEHIND_LANDLOCK)


@pytest.mark.slow
@pytest.mark.parametrize("name", _OF_PYTHON)
def test_what_python_brings_works(runtime: orq.Runtime, name: str) -> None:
    """In namespaces all of it; behind Landlock all but what is on the list, and that does not."""
    if name == "identity" and os.geteuid() != 0:
        pytest.skip("behind Landlock an ordinary user keeps the name that the host gave")

    assert _must_work(runtime, name) == _works(runtime, name)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("name", _OF_PACKAGES)
def test_the_usual_packages_work(runtime: orq.Runtime, name: str) -> None:
    """Behind both walls: NumPy, pandas, scikit-learn, joblib with every backend, psutil."""
    assert _works(runtime, name, *PACKAGES)


def test_what_does_not_work_behind_landlock_is_documented() -> None:
    """SECURITY.md names everything on the list."""
    text = " ".join(_SECURITY.read_text("utf-8").split())

    assert [] == [words for words in NOT_BEHIND_LANDLOCK.values() if words not in text]
