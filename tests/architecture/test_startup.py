"""What importing the package and asking for the version may not import."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.architecture.sources import GUEST, HOST, REPOSITORY, modules, tree_environment

_HEAVY = frozenset({"rich", "yaml", "orjson", "typeguard", "numpy"})
_DEAR = frozenset(
    {
        "asyncio",
        "bz2",
        "dataclasses",
        "decimal",
        "hashlib",
        "http",
        "inspect",
        "logging",
        "platform",
    }
    | {"shutil", "ssl", "tempfile", "tokenize", "tomllib", "unittest", "uuid"}
)
"""Of the standard library: each costs a command one to ten milliseconds."""

_A_RUN = """
from orq_runtime.cli.ahead import likely_guests
from orq_runtime.cli.arguments import parse
parse(["run", "step.py:main", "-i", "n:=1"])
import orq_runtime.cli.run
"""
_NOT_IN_A_GUEST = frozenset(
    {"argparse", "ast", "dataclasses", "difflib", "dis", "inspect", "linecache", "logging"}
    | {"platform", "subprocess", "threading", "tokenize", "traceback", "uuid"}
)
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


def test_importing_the_package_imports_nothing_at_all() -> None:
    """`import orq_runtime` costs a file and a half: what it names is imported when it is used."""
    before, after = (
        _imported(_python("-I", "-X", "importtime", "-c", f"{path}{code}").stderr)
        for path in [f"import sys; sys.path[:0] = [{str(REPOSITORY)!r}]; "]
        for code in ("import __future__", "import orq_runtime")
    )

    assert {"orq_runtime"} == after - before


def test_a_run_imports_nothing_dear() -> None:
    """What is only for a failure is later; what a supply imports is in `test_cli_hit`."""
    lean = "from orq_runtime.cli.lean import load_orjson\nload_orjson()"
    program = f"{lean}{_A_RUN}\nimport sys\nprint(*{{n.partition('.')[0] for n in sys.modules}})"
    imported = set(_python("-c", program).stdout.split())

    assert {"orjson"} == imported & (_DEAR | _HEAVY)


def test_the_library_imports_no_event_loop_to_block() -> None:
    """`Runtime` is without asyncio, and without what only a supply that makes something needs."""
    program = "from orq_runtime import Runtime\nimport sys\nprint(*sys.modules)"
    imported = set(_python("-c", program).stdout.split())

    assert set() == imported & {"asyncio", "http", "packaging", "rich", "ssl", "typeguard", "yaml"}


def test_a_guest_boots_with_little() -> None:
    """Before its orders it has imported what each start needs; each module here costs them all."""
    program = "from orq_sandbox import boot\nimport sys\nprint(*sys.modules)"
    path = f"import sys; sys.path[:0] = [{str(GUEST.parent)!r}]\n"
    imported = set(_python("-I", "-S", "-c", path + program).stdout.split())

    assert "orq_sandbox.zygote" in imported
    assert set() == imported & _NOT_IN_A_GUEST
    assert set() == imported & {f"orq_sandbox.{name}" for name in ("bind", "schema", "typecheck")}


def test_only_one_module_takes_the_librarys_data_classes() -> None:
    """All others take `_dataclass`'s, which cost nothing to define; for types they are the same."""
    taken = {
        module.name
        for module in modules(HOST)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
    }

    assert {"orq_runtime._dataclass", "orq_runtime._light"} == taken
