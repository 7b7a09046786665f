"""Offline: what is vendored or cached supplies without a socket, where there is no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orq_runtime.errors import BadComponent, IndexUnavailable, RequestError, ResolutionFailed
from orq_runtime.model.environment import Environment, SupplyRequest
from tests.architecture.sources import REPOSITORY
from tests.supply_fixtures import (
    Shop,
    make_component,
    make_wheel,
    serving,
    source_files,
    supplier_with,
)

pytestmark = pytest.mark.slow

_SUPPLY = [sys.executable, "-m", "orq_runtime", "supply", "-q", "--offline"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty shop."""
    return Shop(tmp_path / "shop")


def _pins(environment: Environment) -> dict[str, str]:
    return {package.name: package.version for package in environment.lock}


def _needs_a_tool(folder: Path) -> Path:
    """A package that requires alpha, and whose build needs `tool`, which needs `part`."""
    files = source_files("core", requires=["alpha"])
    files["pyproject.toml"] = files["pyproject.toml"].replace(
        "requires = []", 'requires = ["tool"]'
    )
    files["backend.py"] = "import tool\n" + files["backend.py"]
    return make_component(folder, files)


def _index(root: Path) -> Path:
    make_wheel(root / "alpha", "alpha", requires=["beta"])
    make_wheel(root / "beta", "beta")
    make_wheel(root / "tool", "tool", requires=["part"], files={"tool.py": "import part"})
    make_wheel(root / "part", "part")
    return root


def _environ(home: Path) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    path = f"{REPOSITORY}:{REPOSITORY / 'sandbox'}"
    return {"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": path}


@pytest.mark.skipif(os.geteuid() != 0, reason="an empty network namespace takes root")
def test_a_vendored_component_supplies_elsewhere_without_any_network(
    shop: Shop, tmp_path: Path
) -> None:
    """`vendor` fetches wheels and build tools; a copy, an empty cache and no network suffice."""
    folder = _needs_a_tool(tmp_path / "core")
    with serving(_index(tmp_path / "index")) as (url, _):
        settings = shop.settings(find_links=[], default_index=url, offline=False)
        supplier = supplier_with(settings)
        made, _ = supplier.vendor(SupplyRequest(components=(supplier.component(folder),)))
        again, _ = supplier.vendor(SupplyRequest(components=(supplier.component(folder),)))
    copy = shutil.copytree(folder, tmp_path / "copy" / "core")
    cache = tmp_path / "elsewhere"

    said = subprocess.run(
        ["unshare", "--net", *_SUPPLY, str(copy), "--cache-dir", str(cache)],
        env=_environ(tmp_path / "home"),
        capture_output=True,
        text=True,
    )

    names = {str(path.relative_to(folder)) for path in made}
    assert {
        "vendor/alpha-1.0-py3-none-any.whl",
        "vendor/beta-1.0-py3-none-any.whl",
        "vendor/build/part-1.0-py3-none-any.whl",
        "vendor/build/tool-1.0-py3-none-any.whl",
    } == names
    assert [] == again
    assert (0, "") == (said.returncode, said.stderr)
    python = Path(said.stdout.strip()) / "bin" / "python"
    program = "import alpha, beta, core, importlib.util as u; print(u.find_spec('tool'))"
    run = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert "None" == run.stdout.strip()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what sockets are made")
def test_offline_makes_no_socket_of_the_internet(shop: Shop, tmp_path: Path) -> None:
    """Neither the resolver nor a build; what the wall tries, to see that it holds, is refused."""
    make_wheel(shop.wheels, "alpha")
    folder = make_component(tmp_path / "core", source_files("core", requires=["alpha"]))
    trace = tmp_path / "trace"
    supply = [*_SUPPLY, str(folder), "--cache-dir", str(tmp_path / "cache")]

    def sockets(*words: str) -> list[str]:
        argv = ["strace", "-f", "-qq", "-e", "trace=socket", "-o", str(trace), *words]
        subprocess.run(argv, env=_environ(tmp_path / "home"), check=True, capture_output=True)
        lines = trace.read_text("utf-8").splitlines()
        return [line for line in lines if "AF_INET" in line and " = -1 EPERM" not in line]

    control = "import socket; socket.socket().close()"
    assert [] != sockets(sys.executable, "-c", control)
    assert [] == sockets(*supply, "--find-links", str(shop.wheels))


def test_offline_without_the_package_says_how_to_get_it(shop: Shop, tmp_path: Path) -> None:
    """Nothing is asked, and the option in the way is named."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})

    with pytest.raises(ResolutionFailed) as failed:
        shop.supply(folder)

    assert "--offline" in str(failed.value.hint)


def test_a_cache_that_was_filled_supplies_offline(shop: Shop, tmp_path: Path) -> None:
    """After one supply online the same packages make other environments without the index."""
    root = _index(tmp_path / "index")
    with serving(root) as (url, asked):
        online = supplier_with(shop.settings(find_links=[], default_index=url, offline=False))
        online.supply(SupplyRequest(requirements=("alpha", "part")))
        before = len(asked)
        offline = supplier_with(shop.settings(find_links=[], default_index=url))
        environment = offline.supply(SupplyRequest(requirements=("alpha",)))

    assert {"alpha": "1.0", "beta": "1.0"} == _pins(environment)
    assert before == len(asked)


def test_a_file_that_is_not_the_locks_is_not_vendored(shop: Shop, tmp_path: Path) -> None:
    """Another file under the same name, one that does not come: an error, and nothing is left."""
    root = _index(tmp_path / "index")
    folder = make_component(tmp_path / "core", {"requirements.txt": "part\n"})
    with serving(root) as (url, _):
        settings = shop.settings(find_links=[], default_index=url, offline=False)
        supplier = supplier_with(settings)
        request = SupplyRequest(components=(supplier.component(folder),))
        supplier.supply(request)
        make_wheel(root / "part", "part", files={"part.py": "evil = 1"})
        with pytest.raises(ResolutionFailed, match="has another hash than the lock"):
            supplier.vendor(request)
        (root / "part" / "part-1.0-py3-none-any.whl").unlink()
        with pytest.raises(IndexUnavailable, match="cannot fetch"):
            supplier.vendor(request)

    assert [] == [path for path in (folder / "vendor").rglob("*") if path.is_file()]


def test_vendoring_needs_a_component(shop: Shop) -> None:
    """A folder to fill is named."""
    with pytest.raises(RequestError, match="lies in a component"):
        shop.supplier().vendor(SupplyRequest(requirements=("alpha",)))


@pytest.mark.parametrize("name", ["vendor", "vendor/build"])
def test_vendoring_does_not_follow_a_components_link(shop: Shop, tmp_path: Path, name: str) -> None:
    """A `vendor` that leads elsewhere is refused, and nothing is written there."""
    make_wheel(shop.wheels, "alpha")
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(outside)
    supplier = shop.supplier()

    with pytest.raises(BadComponent, match="leads out of its component"):
        supplier.vendor(SupplyRequest(components=(supplier.component(folder),)))

    assert [] == list(outside.iterdir())
