"""Pins, pruning and checking: what goes, what stays, what is found, and what is made again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from orq_runtime import _fs
from orq_runtime._supply import Supplier
from orq_runtime._supply.store import Store
from orq_runtime.errors import RequestError, ResolutionFailed
from orq_runtime.model.environment import Environment, Freshness, SupplyRequest
from tests.supply_fixtures import (
    HOST_MINOR,
    Recorder,
    Shop,
    make_component,
    make_wheel,
    serving,
    source_files,
    store_names,
    supplier_with,
)

pytestmark = pytest.mark.slow

_DAY = 86400.0


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with three wheels."""
    shop = Shop(tmp_path / "shop")
    for name in ("alpha", "beta", "gamma"):
        make_wheel(shop.wheels, name)
    return shop


@pytest.fixture
def store(shop: Shop) -> Store:
    """The shop's store."""
    return Store(shop.root / "cache")


def _used_ago(store: Store, environment: Environment, seconds: float) -> None:
    then = (store.used / environment.key).stat().st_mtime - seconds
    os.utime(store.used / environment.key, (then, then))


def _keys(supplier: Supplier) -> set[str]:
    return {item.key for item in supplier.environments()}


def test_prune_takes_the_old_and_leaves_what_is_held(shop: Shop, store: Store) -> None:
    """By age: what was used lately, is leased or pinned stays, and the last two are told."""
    supplier = shop.supplier()
    old, pinned, leased, young = (
        shop.supply(requirements=[line]) for line in ("alpha", "beta", "gamma", "alpha<2")
    )
    young = shop.supply(requirements=["alpha", "beta"])
    for environment in (old, pinned, leased):
        _used_ago(store, environment, 40 * _DAY)
    supplier.pin(pinned.key[:10])

    with supplier.lease(leased):
        report = supplier.prune(older_than_seconds=30 * _DAY)

    assert {pinned.key, leased.key, young.key} == _keys(supplier)
    assert 1 == report.removed
    assert report.freed_bytes > 0
    told = {f"environment {pinned.key}: pinned", f"environment {leased.key}: in use"}
    assert told == set(report.kept)


def test_prune_to_a_size_takes_the_least_recently_used(shop: Shop, store: Store) -> None:
    """One byte too many costs the environment that was used longest ago, and no other."""
    supplier = shop.supplier()
    first, second, third = (shop.supply(requirements=[n]) for n in ("alpha", "beta", "gamma"))
    _used_ago(store, second, 2 * _DAY)
    _used_ago(store, first, _DAY)

    report = supplier.prune(max_bytes=supplier.size().total_bytes - 1)

    assert (1, {first.key, third.key}) == (report.removed, _keys(supplier))
    assert supplier.prune(max_bytes=1 << 40).removed == 0


def test_prune_to_nothing_leaves_what_is_held(shop: Shop, store: Store) -> None:
    """A leased environment runs on; everything else is gone, uv's cache included."""
    supplier = shop.supplier()
    leased, other = (shop.supply(requirements=[n]) for n in ("alpha", "beta"))

    with supplier.lease(leased):
        report = supplier.prune(max_bytes=0)

    assert (1, {leased.key}) == (report.removed, _keys(supplier))
    assert not store.uv_cache.exists()
    assert other.key not in {path.name for path in store.used.iterdir()}
    assert leased == shop.supply(requirements=["alpha"])


def test_prune_takes_what_leads_to_no_environment(shop: Shop, store: Store, tmp_path: Path) -> None:
    """Wheels, builds, memos, marks, lock files and drafts of evicted environments go with them."""
    component = make_component(tmp_path / "core", source_files("core"))
    kept = make_component(tmp_path / "kept", source_files("kept"))
    supplier = shop.supplier()
    gone, stays = shop.supply(component), shop.supply(kept)
    (store.locks / ".x.json.0123456789ab.draft").write_text("half")
    (store.pins / "0123").parent.mkdir(exist_ok=True)
    (store.pins / "0123").touch()
    _used_ago(store, gone, 2 * _DAY)

    report = supplier.prune(older_than_seconds=_DAY)

    assert gone.key not in " ".join(str(path) for path in store.root.rglob("*"))
    assert (1, 1) == (len(list(store.wheels.iterdir())), len(list(store.builds.iterdir())))
    assert report.others >= 5
    assert stays == shop.supply(kept)
    assert [] == list(store.pins.iterdir()) + list(store.staging.iterdir())


def test_prune_does_not_wait_for_a_build(shop: Shop, store: Store) -> None:
    """While somebody makes something, what he may need stays, and that is told."""
    environment = shop.supply(requirements=["alpha"])
    _used_ago(store, environment, 2 * _DAY)

    with store.making():
        report = shop.supplier().prune(older_than_seconds=_DAY, max_bytes=0)

    assert 1 == report.removed
    assert store.uv_cache.is_dir()
    assert any("a supply is going on" in text for text in report.kept)


def test_a_clock_that_went_back_makes_nothing_old(shop: Shop, store: Store) -> None:
    """What was used in the future is not old."""
    environment = shop.supply(requirements=["alpha"])
    _used_ago(store, environment, -400 * _DAY)

    assert 0 == shop.supplier().prune(older_than_seconds=_DAY).removed


def test_a_pinned_environment_survives_a_cleaning(shop: Shop) -> None:
    """Until it is unpinned; a key that is none, or many, is refused."""
    supplier = shop.supplier()
    environment = shop.supply(requirements=["alpha"])
    supplier.pin(environment.key)
    kept = supplier.clean()
    pinned = [item.pinned for item in supplier.environments()]
    supplier.pin(environment.key[:8], is_pinned=False)

    assert f"environment {environment.key}: pinned" in kept.kept
    assert [True] == pinned
    with pytest.raises(RequestError, match="no such environment: `nothing`"):
        supplier.pin("nothing")
    with pytest.raises(RequestError, match="no such environment: ``"):
        supplier.pin("")
    assert 1 == supplier.clean().removed
    assert set() == store_names(shop.root / "cache")


# -- verify ------------------------------------------------------------------------------------


def _edit(path: Path, text: str) -> None:
    """As the cache's owner may: a read-only file is still its owner's."""
    path.chmod(0o600)
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)
    path.chmod(0o444)


def test_what_was_just_made_is_whole(shop: Shop, tmp_path: Path) -> None:
    """A fresh store has no finding, local packages, bytecode and support layer included."""
    files = {**source_files("core"), "requirements.txt": "alpha\n"}
    shop.supply(make_component(tmp_path / "core", files))

    found = list(shop.supplier().verify())

    assert {"environment", "support", "wheel"} == {item.kind for item in found}
    assert [] == [text for item in found for text in item.defects]


def test_an_edit_is_found_in_every_environment_that_shares_the_file(
    shop: Shop, store: Store
) -> None:
    """Files are hard links of uv's cache: one edit poisons all, and all are made again clean."""
    one, two = shop.supply(requirements=["alpha"]), shop.supply(requirements=["alpha", "beta"])
    module = one.site_packages / "alpha.py"
    is_shared = module.stat().st_ino == (two.site_packages / "alpha.py").stat().st_ino
    _edit(module, "EVIL = 1\n")

    found = list(shop.supplier().verify(repair=True))

    assert is_shared
    edited = {item.key: item for item in found if item.defects}
    assert {one.key, two.key} == set(edited)
    assert {"repaired"} == {item.state for item in edited.values()}
    site = f"lib/python{HOST_MINOR}/site-packages/alpha.py"
    assert all(f"changed: {site}" in item.defects for item in edited.values())
    assert "EVIL" not in module.read_text() + (two.site_packages / "alpha.py").read_text()
    assert 2 == len(list(store.quarantine.iterdir()))
    assert [] == [item for item in shop.supplier().verify() if item.defects]


def test_an_edit_in_one_environment_reaches_none_that_is_made_later(shop: Shop) -> None:
    """Uv's cache has the edited file: what RECORDs do not vouch for is fetched anew."""
    module = shop.supply(requirements=["alpha"]).site_packages / "alpha.py"
    _edit(module, "EVIL = 1\n")

    later = shop.supply(requirements=["alpha", "beta"])

    assert "EVIL" in module.read_text()
    assert "EVIL" not in (later.site_packages / "alpha.py").read_text()
    assert [] == [text for item in shop.supplier().verify(later.key) for text in item.defects]


def test_one_with_all_its_bytecode_is_made_again_with_all_of_it(shop: Shop, store: Store) -> None:
    """Also by somebody whose settings would have less: its name says what is in it."""
    supplier = supplier_with(shop.settings(compile="all"), Recorder())
    made = supplier.supply(SupplyRequest(requirements=("alpha",)))
    compiled = sorted(path.name for path in made.path.rglob("*.pyc"))
    _edit(made.site_packages / "alpha.py", "EVIL = 1\n")

    found = [item for item in shop.supplier().verify(repair=True) if item.defects]

    assert ["repaired"] == [item.state for item in found]
    assert [made.key] == [path.name for path in store.environments.iterdir()]
    assert compiled == sorted(path.name for path in made.path.rglob("*.pyc"))


@pytest.mark.parametrize(
    ("name", "defect"),
    [
        ("pyvenv.cfg", "changed: pyvenv.cfg"),
        ("orq.json", "changed: orq.json"),
        (f"lib/python{HOST_MINOR}/site-packages/alpha-1.0.dist-info/RECORD", "changed: lib"),
        ("files.json", "not there, or not readable: files.json"),
    ],
)
def test_an_edit_of_what_no_record_lists_is_found(shop: Shop, name: str, defect: str) -> None:
    """Also of the lists themselves; without --repair it is taken out of use, and supplied anew."""
    environment = shop.supply(requirements=["alpha"])
    _edit(environment.path / name, "\nx")

    found = [item for item in shop.supplier().verify() if item.defects]

    assert [("quarantined", environment.key)] == [(item.state, item.key) for item in found]
    assert any(text.startswith(defect) for text in found[0].defects)
    assert not environment.path.exists()
    assert "built" == shop.supply(requirements=["alpha"]).origin


def test_added_lost_and_writable_files_are_found(shop: Shop) -> None:
    """A file of nobody, a bytecode file that is gone, and a file that may be written."""
    environment = shop.supply(requirements=["alpha"])
    site = environment.site_packages
    for folder in (site, site / "__pycache__"):
        folder.chmod(0o700)
    (site / "evil.pth").write_text("import os")
    (site / "evil.pth").chmod(0o444)
    next((site / "__pycache__").iterdir()).unlink()
    for folder in (site, site / "__pycache__"):
        folder.chmod(0o555)
    (site / "alpha.py").chmod(0o644)

    (found,) = shop.supplier().verify(environment.key)
    kinds = sorted(text.partition(":")[0] for text in found.defects)

    assert ["can be written", "gone", "of nobody"] == kinds


def test_an_edited_environment_in_use_stays(shop: Shop) -> None:
    """It is told, and taken away when nobody runs in it any more."""
    supplier = shop.supplier()
    environment = shop.supply(requirements=["alpha"])
    with supplier.lease(environment):
        _edit(environment.path / "pyvenv.cfg", "x")
        (found,) = supplier.verify(environment.key)
    (later,) = supplier.verify(environment.key)

    assert ("in_use", "quarantined") == (found.state, later.state)


def test_an_edited_wheel_is_built_again(shop: Shop, store: Store, tmp_path: Path) -> None:
    """A local package's wheel that was changed is not installed from."""
    component = make_component(tmp_path / "core", source_files("core"))
    first = shop.supply(component)
    wheel = next(store.wheels.glob("*/*.whl"))
    _edit(wheel, "x")
    found = [item for item in shop.supplier().verify() if item.defects]
    with store.taken("environment", first.path):
        pass

    assert [("wheel", "quarantined")] == [(item.kind, item.state) for item in found]
    assert first == shop.supply(component)
    assert [] == [item for item in shop.supplier().verify() if item.defects]


# -- failures ----------------------------------------------------------------------------------


def test_a_hundred_callers_do_not_hammer_an_index(shop: Shop, store: Store) -> None:
    """What an index just refused it is not asked again, until somebody refreshes."""
    (shop.root / "index").mkdir(parents=True)
    with serving(shop.root / "index") as (url, asked):
        settings = shop.settings(offline=False, find_links=[], default_index=url)
        supplier = supplier_with(replace(settings), Recorder())
        lines = ("no-such-thing",)
        counts = []
        for freshness in (*([Freshness()] * 100), Freshness(refresh=True), Freshness()):
            with pytest.raises(ResolutionFailed, match="no-such-thing"):
                supplier.supply(SupplyRequest(requirements=lines, freshness=freshness))
            counts.append(len(asked))

    assert counts[0] > 0
    assert [counts[0]] * 100 == counts[:100]
    assert counts[100] > counts[99]
    assert counts[101] == counts[100]


def test_a_failure_of_another_time_is_not_remembered(shop: Shop, store: Store) -> None:
    """Neither one of a while ago nor one of the future: the clock may go back."""
    (shop.root / "index").mkdir(parents=True)
    with serving(shop.root / "index") as (url, asked):
        settings = shop.settings(offline=False, find_links=[], default_index=url)
        supplier = supplier_with(settings, Recorder())
        request = SupplyRequest(requirements=("no-such-thing",))
        for shift in (-3600.0, 3600.0):
            with pytest.raises(ResolutionFailed):
                supplier.supply(request)
            before = len(asked)
            for path in store.failures.iterdir():
                text = path.read_text("utf-8")
                at = float(text.partition('"at": ')[2].partition(",")[0])
                _fs.write_atomic(path, text.replace(str(at), str(at + shift)).encode())
            with pytest.raises(ResolutionFailed):
                supplier.supply(request)
            assert len(asked) > before
