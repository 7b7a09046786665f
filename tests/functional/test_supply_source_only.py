"""Distributions without wheels: named all at once, built behind the wall where allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from orq_runtime.errors import RequestError, ResolutionFailed
from orq_runtime.model.environment import Environment, SupplyRequest
from orq_runtime.settings import load
from tests.supply_fixtures import (
    Recorder,
    Shop,
    make_component,
    make_sdist,
    make_wheel,
    no_uv,
    source_files,
    supplier_with,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop where `alpha`, a wheel, needs `beta`, and `beta` needs `gamma`: both source only."""
    made = Shop(tmp_path / "shop")
    make_wheel(made.wheels, "alpha", requires=["beta<2"])
    files = source_files("beta", requires=["gamma"])
    files["backend.py"] += f"\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n"
    make_sdist(made.wheels, "beta", "1.0", files=files)
    make_sdist(made.wheels, "beta", "2.0")
    make_sdist(made.wheels, "gamma")
    make_sdist(made.wheels, "delta")
    return made


def _supply(
    shop: Shop, *requirements: str, allowed: tuple[str, ...] = (), heard: Recorder | None = None
) -> Environment:
    supplier = supplier_with(shop.settings(allow_build=allowed), heard or Recorder())
    return supplier.supply(SupplyRequest(requirements=requirements))


def test_all_that_would_have_to_be_built_is_named_at_once(shop: Shop, tmp_path: Path) -> None:
    """With the options that allow it, and without running any of it."""
    with pytest.raises(ResolutionFailed) as refused:
        _supply(shop, "alpha", "delta")

    assert "available as source only, which a build would run: `beta`, `delta`\n" in (
        refused.value.message
    )
    assert "--allow-build beta --allow-build delta" in str(refused.value.hint)
    assert not (tmp_path / "ran").exists()


def test_what_is_allowed_is_built_behind_the_wall(shop: Shop, tmp_path: Path) -> None:
    """By name, in the version that everything else admits, with what its own wheel requires."""
    heard = Recorder()

    environment = _supply(shop, "alpha", "delta", allowed=("beta", "Delta", "gamma"), heard=heard)

    pins = {package.name: package.version for package in environment.lock}
    assert {"alpha": "1.0", "beta": "1.0", "gamma": "1.0", "delta": "1.0"} == pins
    assert 3 == heard.count("build")
    assert all("isolation: " in e.message for e in heard.events if e.phase == "build")
    assert not (tmp_path / "ran").exists()  # on the host, where its backend would have made it


def test_what_a_source_distribution_turns_out_to_need_is_asked_for_too(shop: Shop) -> None:
    """Its requirements are known when it is built, and not before."""
    with pytest.raises(ResolutionFailed) as refused:
        _supply(shop, "alpha", allowed=("beta",))

    assert "source only, which a build would run: `gamma`\n" in refused.value.message


def test_it_is_built_once(shop: Shop) -> None:
    """The second environment with it takes the wheel that is there."""
    _supply(shop, "delta", allowed=("delta",))
    make_wheel(shop.wheels, "other")
    heard = Recorder()

    _supply(shop, "delta", "other", allowed=("delta",), heard=heard)

    assert 0 == heard.count("build")


def test_a_component_cannot_allow_it(shop: Shop, tmp_path: Path) -> None:
    """Permission is the user's: no file of a component is asked."""
    tables = "\n".join(
        f"[tool.{name}]\nallow-build = ['delta']\nno-binary-package = ['delta']"
        for name in ("orq-runtime", "uv", "uv.pip")
    )
    files = {"requirements.txt": "delta\n", "pyproject.toml": tables}
    supplier = supplier_with(shop.settings())
    component = supplier.component(make_component(tmp_path / "core", files))

    with pytest.raises(ResolutionFailed, match="source only, which a build would run: `delta`"):
        supplier.supply(SupplyRequest(components=(component,)))


def test_names_are_read_from_the_environment() -> None:
    """In any spelling; what is no name is refused."""
    environ = {"ORQ_RUNTIME_ALLOW_BUILD": "Zope.Interface my_pkg", "HOME": "/nonexistent"}

    assert ("zope-interface", "my-pkg") == load(environ).allow_build
    with pytest.raises(RequestError, match="names"):
        load(environ, allow_build=["--no-build"])


def test_what_was_built_once_is_found_again_without_uv(shop: Shop, tmp_path: Path) -> None:
    """Its lock is the spec's own, whatever it took to get there; no memo is needed for that."""
    made = _supply(shop, "alpha", allowed=("beta", "gamma"))
    for memo in (shop.root / "cache" / "v1" / "memos").glob("*"):
        memo.unlink()
    supplier = supplier_with(shop.settings(allow_build=("beta", "gamma")), uv=no_uv(tmp_path))

    found = supplier.supply(SupplyRequest(requirements=("alpha",)))

    assert (made.key, "hit") == (found.key, found.origin)
    with pytest.raises(ResolutionFailed, match="source only"):
        _supply(shop, "alpha")


def test_a_lock_names_source_distributions_which_are_built_from_it(
    shop: Shop, tmp_path: Path
) -> None:
    """The lock has their file and hash; taken whole it builds them, if that is still allowed."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})
    supplier = supplier_with(shop.settings(allow_build=("beta", "gamma")))
    place, made = supplier.write_lock(SupplyRequest(components=(supplier.component(folder),)))

    def frozen(**more: object) -> Environment:
        settings = shop.settings(cache_dir=tmp_path / "other", frozen=True, **more)
        other = supplier_with(settings)
        return other.supply(SupplyRequest(components=(other.component(folder),)))

    with pytest.raises(ResolutionFailed) as refused:
        frozen()
    again = frozen(allow_build=("beta", "gamma"))

    assert 'sdist = { name = "beta-1.0.tar.gz"' in place.read_text("utf-8")
    assert "--allow-build beta --allow-build gamma" in str(refused.value.hint)
    assert made.content_key == again.content_key


def test_source_distributions_are_vendored_and_need_no_permission_there(
    shop: Shop, tmp_path: Path
) -> None:
    """`vendor/` has sdists where there are no wheels; what lies there is built always."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})
    supplier = supplier_with(shop.settings(allow_build=("beta", "gamma")))
    supplier.vendor(SupplyRequest(components=(supplier.component(folder),)))

    other = supplier_with(shop.settings(cache_dir=tmp_path / "other", find_links=[]))
    environment = other.supply(SupplyRequest(components=(other.component(folder),)))

    assert {"alpha-1.0-py3-none-any.whl", "beta-1.0.tar.gz", "gamma-1.0.tar.gz"} == {
        path.name for path in (folder / "vendor").iterdir()
    }
    assert ["alpha", "beta", "gamma"] == [item.name for item in environment.lock]
