"""Supply through both facades: locks, upgrades, vendoring and explanations by keyword."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orq_runtime import AsyncRuntime, Environment, Runtime
from orq_runtime.errors import ResolutionFailed, StaleLock
from orq_runtime.model.environment import Explanation
from tests.supply_fixtures import Shop, make_component, make_wheel

pytestmark = pytest.mark.slow

Facade = Callable[..., Any]  # one call of a facade's method: its result is the method's own


@pytest.fixture(params=["sync", "async"])
def facade(request: pytest.FixtureRequest, tmp_path: Path) -> Facade:
    """Call a method by its name on a runtime of the shop's."""
    shop = Shop(tmp_path / "shop")
    for version in ("1.0", "2.0"):
        make_wheel(shop.wheels, "alpha", version)
    own: Mapping[str, Any] = {
        "cache_dir": tmp_path / "cache",
        "find_links": [str(shop.wheels)],
        "offline": True,
        "isolation": "process",
    }

    def call(
        method: str, *targets: Path, settings: Mapping[str, Any] = own, **keywords: Any
    ) -> Any:
        given = {**own, **settings}
        if request.param == "sync":
            with Runtime(**given) as runtime:
                return getattr(runtime, method)(*targets, **keywords)

        async def awaited() -> Any:
            async with AsyncRuntime(**given) as runtime:
                return await getattr(runtime, method)(*targets, **keywords)

        return asyncio.run(awaited())

    return call


def _version(environment: Environment) -> str:
    return environment.lock[0].version


def test_a_lock_is_written_honoured_and_upgraded(facade: Facade, tmp_path: Path) -> None:
    """`lock`, `locked`, `frozen` and `upgrade_packages` mean what the options of the name do."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha<2\n"})

    first = facade("supply", folder, lock=True)
    make_component(folder, {"requirements.txt": "alpha\n"})
    with pytest.raises(StaleLock):
        facade("supply", folder, settings={"locked": True})
    frozen = facade("supply", folder, settings={"frozen": True})
    kept = facade("supply", folder, lock=True)
    upgraded = facade("supply", folder, lock=True, upgrade_packages=["alpha"])
    fits = facade("supply", folder, settings={"locked": True})

    assert ["1.0", "1.0", "1.0", "2.0", "2.0"] == [
        _version(each) for each in (first, frozen, kept, upgraded, fits)
    ]
    assert first.key == frozen.key == kept.key
    assert upgraded.content_key != kept.content_key != kept.key


def test_a_lock_that_contradicts_the_declarations_is_named(facade: Facade, tmp_path: Path) -> None:
    """A resolution that a stale lock makes impossible says which lock, and what to do."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha<2\n"})
    facade("supply", folder, lock=True)
    make_component(folder, {"requirements.txt": "alpha>=2\n"})

    with pytest.raises(ResolutionFailed) as failed:
        facade("supply", folder)

    assert f"declared in {folder / 'pylock.toml'}" in failed.value.message
    assert "--lock" in str(failed.value.hint)


def test_vendoring_makes_a_component_self_contained(facade: Facade, tmp_path: Path) -> None:
    """`vendor` brings the file; without any index the same is supplied."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})

    facade("supply", folder, vendor=True)
    alone = facade("supply", folder, settings={"find_links": [], "cache_dir": tmp_path / "other"})

    assert ["alpha-2.0-py3-none-any.whl"] == [path.name for path in (folder / "vendor").iterdir()]
    assert [("alpha", "2.0", True)] == [(i.name, i.version, i.local) for i in alone.lock]


def test_an_explanation_comes_with_the_environment(facade: Facade, tmp_path: Path) -> None:
    """A miss, then a hit; the value holds the environment."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha<2\n"})
    miss: Explanation = facade("explain", folder)
    hit: Explanation = facade("explain", folder)
    make_component(folder, {"requirements.txt": "alpha\n"})
    other: Explanation = facade("explain", folder)

    assert ("built", "hit") == (miss.environment.origin, hit.environment.origin)
    assert miss.environment == hit.environment
    assert miss.environment.key == other.nearest
    assert "package alpha" in {item.field for item in other.differences}
