"""The version of a tree without version control, as the tree says it for that case."""

from __future__ import annotations

from pathlib import Path

import pytest

from orq_runtime._supply.scm import pretended
from tests.supply_fixtures import make_component


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({}, "0.0.0"),
        ({"setup.py": "setup(use_scm_version=True)"}, "0.0.0"),
        ({"setup.py": "setup(use_scm_version={'fallback_version': '0.1.0'})"}, "0.1.0"),
        ({"setup.py": 'setup(use_scm_version=dict(fallback_version = "1.2"))'}, "1.2"),
        ({"pyproject.toml": '[tool.setuptools_scm]\nfallback_version = "2.0rc1"\n'}, "2.0rc1"),
        ({"pyproject.toml": '[tool.hatch.version]\nfallback-version = "3"\n'}, "3"),
        ({"setup.py": "x = {'fallback_version': VERSION}"}, "0.0.0"),
        ({"setup.py": "x = {'fallback_version': '$(id)'}", "setup.cfg": "\n"}, "0.0.0"),
        ({"setup.py": "x = {'fallback_version': 'nonsense', 'fallback_version': '4'}"}, "4"),
        ({"setup.py": b"x = {'fallback_version': '\\xc3\\xa9'}".decode("latin-1")}, "0.0.0"),
    ],
)
def test_a_declared_version_is_the_trees(
    tmp_path: Path, files: dict[str, str], version: str
) -> None:
    """By every spelling of setuptools-scm and hatch-vcs; what is no version is none."""
    make_component(tmp_path / "source", files)

    assert {"SETUPTOOLS_SCM_PRETEND_VERSION": version} == pretended(tmp_path, "source")


def test_a_declaration_that_is_no_file_says_nothing(tmp_path: Path) -> None:
    """A link out of the tree is not followed, a folder is not read."""
    (tmp_path / "outside").write_text("fallback_version = '6.6.6'", "utf-8")
    tree = make_component(tmp_path / "work" / "source", {"setup.cfg/inside": ""})
    (tree / "setup.py").symlink_to(tmp_path / "outside")

    assert {"SETUPTOOLS_SCM_PRETEND_VERSION": "0.0.0"} == pretended(tree.parent, "source")
