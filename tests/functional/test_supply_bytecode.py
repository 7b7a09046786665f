"""Bytecode that supply makes ahead: of what is imported, or of everything; valid where it lies."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orq_runtime.errors import RequestError
from orq_runtime.model.environment import Environment, SupplyRequest
from orq_runtime.settings import load
from tests.supply_fixtures import Recorder, Shop, make_component, make_wheel, supplier_with

pytestmark = pytest.mark.slow

_UNCHECKED_HASH = 1


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with a package of many modules, of which its import needs two."""
    made = Shop(tmp_path / "shop")
    files = {f"alpha/part{number}.py": f"N = {number}\n" for number in range(120)}
    files |= {"alpha/__init__.py": "from alpha import part7\n", "alpha/bad.py": "def f(:\n"}
    make_wheel(made.wheels, "alpha", files=files)
    return made


def _supply(shop: Shop, compile_: str, heard: Recorder | None = None) -> Environment:
    supplier = supplier_with(shop.settings(compile=compile_), heard or Recorder())
    return supplier.supply(SupplyRequest(requirements=("alpha",)))


def _compiled(environment: Environment) -> dict[str, int]:
    """The flags of each file of bytecode, by its module's name."""
    return {
        path.name.split(".")[0]: int.from_bytes(path.read_bytes()[4:8], "little")
        for path in (environment.site_packages / "alpha").rglob("*.pyc")
    }


def test_what_is_imported_has_bytecode(shop: Shop) -> None:
    """And what is not, has none."""
    assert {"__init__", "part7"} == set(_compiled(_supply(shop, "imports")))


def test_all_of_it_can_have_bytecode(shop: Shop) -> None:
    """By the setting `compile`: what compiles, by content and not by time."""
    heard = Recorder()
    compiled = _compiled(_supply(shop, "all", heard))

    assert {"__init__", *(f"part{number}" for number in range(120))} == set(compiled)
    assert {_UNCHECKED_HASH} == set(compiled.values())
    told = [(event.total, event.unit) for event in heard.events if event.phase == "compile"]
    assert [(len(compiled) + 1, "modules")] * 2 == told  # one of them does not compile


def test_the_two_are_different_environments(shop: Shop) -> None:
    """One that is there never changes; each is found again."""
    first, second = _supply(shop, "imports"), _supply(shop, "all")

    assert first.path != second.path
    assert ("hit", "hit") == (_supply(shop, "imports").origin, _supply(shop, "all").origin)


@pytest.mark.parametrize("compile_", ["imports", "all"])
def test_bytecode_is_taken_for_what_it_is(shop: Shop, compile_: str) -> None:
    """An interpreter loads it in the published, read-only environment."""
    environment = _supply(shop, compile_)

    loud = [str(environment.python), "-I", "-v", "-c", "import alpha.part7"]
    said = subprocess.run(loud, capture_output=True, text=True, check=True).stderr

    bytecode = environment.site_packages / "alpha" / "__pycache__" / "part7."
    assert f"code object from '{bytecode}" in said


def test_local_packages_have_all_of_theirs(shop: Shop, tmp_path: Path) -> None:
    """Their files are compiled and not imported: importing them could do anything."""
    folder = make_component(tmp_path / "core", {})
    make_wheel(folder / "vendor", "local", files={"local.py": "raise SystemExit", "l2.py": ""})

    environment = shop.supply(folder)

    names = {path.name.split(".")[0] for path in environment.site_packages.rglob("*.pyc")}
    assert {"local", "l2"} <= names


def test_the_setting_is_a_word() -> None:
    """Of the command line, the environment and the settings file."""
    assert "all" == load({"ORQ_RUNTIME_COMPILE": "all"}).compile
    with pytest.raises(RequestError, match="setting `compile` is a word"):
        load({}, compile="some")
