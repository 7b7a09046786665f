"""What importing the package and asking for the version may not import."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.architecture.sources import HOST, REPOSITORY, modules, tree_environment

_HEAVY = frozenset({"rich", "yaml", "orjson", "typeguard", "numpy"})
_FOREIGN = """
import sys
before = set(sys.modules)
import orq_runtime
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(tops - set(sys.stdlib_module_names) - {"orq_runtime"}))
"""


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    said = subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env=tree_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return said


def _imported(importtime: str) -> set[str]:
    lines = [line for line in importtime.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments", [("-m", "orq_runtime", "--version"), ("-c", "import orq_runtime.cli")]
)
def test_the_command_line_starts_without_the_heavy_modules(arguments: tuple[str, ...]) -> None:
    """`--version` and the CLI's import pay for no drawing, parsing or checking."""
    imported = _imported(_python("-X", "importtime", *arguments).stderr)

    assert "orq_runtime" in imported
    assert set() == imported & _HEAVY


def test_importing_the_package_imports_nothing_of_others() -> None:
    """`import orq_runtime` imports the standard library at most."""
    assert "" == _python("-c", _FOREIGN).stdout.strip()


def test_only_one_module_takes_the_librarys_data_classes() -> None:
    """All others take `_dataclass`'s, which cost nothing to define; for types they are the same."""
    taken = {
        module.name
        for module in modules(HOST)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
    }

    assert {"orq_runtime._dataclass", "orq_runtime._light"} == taken
