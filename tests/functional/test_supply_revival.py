"""Components of 2020 to 2022 supply again: dated, on their Python, with what images once hid."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orq_runtime._supply import Supplier
from orq_runtime.errors import BuildFailed, ResolutionFailed
from orq_runtime.model.environment import Environment, SupplyRequest
from orq_runtime.settings import load
from tests.supply_fixtures import Shop, make_component, make_sdist, source_files, supplier_with

pytestmark = pytest.mark.slow

# as the setup.py of a published component, shortened
_SETUP = """
import os, site, sys, warnings
import setuptools

try:
    from subtrees.actions.setup_extras import extras
except ImportError:
    warnings.warn("Unable to import extras")
    extras = {{}}

site.ENABLE_USER_SITE = "--user" in sys.argv[1:]

setuptools.setup(
    name="{name}",
    use_scm_version=True,
    packages=setuptools.find_namespace_packages(include=["stars.*"], where="src/python"),
    package_dir={{"": "src/python"}},
    python_version="!=3.9.7",
    install_requires={requires!r},
    extras_require=extras,
    setup_requires=["setuptools_scm~=6.0"],
    zip_safe=False,
)
"""


def _old_component(folder: Path, name: str, module: str, requires: list[str]) -> Path:
    files = {
        "setup.py": _SETUP.format(name=name, requires=requires),
        f"src/python/stars/{module}/__init__.py": "import yaml\nimport typing_extensions\n",
        "steps/step.py": "",
    }
    return make_component(folder, files)


def _says(environment: Environment, program: str) -> str:
    argv = [str(environment.python), "-I", "-c", program]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.network
def test_namespace_components_of_2022_supply_jointly_on_their_python(tmp_path: Path) -> None:
    """Dated 2022-07-01 on 3.8, with base packages, siblings by name: importable together."""
    settings = load(cache_dir=tmp_path / "cache", exclude_newer="2022-07-01", python="3.8")
    supplier: Supplier = supplier_with(settings)
    if "3.8" not in {item.minor for item in supplier.interpreters()}:
        pytest.skip("this machine has no Python 3.8")
    core = _old_component(tmp_path / "stars-core", "stars-core", "core", ["networkx==2.4"])
    maps = _old_component(tmp_path / "stars-maps", "stars-maps", "maps", ["stars-core", "numpy"])

    environment = supplier.supply(
        SupplyRequest(
            components=(supplier.component(maps), supplier.component(core)),
            requirements=("typing_extensions", "pyyaml"),
        )
    )

    versions = {item.name: item.version for item in environment.lock}
    assert {"stars-core", "stars-maps", "networkx", "numpy", "pyyaml"} <= set(versions)
    assert ("2.4", "1.23.0") == (versions["networkx"], versions["numpy"])
    assert ["stars-core", "stars-maps"] == [i.name for i in environment.lock if i.local]
    program = "import sys, stars.core, stars.maps; print('%d.%d' % sys.version_info[:2])"
    assert "3.8" == _says(environment, program)


def test_a_sibling_may_ask_for_the_version_that_a_tree_declares(tmp_path: Path) -> None:
    """Without version control the fallback is a tree's version, and not 0.0.0."""
    shop = Shop(tmp_path / "shop")
    files = source_files("core")
    files["backend.py"] = "import os\n" + files["backend.py"].replace(
        '"1.0"', "os.environ['SETUPTOOLS_SCM_PRETEND_VERSION']"
    )
    files["pyproject.toml"] += '\n[tool.setuptools_scm]\nfallback_version = "1.4"\n'
    core = make_component(tmp_path / "core", files)
    maps = make_component(tmp_path / "maps", source_files("maps", requires=["core>=1.2"]))

    environment = shop.supply(maps, core)

    assert {"core": "1.4", "maps": "1.0"} == {i.name: i.version for i in environment.lock}


def test_a_dead_name_is_told_with_its_component_and_the_cure(
    tmp_path: Path,
) -> None:
    """`sklearn` on an index is a placeholder that fails: who requires it, and what is meant."""
    shop = Shop(tmp_path / "shop")
    make_sdist(shop.wheels, "sklearn", "0.0")
    folder = make_component(tmp_path / "tutorial", source_files("tutorial", requires=["sklearn"]))

    with pytest.raises(ResolutionFailed) as failed:
        shop.supply(folder)

    assert f"`sklearn` is declared by `tutorial` ({folder})" in failed.value.message
    assert "`scikit-learn`" in str(failed.value.hint)


def test_a_dead_name_whose_build_is_allowed_is_told_as_well(tmp_path: Path) -> None:
    """What the placeholder says of itself does not say who requires it."""
    shop = Shop(tmp_path / "shop")
    files = source_files("sklearn", "0.0")
    files["backend.py"] = "raise SystemExit('deprecated')"
    make_sdist(shop.wheels, "sklearn", "0.0", files=files)
    folder = make_component(tmp_path / "tutorial", source_files("tutorial", requires=["sklearn"]))
    supplier = supplier_with(shop.settings(allow_build=["sklearn"]))

    with pytest.raises(BuildFailed, match="deprecated") as failed:
        supplier.supply(SupplyRequest(components=(supplier.component(folder),)))

    assert f"`sklearn` is declared by `tutorial` ({folder})" in failed.value.message
    assert "`scikit-learn`" in str(failed.value.hint)


def test_a_module_name_is_told_with_its_distribution(tmp_path: Path) -> None:
    """What nobody has under that name, and people mean another."""
    shop = Shop(tmp_path / "shop")

    with pytest.raises(ResolutionFailed) as failed:
        shop.supply(requirements=["cv2"])

    assert "by `cv2` people mean `opencv-python-headless`" in str(failed.value.hint)
