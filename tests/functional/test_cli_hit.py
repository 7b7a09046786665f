"""What `supply` loads when it finds its environment, and what stands in while it loads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import tree_environment
from tests.cli_fixtures import Cli, Said
from tests.supply_fixtures import make_wheel

pytestmark = pytest.mark.slow

_COMMAND = "from orq_runtime.cli import command; command()"
_OURS = {
    "orq_runtime",
    *(f"orq_runtime.{name}" for name in ("_dataclass", "_digest", "_fs", "_light", "_removal")),
    *(f"orq_runtime.{name}" for name in ("_supply", "_workshop", "cli", "errors", "events")),
    *(f"orq_runtime.{name}" for name in ("model", "model.environment", "model.place", "settings")),
    *(f"orq_runtime._supply.{name}" for name in ("memo", "seen", "store", "supplier")),
    *(f"orq_runtime.cli.{name}" for name in ("arguments", "chosen", "entry", "lean", "options")),
    *(f"orq_runtime.cli.{name}" for name in ("progress", "signals", "stream", "supply")),
    *(f"orq_runtime.cli.{name}" for name in ("terminal", "walls")),
}
_THEIRS = {
    *("argparse", "collections", "contextlib", "copyreg", "enum", "errno", "fnmatch", "functools"),
    *("gc", "genericpath", "itertools", "json", "keyword", "ntpath", "operator", "os", "pathlib"),
    *("posixpath", "re", "reprlib", "stat", "types", "warnings"),
    *("glob", "grp", "pwd"),  # of pathlib from Python 3.13 on
}
"""Of the standard library: each of them costs a hit a tenth of a millisecond to two."""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A store of its own, one wheel to be had, and no network."""
    make_wheel(tmp_path / "wheels", "wanted")
    component = tmp_path / "component"
    component.mkdir()
    (component / "requirements.txt").write_text("wanted\n", "utf-8")
    variables = {"ORQ_RUNTIME_FIND_LINKS": str(tmp_path / "wheels"), "ORQ_RUNTIME_OFFLINE": "1"}
    return Cli(cache=tmp_path / "cache", steps=component / "steps.py", variables=variables)


def _remembered(cli: Cli, *words: str) -> Said:
    """Supply twice: an answer from files that were written a moment before is not kept."""
    cli(*words)
    return cli(*words)


def _imported(cli: Cli, *words: str) -> tuple[str, set[str]]:
    """What a process says that has nothing of a site, and the modules that it has imported."""

    def told(*arguments: str) -> tuple[str, set[str]]:
        said = subprocess.run(
            [sys.executable, "-S", "-X", "importtime", "-c", *arguments],
            env=cli.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [line.rpartition("|") for line in said.stderr.splitlines()]
        assert all(before.startswith("import time:") for before, _, _ in lines)
        return said.stdout, {name.strip() for _, _, name in lines}

    out, found = told(_COMMAND, *words)
    return out, found - told("pass")[1]


def test_a_hit_imports_what_is_listed_here(cli: Cli) -> None:
    """Ours by their full names, and of the standard library no more than this; nobody else's."""
    words = ("supply", str(cli.steps.parent))
    made = _remembered(cli, *words)
    out, imported = _imported(cli, *words)
    ours = {name for name in imported if name.startswith("orq_runtime")}
    others = {name.partition(".")[0] for name in imported - ours}

    assert made.out == out
    assert _OURS == ours
    assert set() == {name for name in others if not name.startswith("_")} - _THEIRS - {"nt"}


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_a_hit_in_json_imports_orjson_lean(cli: Cli, form: str) -> None:
    """What orjson takes a name from for values that no document of ours has is not loaded."""
    words = ("supply", str(cli.steps.parent), "--output-format", form)
    _remembered(cli, *words)
    out, imported = _imported_with_site(cli, *words)

    assert '"origin":"hit"' in out
    assert {"orjson"} == imported & {"orjson", "dataclasses", "uuid", "inspect", "urllib.parse"}


def _imported_with_site(cli: Cli, *words: str) -> tuple[str, set[str]]:
    """The same of a process that has the packages of this one, whatever starts with those."""
    program = "import sys; sys.path += sys.argv.pop(1).split(':')\n" + _COMMAND
    packages = ":".join(path for path in sys.path if path.endswith("site-packages"))
    said = subprocess.run(
        [sys.executable, "-S", "-X", "importtime", "-c", program, packages, *words],
        env=cli.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout, {line.rpartition("|")[2].strip() for line in said.stderr.splitlines()}


_LEAN = """
import sys
from orq_runtime.cli import lean
lean.load_pathlib()
lean.load_argparse()
stood_in = {"urllib.parse", "gettext"}
assert not stood_in & set(sys.modules)
import argparse, gettext, pathlib, urllib.parse
assert gettext.__file__ and urllib.parse.__file__
print(pathlib.Path("/a b").as_uri())
argparse.ArgumentParser(prog="orq").parse_args(["--no-such"])
"""


def test_what_is_stood_in_for_is_there_afterwards() -> None:
    """Who needs what was left out gets the real one, also the module that was loaded without it."""
    code = [sys.executable, "-S", "-c", _LEAN]
    said = subprocess.run(code, env=tree_environment(), capture_output=True, text=True, check=False)

    usage = "usage: orq [-h]\norq: error: unrecognized arguments: --no-such\n"
    assert (2, "file:///a%20b\n", usage) == (said.returncode, said.stdout, said.stderr)
