"""Rules of the house that no linter knows: what the library may not call, and what modules say."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

import house_rules
from tests.architecture.sources import GUEST, HOST, Module, modules

_HOST = modules(HOST)
_ALL = [*_HOST, *modules(GUEST)]
_LIBRARY = [
    module for module in _HOST if not module.name.startswith(("orq_runtime.cli", "orq_runtime.__m"))
]
_ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb", "putenv"})
_EXITS = frozenset({"sys.exit", "os._exit", "os.abort", "exit", "quit", "SystemExit"})
_TALK = frozenset({"print", "logging.basicConfig", "sys.stdout.write", "sys.stderr.write"})


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""


def _named(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every dotted name that the code reads, and what it imports by name, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            yield _dotted(node), node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _uses(tree: ast.Module, names: frozenset[str]) -> list[tuple[str, int]]:
    return [(name, line) for name, line in _named(tree) if name in names]


def _reads_environment(tree: ast.Module) -> list[tuple[str, int]]:
    return _uses(tree, frozenset(f"os.{name}" for name in _ENVIRONMENT))


def _imported_modules(module: Module, known: frozenset[str]) -> set[str]:
    """The modules of ours that a module imports names or itself from."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & known
            if inner - known:
                found.add(node.module)
    return found & known


def _has_all(tree: ast.Module) -> bool:
    targets = [
        target
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


@pytest.mark.parametrize("module", _LIBRARY, ids=lambda module: module.name)
def test_the_library_never_talks_and_never_exits(module: Module) -> None:
    """Printing, logging set-up and exits are the command line's."""
    assert [] == _uses(module.tree, _TALK | _EXITS)


@pytest.mark.parametrize("module", _HOST, ids=lambda module: module.name)
def test_only_settings_reads_the_process_environment(module: Module) -> None:
    """`os.environ` is read in one file."""
    if module.name != "orq_runtime.settings":
        assert [] == _reads_environment(module.tree)


def test_settings_is_the_file_that_reads_it() -> None:
    """The exception above is in use, so the search sees what it looks for."""
    (settings,) = (module for module in _HOST if module.name == "orq_runtime.settings")

    assert _reads_environment(settings.tree)


@pytest.mark.parametrize("module", _ALL, ids=lambda module: module.name)
def test_every_module_says_what_it_is_for(module: Module) -> None:
    """A module opens with a docstring."""
    assert ast.get_docstring(module.tree)


@pytest.mark.parametrize("module", _ALL, ids=lambda module: module.name)
def test_a_module_that_others_import_says_what_it_gives(module: Module) -> None:
    """A module that another one imports from has `__all__`."""
    known = frozenset(one.name for one in _ALL)
    importers = [one.name for one in _ALL if module.name in _imported_modules(one, known)]
    reason = f"{module.name} has no __all__ and is imported by {importers}"

    assert _has_all(module.tree) or not importers, reason


def test_what_breaks_these_rules_would_be_noticed() -> None:
    """The searches see a call, an attribute and an import by name."""
    tree = ast.parse("import os, sys\nfrom sys import exit\nprint(1)\nos.environ['X']\nsys.exit(1)")

    assert [("sys.exit", 2), ("print", 3), ("sys.exit", 5)] == sorted(
        _uses(tree, _TALK | _EXITS), key=lambda use: use[1]
    )
    assert [("os.environ", 4)] == _reads_environment(tree)


def test_a_function_that_is_too_long_is_noticed() -> None:
    """From `def` to the last line, 51 are one too many."""
    body = "    pass\n" * 50

    assert [] == house_rules.long_functions("x.py", "def f():\n" + body[9:])
    assert ["x.py:1: `f` has 51 lines, over 50"] == house_rules.long_functions(
        "x.py", "def f():\n" + body
    )


def test_a_file_that_is_too_long_is_noticed() -> None:
    """401 lines are one too many."""
    assert ["b.py: 401 lines, over 400"] == house_rules.long_files({"a.py": 400, "b.py": 401})


def test_a_suppression_counts_in_a_comment_only_and_needs_a_reason() -> None:
    """The same words in a string are no suppression."""
    mark = "# no" + "qa"
    source = f"a = 1  {mark}: E501 - a reason\nb = '{mark}'\nc = 2  {mark}: E501\n"
    found = house_rules.suppressions("x.py", source)

    assert [f"x.py:1: {mark}: E501 - a reason", f"x.py:3: {mark}: E501"] == found
    assert 1 == len(house_rules.unexplained(found))
    assert [] == house_rules.too_many(found, 2)
    assert len(house_rules.too_many(found, 1)) > len(found)
