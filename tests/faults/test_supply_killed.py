"""`kill -9` of a supply, at any phase, leaves no broken thing, and the next supply succeeds."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orq_runtime import _fs
from orq_runtime._supply.store import Store
from orq_runtime.errors import StoreBusy
from orq_runtime.events import Event
from orq_runtime.model.environment import Environment, SupplyRequest
from tests.supply_fixtures import (
    Recorder,
    Shop,
    make_component,
    make_wheel,
    source_files,
    supplier_with,
)

pytestmark = pytest.mark.slow

_REPOSITORY = Path(__file__).parents[2]

# argv: shop, component, phase, state; kills itself when it hears of that
_VICTIM = """
import os, signal, sys
from pathlib import Path
from tests.supply_fixtures import Shop

def sink(event):
    if (event.phase, event.state) == (sys.argv[3], sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

Shop(Path(sys.argv[1])).supply(Path(sys.argv[2]), sink=sink)
"""

# argv: lock file; holds it until a line comes in
_HOLDER = """
import sys
from pathlib import Path
from orq_runtime import _fs

with _fs.lock(Path(sys.argv[1]), timeout_seconds=10):
    print("held", flush=True)
    sys.stdin.readline()
"""

_MOMENTS = [
    ("build", "started"),
    ("build", "done"),
    ("resolve", "started"),
    ("resolve", "moved"),
    ("resolve", "done"),
    ("install", "started"),
    ("install", "moved"),
    ("install", "done"),
    ("compile", "started"),
    ("compile", "done"),
    ("publish", "started"),
    ("publish", "done"),
    ("support", "started"),
    ("support", "done"),
]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with one wheel."""
    shop = Shop(tmp_path / "shop")
    make_wheel(shop.wheels, "alpha")
    return shop


@pytest.fixture
def component(tmp_path: Path) -> Path:
    """A component that goes through every phase."""
    files = {**source_files("core"), "requirements.txt": "alpha\n"}
    return make_component(tmp_path / "core", files)


def _imports(environment: Environment) -> str:
    program = "import alpha, core; print(alpha.VERSION, core.VERSION)"
    return subprocess.run(
        [environment.python, "-I", "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize(("phase", "state"), _MOMENTS)
def test_a_killed_supply_leaves_nothing_broken(
    shop: Shop, component: Path, phase: str, state: str
) -> None:
    """Whatever has a name after the kill is complete; the next supply works and sweeps the rest."""
    killed = subprocess.run(
        [sys.executable, "-c", _VICTIM, str(shop.root), str(component), phase, state],
        cwd=_REPOSITORY,
        check=False,
    )
    assert -signal.SIGKILL == killed.returncode
    store = Store(shop.root / "cache")
    published = list(store.environments.iterdir()) if store.environments.is_dir() else []
    assert all((path / "orq.json").is_file() for path in published)

    environment = shop.supply(component)

    assert "1.0 1.0" == _imports(environment)
    _fs.sweep(store.staging)  # a child of the killed one may have been writing at the first sweep
    assert [] == list(store.staging.iterdir())


def test_the_wait_for_anothers_lock_is_bounded_and_told(shop: Shop, tmp_path: Path) -> None:
    """Who waits for another maker says so, and gives up after its time with a retryable error."""
    heard = Recorder()
    store = Store(shop.root / "cache", wait_seconds=0.05)
    with (
        _fs.lock(store.maker_guard("environment", "k"), timeout_seconds=1),
        pytest.raises(StoreBusy) as failed,
        store.exclusively(
            "environment", "k", on_wait=lambda: heard(Event(phase="wait", state="started"))
        ),
    ):
        raise AssertionError("two held one lock")

    assert 1 == heard.count("wait")
    assert failed.value.retryable


def test_a_supply_waits_for_the_one_that_makes_the_same(shop: Shop) -> None:
    """A waiting supply emits `wait` and then has what the other made."""
    made = shop.supply(requirements=["alpha"])
    shop.supplier().clean()
    heard = Recorder()
    guard = Store(shop.root / "cache").maker_guard("environment", made.key)
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(guard)],
        cwd=_REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert b"held\n" == child.stdout.readline()

    def sink(event: Event) -> None:
        heard(event)
        if (event.phase, event.state) == ("wait", "started"):
            child.communicate(b"go\n", timeout=10)

    found = supplier_with(shop.settings(), sink).supply(SupplyRequest(requirements=("alpha",)))

    assert made.key == found.key
    assert 1 == heard.count("wait")
