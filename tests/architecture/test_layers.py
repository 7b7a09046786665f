"""The import contracts of pyproject.toml hold, and would be noticed if they did not."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.architecture.sources import REPOSITORY, tree_environment


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of both packages and of the contracts, to break."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "orq_runtime", tmp_path / "orq_runtime", ignore=ignored)
    shutil.copytree(REPOSITORY / "sandbox", tmp_path / "sandbox", ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def _lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-cache"],
        cwd=root,
        env=tree_environment(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_every_import_contract_is_kept() -> None:
    """No module imports against the layers."""
    said = _lint_imports(REPOSITORY)

    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("place", ["orq_runtime/unplaced.py", "sandbox/orq_sandbox/unplaced.py"])
def test_a_new_module_must_be_placed_in_a_layer(tree: Path, place: str) -> None:
    """A file that no layer names breaks a contract."""
    (tree / place).write_text('"""Placed nowhere."""\n', "utf-8")

    said = _lint_imports(tree)

    module = Path(place).with_suffix("").as_posix().removeprefix("sandbox/").replace("/", ".")
    assert said.returncode != 0
    assert f"- {module}\n" in said.stdout


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("orq_sandbox.wire", "orq_runtime.errors"),
        ("orq_runtime.model.step", "orq_sandbox.wire"),
        ("orq_runtime._run.codec", "orq_sandbox.convert"),
        ("orq_runtime.errors", "orq_runtime.model.step"),
        ("orq_sandbox.wire", "orq_sandbox.typecheck"),
    ],
)
def test_an_import_against_the_layers_is_noticed(tree: Path, importer: str, imported: str) -> None:
    """Guest to host, host to guest beyond the wire, any layer upwards: each is named."""
    root = tree / "sandbox" if importer.startswith("orq_sandbox") else tree
    with open(root / (importer.replace(".", "/") + ".py"), "a", encoding="utf-8") as file:
        file.write(f"\nimport {imported}\n")

    said = _lint_imports(tree)

    assert said.returncode != 0
    assert f"{importer} -> {imported} " in said.stdout
