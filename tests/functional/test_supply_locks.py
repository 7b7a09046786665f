"""Locks: written beside a component, honoured, stale, upgraded, standing in for an index."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from orq_runtime._supply import Supplier
from orq_runtime.errors import (
    BadComponent,
    IndexUnavailable,
    RequestError,
    ResolutionFailed,
    StaleLock,
)
from orq_runtime.model.environment import Environment, Freshness, SupplyRequest
from tests.supply_fixtures import (
    Recorder,
    Shop,
    make_component,
    make_wheel,
    no_uv,
    serving,
    source_files,
    supplier_with,
)

pytestmark = pytest.mark.slow

_AS_BEFORE = Freshness()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with two versions of alpha, the newer one of which needs beta."""
    shop = Shop(tmp_path / "shop")
    make_wheel(shop.wheels, "alpha", "1.0")
    make_wheel(shop.wheels, "beta", "1.0")
    return shop


def _pins(environment: Environment) -> dict[str, str]:
    return {package.name: package.version for package in environment.lock}


def _request(supplier: Supplier, folder: Path, freshness: Freshness = _AS_BEFORE) -> SupplyRequest:
    return SupplyRequest(components=(supplier.component(folder),), freshness=freshness)


def _lock(shop: Shop, folder: Path, freshness: Freshness = _AS_BEFORE) -> tuple[Path, Environment]:
    supplier = shop.supplier()
    return supplier.write_lock(_request(supplier, folder, freshness))


def _with_mode(shop: Shop, folder: Path, mode: str) -> Environment:
    supplier = supplier_with(shop.settings(**{mode: True}))
    return supplier.supply(_request(supplier, folder))


def test_a_lock_is_a_pylock_that_names_each_file_with_its_hash(shop: Shop, tmp_path: Path) -> None:
    """`pylock.toml` by PEP 751: name, version, file, hash; a local package by its folder."""
    files = {**source_files("core"), "requirements.txt": "alpha\n"}
    folder = make_component(tmp_path / "core", files)

    place, environment = _lock(shop, folder)

    assert folder / "pylock.toml" == place
    document = tomllib.loads(place.read_text("utf-8"))
    assert ("1.0", "orq-runtime") == (document["lock-version"], document["created-by"])
    alpha, core = document["packages"]
    (wheel,) = alpha.pop("wheels")
    assert {"name": "alpha", "version": "1.0"} == alpha
    assert "alpha-1.0-py3-none-any.whl" == wheel["name"]
    digest = next(item.digests[0] for item in environment.lock if item.name == "alpha")
    assert digest == f"sha256:{wheel['hashes']['sha256']}"
    assert {"name": "core", "version": "1.0", "directory": {"path": "."}} == core


def test_a_lock_holds_a_component_to_its_versions(shop: Shop, tmp_path: Path) -> None:
    """What an index has newer later on changes nothing, in an empty cache too."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})
    _lock(shop, folder)
    make_wheel(shop.wheels, "alpha", "2.0")
    elsewhere = Shop(tmp_path / "elsewhere")
    elsewhere.wheels.parent.mkdir()
    elsewhere.wheels.symlink_to(shop.wheels)
    heard = Recorder()

    kept = elsewhere.supply(folder, sink=heard)
    (folder / "pylock.toml").unlink()
    free = elsewhere.supply(folder)

    assert ({"alpha": "1.0"}, {"alpha": "2.0"}) == (_pins(kept), _pins(free))
    assert 0 == heard.count("resolve")


def test_a_stale_lock_is_told_by_locked_and_taken_by_frozen(shop: Shop, tmp_path: Path) -> None:
    """`locked` names the requirement that the lock lacks; `frozen` asks no questions."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})
    _lock(shop, folder)

    fits = _with_mode(shop, folder, "locked")
    make_component(folder, {"requirements.txt": "alpha\nbeta\n"})
    with pytest.raises(StaleLock) as stale:
        _with_mode(shop, folder, "locked")
    frozen = _with_mode(shop, folder, "frozen")

    assert fits == frozen
    assert "is stale: `beta`" in stale.value.message
    assert f"{folder / 'requirements.txt'}:2" in stale.value.message
    assert "--lock" in str(stale.value.hint)


@pytest.mark.parametrize("mode", ["locked", "frozen"])
def test_a_lock_that_is_missing_is_an_error_where_it_is_wanted(
    shop: Shop, tmp_path: Path, mode: str
) -> None:
    """Nothing is resolved in its stead."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})

    with pytest.raises(StaleLock, match="there is no lock"):
        _with_mode(shop, folder, mode)


def test_locked_and_frozen_exclude_each_other_and_an_upgrade(shop: Shop, tmp_path: Path) -> None:
    """Both at once, and either with an upgrade, are refused as requests."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})
    supplier = supplier_with(shop.settings(locked=True))

    with pytest.raises(RequestError, match="exclude each other"):
        shop.settings(locked=True, frozen=True)
    with pytest.raises(RequestError, match="nothing is upgraded"):
        supplier.supply(_request(supplier, folder, Freshness(upgrade=True)))


def test_upgrades_move_all_or_the_packages_named(shop: Shop, tmp_path: Path) -> None:
    """A lock that is made again keeps what it has, unless that is upgraded."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\nbeta\n"})
    _lock(shop, folder)
    for name in ("alpha", "beta", "gamma"):
        make_wheel(shop.wheels, name, "2.0")

    again = _lock(shop, folder)[1]
    make_component(folder, {"requirements.txt": "alpha\nbeta\ngamma\n"})
    more = _lock(shop, folder)[1]
    one = _lock(shop, folder, Freshness(upgrade_packages=("Beta",)))[1]
    every = _lock(shop, folder, Freshness(upgrade=True))[1]

    assert {"alpha": "1.0", "beta": "1.0"} == _pins(again)
    assert {"alpha": "1.0", "beta": "1.0", "gamma": "2.0"} == _pins(more)
    assert {"alpha": "1.0", "beta": "2.0", "gamma": "2.0"} == _pins(one)
    assert {"alpha": "2.0", "beta": "2.0", "gamma": "2.0"} == _pins(every)


def test_without_a_lock_beside_it_the_last_resolution_stays_until_an_upgrade(
    shop: Shop, tmp_path: Path
) -> None:
    """The store's own lock serves; an upgrade replaces it for those who come after."""
    root = tmp_path / "index"
    make_wheel(root / "alpha", "alpha", "1.0")
    with serving(root) as (url, _):
        settings = shop.settings(find_links=[], default_index=url, offline=False)
        supplier = supplier_with(settings)
        request = SupplyRequest(requirements=("alpha",))
        first = supplier.supply(request)
        make_wheel(root / "alpha", "alpha", "2.0")

        second = supplier.supply(request)
        moved = supplier.supply(
            SupplyRequest(
                requirements=("alpha",),
                freshness=Freshness(upgrade_packages=("alpha",), refresh=True),
            )
        )
        third = supplier_with(settings).supply(request)

    assert ["1.0", "1.0", "2.0", "2.0"] == [
        _pins(each)["alpha"] for each in (first, second, moved, third)
    ]


def test_the_last_good_lock_serves_while_the_index_is_down(shop: Shop, tmp_path: Path) -> None:
    """A refresh that reaches no index says so and keeps what is there; without a lock it fails."""
    root = tmp_path / "index"
    make_wheel(root / "alpha", "alpha", "1.0")
    heard = Recorder()
    with serving(root) as (url, served):
        settings = shop.settings(find_links=[], default_index=url, offline=False)
        tools = {**settings.tool_environment, "UV_HTTP_RETRIES": "0"}
        settings = replace(settings, tool_environment=tools)
        supplier = supplier_with(settings, sink=heard)
        first = supplier.supply(SupplyRequest(requirements=("alpha",)))
        served.clear()

    refresh = Freshness(refresh=True)
    again = supplier.supply(SupplyRequest(requirements=("alpha",), freshness=refresh))
    supplier.clean()
    with pytest.raises(IndexUnavailable):
        supplier.supply(SupplyRequest(requirements=("alpha",), freshness=refresh))

    assert first == again
    assert [] == served
    assert [e for e in heard.events if e.message.startswith("the last good lock serves on: ")]


def test_a_lock_of_uv_constrains(shop: Shop, tmp_path: Path) -> None:
    """Versions of `uv.lock` hold, by marker where it has several; its hashes are checked."""
    for version in ("2.0", "3.0"):
        make_wheel(shop.wheels, "alpha", version)
    text = (
        "version = 1\n"
        '[[package]]\nname = "core"\nversion = "1"\nsource = { virtual = "." }\n'
        '[[package]]\nname = "alpha"\nversion = "1.0"\nsource = { registry = "https://i/simple" }\n'
        "resolution-markers = [\"python_full_version < '3.2'\"]\n"
        '[[package]]\nname = "alpha"\nversion = "2.0"\nsource = { registry = "https://i/simple" }\n'
        "resolution-markers = [\"python_full_version >= '3.2'\"]\n"
    )
    files = {"requirements.txt": "alpha\n", "uv.lock": text}
    folder = make_component(tmp_path / "core", files)

    held = shop.supply(folder)
    wrong = f'wheels = [{{ url = "https://i/a-2.0-py3-none-any.whl", hash = "sha256:{"0" * 64}" }}]'
    make_component(folder, {"uv.lock": text + wrong + "\n"})

    assert {"alpha": "2.0"} == _pins(held)
    with pytest.raises(ResolutionFailed, match="has a hash that its requirement allows"):
        shop.supply(folder)


def test_with_a_lock_of_uv_locked_finds_what_it_lacks(shop: Shop, tmp_path: Path) -> None:
    """What is required and not in `uv.lock` makes it stale."""
    text = (
        'version = 1\n[[package]]\nname = "alpha"\nversion = "1.0"\n'
        'source = { registry = "https://i/simple" }\n'
    )
    files = {"requirements.txt": "alpha\nbeta\n", "uv.lock": text}
    folder = make_component(tmp_path / "core", files)

    with pytest.raises(StaleLock, match="does not have `beta`"):
        _with_mode(shop, folder, "locked")


def test_a_pylock_of_others_constrains_and_can_be_frozen(shop: Shop, tmp_path: Path) -> None:
    """Another tool's `pylock.toml` holds its versions, and is installed whole when frozen."""
    wheel = make_wheel(shop.wheels, "alpha", "2.0")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    file = f'{{ url = "{wheel.as_uri()}", hashes = {{ sha256 = "{digest}" }} }}'
    text = (
        'lock-version = "1.0"\ncreated-by = "others"\n[[packages]]\nname = "alpha"\n'
        f'version = "2.0"\nwheels = [{file}]\n'
    )
    make_wheel(shop.wheels, "alpha", "3.0")
    folder = make_component(
        tmp_path / "core", {"requirements.txt": "alpha\nbeta\n", "pylock.toml": text}
    )

    assert {"alpha": "2.0", "beta": "1.0"} == _pins(shop.supply(folder))
    assert {"alpha": "2.0"} == _pins(_with_mode(shop, folder, "frozen"))


def test_a_step_file_has_a_lock_of_its_own(shop: Shop, tmp_path: Path) -> None:
    """For a script block the lock is `pylock.NAME.toml` beside the file."""
    text = '# /// script\n# dependencies = ["alpha"]\n# ///\n'
    file = make_component(tmp_path / "steps", {"report.py": text}) / "report.py"
    supplier = shop.supplier()
    place, made = supplier.write_lock(SupplyRequest(scripts=(file,)))
    make_wheel(shop.wheels, "alpha", "2.0")

    held = shop.supply(scripts=[file])

    assert file.with_name("pylock.report.toml") == place
    assert made == held


@pytest.mark.parametrize("text", ["", "lock-version = '2.0'", "packages = 3", "\x00", "a = ["])
def test_a_lock_that_is_none_is_told_by_its_path(shop: Shop, tmp_path: Path, text: str) -> None:
    """Neither a parser's traceback nor a resolution without it."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n", "pylock.toml": text})

    with pytest.raises(Exception, match=str(folder / "pylock.toml")):
        shop.supply(folder)


def test_writing_a_lock_builds_nothing_anew(shop: Shop, tmp_path: Path) -> None:
    """The lock lies in the component's folder and is no part of its package."""
    files = source_files("core", requires=["alpha"])
    folder = make_component(tmp_path / "core", files)
    _, locked = _lock(shop, folder)
    heard = Recorder()

    again = shop.supply(folder, sink=heard)

    assert locked == again
    assert (0, 0) == (heard.count("build"), heard.count("resolve"))


_HOSTILE = {
    "a version that is another line": ("1.0\\n--index-url https://evil.invalid", "a" * 64, "a.whl"),
    "a hash that is an option": ("1.0", "a" * 64 + " --index-url=https://evil.invalid", "a.whl"),
    "a file that is a path": ("1.0", "a" * 64, "../../../../tmp/a-1.0-py3-none-any.whl"),
    "a file that is an option": ("1.0", "a" * 64, "--a.whl"),
}


@pytest.mark.parametrize("kind", _HOSTILE)
@pytest.mark.parametrize("mode", ["open", "frozen"])
def test_a_hostile_lock_is_none(shop: Shop, tmp_path: Path, kind: str, mode: str) -> None:
    """What could become a line, an option or a path of ours is refused before anything is run."""
    version, digest, name = _HOSTILE[kind]
    file = f'{{ name = "{name}", url = "https://i/x.whl", hashes = {{ sha256 = "{digest}" }} }}'
    text = (
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "alpha"\n'
        f'version = "{version}"\nwheels = [{file}]\n'
    )
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n", "pylock.toml": text})
    settings = shop.settings(frozen=mode == "frozen")
    supplier = supplier_with(settings, uv=no_uv(tmp_path))

    with pytest.raises(BadComponent, match="not a lock file"):
        supplier.supply(_request(supplier, folder))


def test_a_lock_does_not_say_where_anything_is_fetched(shop: Shop, tmp_path: Path) -> None:
    """A URL of a component's lock is never opened: the user's indexes have the file, or nobody."""
    with serving(tmp_path) as (evil, asked):
        wheel = make_wheel(tmp_path, "alpha", "1.0")
        folder = make_component(tmp_path / "core", {"requirements.txt": "alpha\n"})
        place, _ = _lock(shop, folder)
        own = next(shop.wheels.glob("alpha-*")).as_uri()
        text = place.read_text("utf-8")
        assert own in text
        place.write_text(text.replace(own, f"{evil}{wheel.name}"), "utf-8")
        elsewhere = supplier_with(shop.settings(cache_dir=tmp_path / "other", frozen=True))

        made, _ = elsewhere.vendor(_request(elsewhere, folder))

    assert [] == asked
    assert ["alpha-1.0-py3-none-any.whl"] == [path.name for path in made]
