"""The guest is standard library and Python 3.8: its imports are listed here, one by one."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import GUEST, Module, modules

# each costs every start of a guest, or a step that needs it: think before adding one
_ALLOWED = frozenset(
    {
        "__future__",
        "array",
        "ast",
        "asyncio",  # for async steps, which have it anyway
        "binascii",
        "collections",
        "ctypes",
        "difflib",
        "errno",
        "fcntl",
        "gc",
        "importlib",
        "inspect",
        "io",
        "itertools",
        "json",
        "linecache",
        "math",
        "mmap",  # for steps with large arrays
        "os",
        "re",
        "reprlib",
        "resource",
        "select",
        "signal",
        "site",
        "_socket",
        "stat",
        "struct",
        "sys",
        "textwrap",
        "threading",  # in zygotes, before a package does it
        "time",
        "types",
        "typing",
        "warnings",  # for models of pydantic, which imports it anyway
    }
)
_MODULES = modules(GUEST)


def _imports(tree: ast.Module) -> set[str]:
    """The top-level names a module imports, at the top or anywhere inside."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("module", _MODULES, ids=lambda module: module.name)
def test_the_guest_imports_only_what_is_listed(module: Module) -> None:
    """Nothing but the listed standard modules and the guest itself."""
    assert set() == _imports(module.tree) - _ALLOWED - {"orq_sandbox"}


def test_the_list_is_of_the_standard_library_and_in_use() -> None:
    """No third-party module got into the list, and nothing stays in it that nobody imports."""
    used = set().union(*(_imports(module.tree) for module in _MODULES))

    assert set() == _ALLOWED - sys.stdlib_module_names
    assert set() == _ALLOWED - used


@pytest.mark.parametrize("path", sorted(GUEST.rglob("*.py")), ids=lambda path: path.stem)
def test_the_guest_is_python_3_8(path: Path) -> None:
    """Every guest file parses with the grammar of 3.8."""
    source = path.read_text("utf-8")

    assert ast.parse(source, str(path), feature_version=(3, 8)).body


def test_newer_syntax_and_hidden_imports_would_be_noticed() -> None:
    """The two checks above see what they look for."""
    hidden = "def f():\n    if True:\n        import numpy.linalg\n    from . import wire\n"

    assert {"numpy", "."} == _imports(ast.parse(hidden))
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1:\n        pass\n", feature_version=(3, 8))
