"""Cleaners, makers and runtimes at the same time: nobody fails, and nothing in use is removed."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orq_runtime import _fs
from orq_runtime._run import bundle
from orq_runtime._run.cgroup_files import KERNEL
from orq_runtime._run.cgroup_home import record, sweep_recorded
from orq_runtime._supply.store import Store
from orq_runtime.model.environment import Interpreter
from tests.architecture.sources import REPOSITORY, tree_environment
from tests.supply_fixtures import Shop, make_component, make_wheel, source_files

pytestmark = pytest.mark.slow

_CLEANER = """
import sys
from pathlib import Path
from tests.supply_fixtures import Shop
print(flush=True)
shop = Shop(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    shop.supplier().clean()
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with one wheel."""
    shop = Shop(tmp_path / "shop")
    make_wheel(shop.wheels, "alpha")
    return shop


def test_builds_go_on_while_others_clean(shop: Shop, tmp_path: Path) -> None:
    """Three processes that clean all the time take nothing that a build or a lease needs."""
    files = {**source_files("core"), "requirements.txt": "alpha\n"}
    component = make_component(tmp_path / "core", files)
    words = [sys.executable, "-c", _CLEANER, str(shop.root), "60"]
    cleaners = [subprocess.Popen(words, cwd=REPOSITORY) for _ in range(3)]
    keys = {shop.supply(component).key}
    while any(cleaner.poll() is None for cleaner in cleaners):
        keys.add(shop.supply(component).key)

    assert [0, 0, 0] == [cleaner.wait() for cleaner in cleaners]
    assert 1 == len(keys)
    environment = shop.supply(component)
    with shop.supplier().lease(environment):
        assert environment.python.exists()


def test_who_waits_for_a_maker_does_not_wait_for_its_leases(shop: Shop) -> None:
    """The first to have an environment may lease it at once; those who waited have it too."""
    leases = []

    def use(_: int) -> str:
        environment = shop.supply(requirements=["alpha"])
        leases.append(shop.supplier().lease(environment))
        return environment.key

    with ThreadPoolExecutor(6) as pool:
        keys = {future.result(60) for future in [pool.submit(use, n) for n in range(6)]}
    for lease in leases:
        lease.close()

    assert (1, 6) == (len(keys), len(leases))


def test_a_bundle_that_a_session_holds_is_not_cleaned(tmp_path: Path, shop: Shop) -> None:
    """Runs go on while bundles are cleaned, and what nobody holds goes."""
    script = (
        "import sys, orq_runtime as o\n"
        "from pathlib import Path\nfrom orq_runtime._run import bundle\n"
        "step = o.Step(source='def f(): return 1', function='f')\n"
        "cache = Path(sys.argv[1])\n"
        "with o.Runtime(cache_dir=cache, isolation='process', spares=0) as r:\n"
        "    for _ in range(3):\n"
        "        assert r.run(step).value == 1\n"
        "        assert bundle.clean(cache) == 0\n"
        "assert bundle.clean(cache, only_old=True) == 0\n"
        "assert bundle.clean(cache) == 1\n"
    )
    environ = {**os.environ, **tree_environment()}
    subprocess.run([sys.executable, "-c", script, tmp_path / "cache"], check=True, env=environ)


def test_one_bundle_is_staged_while_others_clean(tmp_path: Path, shop: Shop) -> None:
    """Making and removing bundles at once fails nowhere; an old guest's bundle is removed."""
    interpreter: Interpreter = shop.supplier().usual_interpreter()
    with ThreadPoolExecutor(4) as pool:
        staged = [pool.submit(bundle.stage, tmp_path, interpreter) for _ in range(12)]
        cleaned = [pool.submit(bundle.clean, tmp_path) for _ in range(12)]
        assert 1 == len({future.result() for future in staged})
        assert sum(future.result() for future in cleaned) >= 0
    path = bundle.stage(tmp_path, interpreter)
    (path / "orq_sandbox" / "wire.py").chmod(0o600)
    (path / "orq_sandbox" / "wire.py").write_text("older")

    assert 1 == bundle.clean(tmp_path, only_old=True)
    assert not path.exists()


def test_a_register_may_be_swept_by_many(tmp_path: Path) -> None:
    """Hosts that start together read one register and none stumbles over another's sweep."""
    register = tmp_path / "register"

    def host(number: int) -> int:
        record(register, [tmp_path / f"group-{number % 3}"])
        return sweep_recorded(register, tmp_path, KERNEL)

    with ThreadPoolExecutor(8) as pool:
        assert 0 == sum(pool.map(host, range(200)))


def test_a_host_that_came_while_its_register_was_swept_is_kept(tmp_path: Path) -> None:
    """An entry stays while its place has a home that somebody holds."""
    register, place = tmp_path / "register", tmp_path / "group"
    home = place / "orq-runtime.0"
    home.mkdir(parents=True)
    record(register, [place])
    held = _fs.lock_folder(home)
    assert held is not None

    sweep_recorded(register, tmp_path, KERNEL)
    os.close(held)

    assert 1 == len(list(register.iterdir()))


def test_a_store_that_cannot_be_written_still_leases(shop: Shop, tmp_path: Path) -> None:
    """A hit in a read-only store is leased on the folder itself, and who can write respects it."""
    environment = shop.supply(requirements=["alpha"])
    store = Store(shop.root / "cache")
    held = _fs.lock_folder(environment.path, shared=True)
    assert held is not None

    with store.taken("environment", environment.path) as place:
        assert place is None
    os.close(held)
    with store.taken("environment", environment.path) as place:
        assert place is not None
    assert not environment.path.exists()
