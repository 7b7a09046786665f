"""Why an environment was found or made: the fields that differ, and the nearest one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orq_runtime._supply import Supplier
from orq_runtime._supply.explain import differences, fields_of
from orq_runtime.errors import StoreError
from orq_runtime.model.environment import Difference, Explanation, SupplyRequest
from tests.supply_fixtures import (
    Shop,
    make_component,
    make_wheel,
    no_uv,
    source_files,
    supplier_with,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with two versions of alpha, and with beta."""
    shop = Shop(tmp_path / "shop")
    make_wheel(shop.wheels, "alpha", "1.0")
    make_wheel(shop.wheels, "alpha", "2.0")
    make_wheel(shop.wheels, "beta", "1.0")
    return shop


def _explain(supplier: Supplier, *folders: Path, lines: tuple[str, ...] = ()) -> Explanation:
    components = tuple(supplier.component(folder) for folder in folders)
    return supplier.explain(SupplyRequest(components=components, requirements=lines))


def _differing(explanation: Explanation) -> dict[str, tuple[str, str]]:
    return {item.field: (item.wanted, item.found) for item in explanation.differences}


def test_a_miss_names_its_fields_and_the_environment_that_differed_least(shop: Shop) -> None:
    """Of several environments the one with the fewest differences is named, with each of them."""
    supplier = shop.supplier()
    first = _explain(supplier, lines=("alpha==1.0", "beta"))
    far = _explain(supplier)
    second = _explain(supplier, lines=("alpha==2.0", "beta"))

    assert ("", ()) == (first.nearest, first.differences)
    assert "built" == second.environment.origin
    assert first.environment.key == second.nearest != far.environment.key
    found = _differing(second)
    assert {"requirements", "package alpha"} == set(found)
    assert ("alpha==2.0 beta", "alpha==1.0 beta") == found["requirements"]
    assert ["2.0", "1.0"] == [text.split()[0] for text in found["package alpha"]]


def test_a_hit_says_what_it_rests_on(shop: Shop, tmp_path: Path) -> None:
    """Unchanged files, a lock that is known, or new declarations with the same outcome."""
    folder = make_component(tmp_path / "core", {"requirements.txt": "alpha==2.0\n"})
    supplier = shop.supplier()
    _explain(supplier, lines=("alpha==2.0",))

    by_lock = _explain(supplier, folder)
    make_component(folder, {"requirements.txt": "alpha>1.5\n"})
    by_outcome = _explain(supplier, folder)

    assert ["hit", "hit"] == [each.environment.origin for each in (by_lock, by_outcome)]
    assert "its declarations were resolved before" in by_lock.reason
    assert "its declarations are new, and came to the same distributions" in by_outcome.reason
    unchanged = supplier_with(shop.settings(), uv=no_uv(tmp_path))
    assert "hit" == _explain(unchanged, lines=("alpha==2.0",)).environment.origin


def test_an_edited_module_is_named_by_its_package(shop: Shop, tmp_path: Path) -> None:
    """The local package's content is the one field that is not as before."""
    folder = make_component(tmp_path / "core", source_files("core"))
    supplier = shop.supplier()
    _explain(supplier, folder)
    make_component(folder, {"src/core/more.py": "x = 1"})

    edited = _explain(supplier, folder)

    assert ["package core"] == [item.field for item in edited.differences]


def test_preimages_are_read_as_fields() -> None:
    """Counts vanish, numbers stay, packages stand alone, and what one side lacks is empty."""
    preimage = [
        ["kind", "environment"],
        ["python#", "2"],
        ["python[]", "3"],
        ["python[]", "11"],
        ["extras#", "0"],
        ["package#", "3"],
        ["package[]", "alpha"],
        ["package[]", "1.0"],
        ["package[]", "index"],
        ["base", "/usr"],
    ]

    fields = fields_of(preimage)

    assert fields == {
        "kind": "environment",
        "python": "3 11",
        "extras": "",
        "package alpha": "1.0 index",
        "base": "/usr",
    }
    assert {} == fields_of(None) == fields_of("text")
    assert (Difference(field="a", wanted="1", found=""),) == differences({"a": "1"}, {})


def test_an_environment_that_is_not_what_its_name_says_is_refused(shop: Shop) -> None:
    """The preimage beside it is compared on reuse."""
    made = shop.supply(requirements=["alpha"])
    manifest = made.path / "orq.json"
    document = json.loads(manifest.read_text("utf-8"))
    document["preimage"][1][1] = "other"
    made.path.chmod(0o755)
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(document), "utf-8")
    for path in (shop.root / "cache" / "v1" / "memos").glob("*"):
        path.unlink()

    with pytest.raises(StoreError, match="is not what its name says"):
        shop.supply(requirements=["alpha"])
