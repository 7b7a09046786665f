"""One key is made once, found again without uv, kept while leased, and removed when asked."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orq_runtime.errors import ResolutionFailed, StoreError
from orq_runtime.model.stored import CleanReport
from tests.supply_fixtures import (
    Recorder,
    Shop,
    make_component,
    make_sdist,
    make_wheel,
    no_uv,
    source_files,
    store_names,
)

pytestmark = pytest.mark.slow

_REPOSITORY = Path(__file__).parents[2]

# argv: shop, component, uv or ""; prints "KEY ORIGIN INSTALLS BUILDS"
_CHILD = """
import sys
from pathlib import Path
from tests.supply_fixtures import Recorder, Shop
heard = Recorder()
uv = Path(sys.argv[3]) if sys.argv[3] else None
environment = Shop(Path(sys.argv[1])).supply(Path(sys.argv[2]), sink=heard, uv=uv)
print(environment.key, environment.origin, heard.count("install"), heard.count("build"))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with two wheels."""
    shop = Shop(tmp_path / "shop")
    make_wheel(shop.wheels, "alpha", requires=["beta"])
    make_wheel(shop.wheels, "beta")
    return shop


@pytest.fixture
def component(tmp_path: Path) -> Path:
    """A component that is a package, needs an index and vendors a source distribution."""
    files = {**source_files("core"), "requirements.txt": "alpha\n"}
    folder = make_component(tmp_path / "core", files)
    make_sdist(folder / "vendor", "gamma")
    return folder


def _start(shop: Shop, component: Path, uv: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(shop.root), str(component), str(uv or "")],
        cwd=_REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


def _answer(child: subprocess.Popen[str]) -> list[str]:
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    return said.split()


def test_ten_processes_make_one_environment_once(shop: Shop, component: Path) -> None:
    """Ten processes that ask at the same time get one key, one install and one build of each."""
    children = [_start(shop, component) for _ in range(10)]

    answers = [_answer(child) for child in children]

    assert 1 == len({key for key, *_ in answers})
    # the second is the environment of the build requirements
    assert 2 == sum(int(installs) for _, _, installs, _ in answers)
    assert 2 == sum(int(builds) for *_, builds in answers)
    assert 1 == [origin for _, origin, *_ in answers].count("built")


def test_ten_threads_make_one_environment_once(shop: Shop, component: Path) -> None:
    """The same among threads of one process that share a supplier's settings."""
    heard = Recorder()
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: shop.supply(component, sink=heard), range(10)))

    assert 1 == len({environment.key for environment in found})
    assert (2, 2) == (heard.count("install"), heard.count("build"))


def test_who_waits_for_a_maker_does_not_wait_for_its_lease(shop: Shop, component: Path) -> None:
    """Eight threads that supply and then keep what they got all get it."""
    everybody = threading.Barrier(8)

    def supply_and_keep(_: int) -> str:
        environment = shop.supply(component)
        with shop.supplier().lease(environment):
            everybody.wait(120)
            return environment.key

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(supply_and_keep, range(8)))

    assert 1 == len(keys)


def test_a_second_supply_starts_no_uv_also_from_a_new_process(
    shop: Shop, component: Path, tmp_path: Path
) -> None:
    """A hit is answered from the store: a uv that fails is not noticed, here or elsewhere."""
    uv = no_uv(tmp_path)
    with pytest.raises(ResolutionFailed, match="uv was started"):
        shop.supply(component, uv=uv)  # the control: a miss does start it
    made = shop.supply(component)
    heard = Recorder()

    found = shop.supply(component, sink=heard, uv=uv)

    assert made == found
    assert [("hit", made.key)] == [(event.phase, event.subject) for event in heard.events]
    assert [made.key, "hit", "0", "0"] == _answer(_start(shop, component, uv))


def test_a_leased_environment_survives_a_cleaning(shop: Shop) -> None:
    """What is leased stays, and is told; when the lease ends the next cleaning takes it."""
    supplier = shop.supplier()
    leased = shop.supply(requirements=["alpha"])
    other = shop.supply(requirements=["beta"])

    with supplier.lease(leased):
        in_use = {item.key: item.in_use for item in supplier.environments()}
        report = supplier.clean()
        left = {name for name in store_names(shop.root / "cache") if "environments/" in name}

    assert {leased.key: True, other.key: False} == in_use
    assert {f"environments/{leased.key}"} == left
    assert f"environment {leased.key}: in use" in report.kept
    assert report.freed_bytes > 0
    assert CleanReport(removed=1, freed_bytes=report.freed_bytes, kept=report.kept) == report
    assert 1 == supplier.clean().removed
    assert set() == store_names(shop.root / "cache")


def test_after_a_cleaning_supply_makes_it_again(shop: Shop, component: Path) -> None:
    """A cleaned store is an empty one: the same request gives the same key, built."""
    first = shop.supply(component)
    shop.supplier().clean()

    second = shop.supply(component)

    assert (first, "built") == (second, second.origin)


def test_a_wheel_built_to_other_bytes_of_the_same_content_is_the_same(
    shop: Shop, component: Path
) -> None:
    """Keys and locks take what a local wheel holds; how its archive is packed is not in them."""
    first = shop.supply(component)
    shop.supplier().clean()
    backend = component / "backend.py"
    text = backend.read_text("utf-8").replace('name), "w")', 'name), "w", zipfile.ZIP_DEFLATED)')
    assert text != backend.read_text("utf-8")
    backend.write_text(text, "utf-8")

    second = shop.supply(component)

    assert (first, "built") == (second, second.origin)


def test_a_lease_of_what_was_removed_is_an_error(shop: Shop) -> None:
    """A lease never stands for a folder that is not there."""
    environment = shop.supply(requirements=["beta"])
    supplier = shop.supplier()
    supplier.clean()

    with pytest.raises(StoreError, match="was removed from the cache"):
        supplier.lease(environment)


def test_the_list_of_environments_tells_what_they_hold(shop: Shop) -> None:
    """Packages, interpreter, size and last use, the last used first."""
    shop.supply(requirements=["beta"])
    shop.supply(requirements=["alpha"])
    shop.supply(requirements=["beta"])

    listed = shop.supplier().environments()

    assert [("beta==1.0",), ("alpha==1.0", "beta==1.0")] == [item.packages for item in listed]
    assert all(item.bytes > 0 and item.last_use > 0 and item.python for item in listed)


def test_a_removed_lock_or_wheel_is_made_again(shop: Shop, component: Path) -> None:
    """Losing an intermediate thing costs the work again and nothing else."""
    first = shop.supply(component)
    cache = shop.root / "cache" / "v1"
    for path in (*cache.glob("locks/*.json"), *cache.glob("builds/*.json")):
        path.unlink()

    second = shop.supply(component)

    assert first == second


def test_supplies_and_cleanings_at_the_same_time_do_not_break_each_other(
    shop: Shop, component: Path
) -> None:
    """Whatever a cleaning takes away is made again or was not needed; nobody fails."""

    def clean_often() -> None:
        for _ in range(20):
            shop.supplier().clean()

    with ThreadPoolExecutor(4) as pool:
        cleaning = pool.submit(clean_often)
        supplies = [pool.submit(shop.supply, component) for _ in range(12)]
        keys = {supply.result().key for supply in supplies}
        cleaning.result()

    assert 1 == len(keys)
