"""Every example runs, by the library and by its README's command, and gives what is said there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orq_runtime import Runtime, Step
from orq_runtime.settings import load
from tests.architecture.sources import REPOSITORY, tree_environment
from tests.supply_fixtures import supplier_with

_EXAMPLES = REPOSITORY / "examples"
_COMMAND = re.compile(r"```console\n\$ orq-runtime (?P<command>.+)\n(?P<output>.+)\n```\n")
_SECONDS = 240

_IN_A_NAMESPACE = ("unshare", "--user", "--map-root-user", "--net")
_RUN_OFFLINE = """
import json, socket, sys
from orq_runtime import Runtime, Step

cache, folder, inputs = sys.argv[1:]
with Runtime(cache_dir=cache, offline=True) as runtime:
    outcome = runtime.run(Step(file=folder + "/cooling.py", function="cooling"), json.loads(inputs))
interfaces = [name for _, name in socket.if_nameindex()]
print(json.dumps({"value": outcome.value, "start": outcome.start, "interfaces": interfaces}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example: its folder, and its README's command in the words of the library."""

    folder: str
    file: str
    function: str
    inputs: Mapping[str, object]
    components: Sequence[str] = field(default=())

    def step(self, root: Path) -> Step:
        """The step, in a folder that holds what the example's does."""
        return Step(
            file=root / self.file,
            function=self.function,
            components=[root / name for name in self.components],
        )

    def readme(self) -> re.Match[str]:
        """The command and the output that the README shows."""
        found = _COMMAND.search((_EXAMPLES / self.folder / "README.md").read_text("utf-8"))
        assert found is not None, f"no command in the README of {self.folder}"
        return found

    def value(self) -> object:
        """What the README says comes out."""
        return json.loads(self.readme()["output"])


_VENDORED = Example(
    folder="vendored",
    file="cooling.py",
    function="cooling",
    inputs={"start": 90, "end": 60, "room": 20},
)
_FROM_THE_REGISTRY = (
    Example(
        folder="hello",
        file="hellov1/src/python/orquestra/main.py",
        function="main",
        inputs={"name": "Ada", "visits": 3},
    ),
    Example(
        folder="sklearn_score", file="score.py", function="train_and_score", inputs={"points": 400}
    ),
    Example(
        folder="siblings",
        file="stars-maps/steps/brightest.py",
        function="brightest",
        inputs={"constellation": "Lyra", "count": 3},
        components=("stars-core", "stars-maps"),
    ),
    Example(
        folder="single_file",
        file="report.py",
        function="report",
        inputs={"prices": {"tea": 2.5, "cake": 3.4}},
    ),
)


def _place(example: Example, tmp_path: Path) -> Path:
    """The example's folder; a copy, where the folders above would change what it is."""
    if example.folder != "single_file":
        return _EXAMPLES / example.folder
    # nothing lies beside a single file: here, this repository would be its component
    shutil.copy(_EXAMPLES / example.folder / example.file, tmp_path)
    return tmp_path


def _cli(example: Example, place: Path, cache: Path, *before: str) -> object:
    """The value that the README's command prints."""
    words = shlex.split(example.readme()["command"])
    ended = subprocess.run(
        [*before, sys.executable, "-m", "orq_runtime", *words],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env={**tree_environment(), "ORQ_RUNTIME_CACHE_DIR": str(cache)},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("example", _FROM_THE_REGISTRY, ids=lambda example: example.folder)
def test_an_example_gives_what_its_readme_says(
    example: Example, cache_dir: Path, tmp_path: Path
) -> None:
    """By the library, with packages from the registry."""
    with Runtime(cache_dir=cache_dir) as runtime:
        outcome = runtime.run(example.step(_place(example, tmp_path)), example.inputs)

    assert example.value() == outcome.value


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("example", _FROM_THE_REGISTRY, ids=lambda example: example.folder)
def test_the_command_of_a_readme_prints_what_the_readme_says(
    example: Example, cache_dir: Path, tmp_path: Path
) -> None:
    """The command as it stands there, from the example's folder."""
    assert example.value() == _cli(example, _place(example, tmp_path), cache_dir)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A fresh cache that holds what `orq-runtime install python3` prepares, and nothing else."""
    cache = tmp_path / "cache"
    supplier_with(load(cache_dir=cache)).prepare(None)
    return cache


@pytest.fixture(scope="session")
def apart() -> Sequence[str]:
    """What stands before a command so that it runs without any network."""
    said = subprocess.run(
        [*_IN_A_NAMESPACE, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if said.returncode != 0:
        pytest.skip(f"no network namespace to be had: {said.stderr.decode().strip()}")
    return _IN_A_NAMESPACE


@pytest.mark.slow
@pytest.mark.network
def test_vendored_files_supply_without_a_network(prepared: Path, apart: Sequence[str]) -> None:
    """In a network namespace with nothing in it, the source distribution is built and used."""
    said = subprocess.run(
        [
            *(*apart, sys.executable, "-c", _RUN_OFFLINE),
            *(prepared, _EXAMPLES / "vendored", json.dumps(_VENDORED.inputs)),
        ],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env=tree_environment(),
        check=False,
    )
    assert said.returncode == 0, said.stderr

    expected = {"value": _VENDORED.value(), "start": "cold", "interfaces": ["lo"]}
    assert expected == json.loads(said.stdout)


@pytest.mark.slow
@pytest.mark.network
def test_the_command_for_vendored_files_needs_no_network(
    prepared: Path, apart: Sequence[str]
) -> None:
    """The README's command with `--offline`, in a network namespace with nothing in it."""
    assert _VENDORED.value() == _cli(_VENDORED, _EXAMPLES / "vendored", prepared, *apart)


@pytest.mark.slow
def test_the_vendored_files_are_what_their_script_makes(tmp_path: Path) -> None:
    """Byte for byte, on any interpreter: what is committed can be made again."""
    script = _EXAMPLES / "vendored" / "make_vendor.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, stdout=subprocess.DEVNULL)

    committed = {
        path.name: path.read_bytes() for path in (_EXAMPLES / "vendored" / "vendor").iterdir()
    }
    assert committed == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_the_table_of_examples_shows_each_with_its_output() -> None:
    """examples/README.md says of each folder what the folder's own README says."""
    table = (_EXAMPLES / "README.md").read_text("utf-8")
    shown = re.findall(r"^\| \[`(\w+)`\]\(\1\) \|.*\| `(.+)` \|$", table, re.MULTILINE)
    folders = {path.name for path in _EXAMPLES.iterdir() if path.is_dir()}

    examples = (*_FROM_THE_REGISTRY, _VENDORED)
    assert {example.folder: example.readme()["output"] for example in examples} == dict(shown)
    assert {example.folder for example in examples} == folders
