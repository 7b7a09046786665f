"""Interpreters and components are found where they are, or refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orq_runtime.errors import BadComponent, InterpreterNotFound
from orq_runtime.model.environment import SupplyRequest
from orq_runtime.settings import load
from tests.supply_fixtures import HOST_MINOR, Recorder, Shop, make_component, supplier_with

pytestmark = pytest.mark.slow

_BASE = Path(getattr(sys, "_base_executable", sys.executable)).resolve()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty shop."""
    return Shop(tmp_path / "shop")


def test_none_is_the_hosts_own_base_interpreter(shop: Shop) -> None:
    """Asked for nothing, a step runs on what the host runs on, and not on a virtual environment."""
    environment = shop.supply()

    assert (_BASE, sys.version_info[:3]) == (
        environment.interpreter.path,
        environment.interpreter.version,
    )


def test_a_path_and_a_link_to_it_are_one_interpreter(shop: Shop, tmp_path: Path) -> None:
    """A link to a binary is the binary."""
    (tmp_path / "python").symlink_to(_BASE)

    by_link = shop.supply(python=str(tmp_path / "python"))

    assert by_link == shop.supply(python=str(_BASE)) == shop.supply(python=HOST_MINOR)


def test_a_virtual_environments_python_stands_for_its_base(shop: Shop) -> None:
    """Naming an environment's python gives its base interpreter, without its packages."""
    made = shop.supply()

    again = shop.supply(python=str(made.python))

    assert made == again


@pytest.mark.parametrize("wanted", ["2.7", "3.6", "3.7", "3.7.16", "3.15"])
def test_unsupported_versions_are_refused_by_name(shop: Shop, wanted: str) -> None:
    """The message names the version and what is supported, the hint what there is."""
    with pytest.raises(InterpreterNotFound) as refused:
        shop.supply(python=wanted)

    assert (
        f"Python `{wanted}` is not supported: steps run on CPython 3.8 to 3.14"
        == refused.value.message
    )
    assert HOST_MINOR in str(refused.value.hint)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("3.11.99", "no Python `3.11.99` on this machine"),
        ("latest", "not a Python version"),
        ("/nowhere/python3", "no interpreter at"),
        ("/bin/true", "not a usable interpreter"),
    ],
)
def test_a_missing_interpreter_lists_what_there_is(shop: Shop, wanted: str, reason: str) -> None:
    """Whatever is wrong with the wish, the hint lists the choices."""
    with pytest.raises(InterpreterNotFound, match=reason) as missing:
        shop.supply(python=wanted)

    assert str(missing.value.hint).startswith("on this machine there is: ")


def test_shims_are_passed_over_and_stand_for_the_real_thing(tmp_path: Path) -> None:
    """A script with an interpreter's name is not used; named by path it means its version."""
    shims = tmp_path / "shims"
    shims.mkdir()
    shim = shims / f"python{HOST_MINOR}"
    shim.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    shim.chmod(0o755)
    settings = load(
        {"HOME": str(tmp_path), "PATH": f"{shims}:{os.defpath}"}, cache_dir=tmp_path / "cache"
    )
    supplier = supplier_with(settings, home=tmp_path)

    found = [item.path for item in supplier.interpreters()]
    made = supplier.supply(SupplyRequest(python=str(shim)))

    assert [] == [path for path in found if path.is_relative_to(shims)]
    assert _BASE == made.interpreter.path


def test_interpreters_are_found_in_well_known_places(tmp_path: Path) -> None:
    """Pyenv's versions under the home folder are found without its shims."""
    bin_folder = tmp_path / ".pyenv" / "versions" / "9.9.9" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / f"python{HOST_MINOR}").symlink_to(_BASE)
    settings = load({"HOME": str(tmp_path), "PATH": ""}, cache_dir=tmp_path / "cache")

    found = supplier_with(settings, home=tmp_path).interpreters()

    assert _BASE in [item.path for item in found]


@pytest.mark.parametrize("variable", ["PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME"])
def test_interpreters_are_found_where_their_keepers_were_told_to_put_them(
    tmp_path: Path, variable: str
) -> None:
    """Pyenv and uv put them elsewhere by a variable, and so do we look there."""
    inner = {"PYENV_ROOT": "versions", "UV_PYTHON_INSTALL_DIR": "", "XDG_DATA_HOME": "uv/python"}
    bin_folder = tmp_path / "place" / inner[variable] / "cpython-9.9.9" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / f"python{HOST_MINOR}").symlink_to(_BASE)
    environ = {"HOME": str(tmp_path), "PATH": "", variable: str(tmp_path / "place")}

    settings = load(environ, cache_dir=tmp_path / "cache")

    assert bin_folder.parent.parent in settings.python_dirs
    found = [item.path for item in supplier_with(settings).interpreters()]
    assert _BASE in found


def test_an_interpreter_that_fits_the_declarations_is_chosen(tmp_path: Path) -> None:
    """`requires-python` that the host does not meet: another one of the machine is taken."""
    heard = Recorder()
    settings = load(None, cache_dir=tmp_path / "cache")
    supplier = supplier_with(settings, heard)
    others = [item for item in supplier.interpreters() if item.version[:2] != sys.version_info[:2]]
    if not others:
        pytest.skip("this machine has one Python")
    wanted = ".".join(str(part) for part in others[0].version)
    text = f'[project]\nname = "core"\nversion = "1"\nrequires-python = "=={wanted}"\n'
    folder = make_component(tmp_path / "core", {"pyproject.toml": text})
    maker = supplier._maker()

    asked = maker._read(SupplyRequest(components=(supplier.component(folder),)))

    assert wanted == ".".join(str(part) for part in asked.interpreter.version)
    assert [f"Python {others[0].minor} is used"] == [
        event.message.partition(":")[0] for event in heard.events if event.phase == "resolve"
    ]


def test_every_interpreter_of_this_machine_supplies(shop: Shop) -> None:
    """An environment of each supported interpreter found runs that interpreter."""
    settings = load(
        None, cache_dir=shop.root / "cache", offline=True, find_links=[str(shop.wheels)]
    )
    shop.settings()
    supplier = supplier_with(settings)
    found = supplier.interpreters()
    assert found

    for interpreter in found:
        if interpreter.cache_tag != sys.implementation.cache_tag:
            continue  # their support layers come from an index: see the network test
        made = supplier.supply(SupplyRequest(python=str(interpreter.path)))
        program = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
        said = subprocess.run([made.python, "-I", "-c", program], capture_output=True, text=True)
        assert ".".join(map(str, interpreter.version)) == said.stdout.strip()


@pytest.mark.network
def test_each_minor_version_gets_a_support_layer_that_works(tmp_path: Path) -> None:
    """On every interpreter here, the layer's typeguard and orjson import and do their work."""
    supplier = supplier_with(load(None, cache_dir=tmp_path / "cache"))
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import orjson, typeguard; "
        "from typing import List; typeguard.check_type([1], List[int]); "
        "print(orjson.dumps({'a': 1}).decode())"
    )
    newest = {item.minor: item for item in reversed(supplier.interpreters())}

    said = {}
    for minor, interpreter in newest.items():
        made = supplier.supply(SupplyRequest(python=str(interpreter.path)))
        argv = [str(interpreter.path), "-I", "-S", "-c", program, str(made.support)]
        said[minor] = subprocess.run(argv, capture_output=True, text=True).stdout.strip()

    assert dict.fromkeys(newest, '{"a":1}') == said


def test_the_component_of_a_file_is_the_nearest_declaration_upwards(
    shop: Shop, tmp_path: Path
) -> None:
    """From the file upwards, the first folder with a declaration; its package roots are named."""
    make_component(
        tmp_path / "repo",
        {
            "pyproject.toml": "",
            "core/requirements.txt": "",
            "core/src/python/pkg/main.py": "",
            "plain/step.py": "",
            "shipped/vendor/x": "",
            "shipped/step.py": "",
        },
    )
    supplier = shop.supplier()
    core = tmp_path / "repo" / "core"

    found = supplier.component_of(core / "src/python/pkg/main.py")

    assert found == supplier.component(core)
    assert found is not None
    assert (core / "src" / "python", core / "src", core) == found.roots
    above = supplier.component_of(tmp_path / "repo/plain/step.py")
    assert above == supplier.component(tmp_path / "repo")
    vendored = supplier.component_of(tmp_path / "repo/shipped/step.py")
    assert vendored == supplier.component(tmp_path / "repo/shipped")


def test_the_search_for_a_component_stops_at_the_home_folder(tmp_path: Path) -> None:
    """A step in a home folder never exposes the home, whatever lies there."""
    home = make_component(
        tmp_path / "home", {"requirements.txt": "", "sub/step.py": "", "s.py": ""}
    )
    settings = load({"HOME": str(home)}, cache_dir=tmp_path / "cache")
    supplier = supplier_with(settings, home=home)

    assert None is supplier.component_of(home / "s.py")
    assert None is supplier.component_of(home / "sub" / "step.py")


def test_the_search_stops_at_a_folder_that_others_can_write(shop: Shop, tmp_path: Path) -> None:
    """Anybody could have put the declaration there."""
    shared = make_component(tmp_path / "shared", {"requirements.txt": "", "sub/step.py": ""})
    shared.chmod(0o777)

    assert None is shop.supplier().component_of(shared / "sub" / "step.py")


def test_no_declaration_is_no_component(shop: Shop, tmp_path: Path) -> None:
    """Up to the root there is none, and a folder that is missing is an error when named."""
    assert None is shop.supplier().component_of(tmp_path / "step.py")
    with pytest.raises(BadComponent, match="not a folder"):
        shop.supplier().component(tmp_path / "missing")
