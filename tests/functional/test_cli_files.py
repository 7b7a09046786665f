"""Files in and out of `orq-runtime run`: declared outputs, artifacts, and where they go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from orq_runtime.model.schema import outcome_schema
from tests.cli_fixtures import Cli

pytestmark = pytest.mark.slow

_STEPS = """
import json

def write(n, name="result"):
    with open(name + ".json", "w") as file:
        json.dump({"n": n}, file)

def read(data, more=None):
    with open(data) as file:
        return json.load(file)
"""

_DOCUMENT = """
name: writing
config:
  runtime:
    language: python3
    imports: [part]
    parameters: {file: part/steps.py, function: write}
inputs:
  - n: 3
    type: int
outputs:
  - name: result
    type: number-holder
"""


@pytest.fixture
def cli(cache_dir: Path, tmp_path: Path) -> Cli:
    """The command line over the session's store, with a step's document beside its component."""
    (tmp_path / "part").mkdir()
    steps = tmp_path / "part" / "steps.py"
    steps.write_text(_STEPS, "utf-8")
    (tmp_path / "step.yaml").write_text(_DOCUMENT, "utf-8")
    return Cli(cache=cache_dir, steps=steps)


def test_a_documents_outputs_are_collected(cli: Cli, tmp_path: Path) -> None:
    """The value is on stdout, the outputs' places are on stderr."""
    said = cli("run", str(tmp_path / "step.yaml"), "--outputs-dir", str(tmp_path / "out"))

    assert (0, "null\n") == (said.code, said.out)
    assert f"orq-runtime: output `result`: {tmp_path}/out/result.json\n" in said.err
    assert {"n": 3} == json.loads((tmp_path / "out" / "result.json").read_text())


def test_a_missing_output_exits_with_5(cli: Cli) -> None:
    """It says what is missing, what was written, and what may be meant."""
    said = cli("run", cli.step("write"), "-i", "n:=1", "-i", "name=results", "--output", "result")

    assert (5, "") == (said.code, said.out)
    assert "orq-runtime: missing_output: declared output `result` was not written" in said.err
    assert "hint: the step wrote `results.json`: is that the output?\n" in said.err


def test_the_document_of_a_run_has_its_files(cli: Cli) -> None:
    """By the published schema: outputs with path and digest, what was written, what was kept."""
    words = ("--output", "answer=result.json", "--keep-files", "--output-format", "json")
    said = cli("run", cli.step("write"), "-i", "n:=1", *words)

    Draft202012Validator(outcome_schema()).validate(said.document)
    outputs = said.document["outputs"]
    assert isinstance(outputs, dict)
    assert ["result.json"] == said.document["written"]
    assert {"n": 1} == json.loads(Path(outputs["answer"]["path"]).read_text())


@pytest.mark.parametrize("words", [("--artifact", "data={}"), ("-i", "data@={}")])
def test_a_file_is_handed_over_as_an_artifact(
    cli: Cli, tmp_path: Path, words: tuple[str, str]
) -> None:
    """By `--artifact` or `@=`, and never because a text looks like a path."""
    file = tmp_path / "in.json"
    file.write_text('{"a": 1}')
    flag, text = words

    handed = cli("run", cli.step("read"), flag, text.format(file))
    plain = cli("run", cli.step("read"), "-i", f"data={file}")

    assert (0, '{"a":1}\n') == (handed.code, handed.out)
    assert 1 == plain.code
    assert "FileNotFoundError" in plain.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--artifact", "data"), "not an artifact: `data`"),
        (("-i", "data@="), "not an artifact"),
        (("--artifact", "data=/nowhere/x"), "no such artifact: `/nowhere/x`"),
        (("-i", "data=x", "--output", "../x"), "not a path in the working folder: `../x`"),
    ],
)
def test_words_that_are_no_files_exit_with_2(cli: Cli, words: tuple[str, ...], reason: str) -> None:
    """With what is wrong, and nothing runs."""
    said = cli("run", cli.step("read"), *words)

    assert (2, "") == (said.code, said.out)
    assert reason in said.err


def test_a_wrong_declaration_in_a_document_has_its_place(cli: Cli, tmp_path: Path) -> None:
    """Line and column of the output's name."""
    path = tmp_path / "step.yaml"
    path.write_text(_DOCUMENT.replace("name: result", "name: ../result"))

    said = cli("run", str(path))

    assert 2 == said.code
    assert f"{path}:12:11: output `../result` is not a path in the working folder" in said.err


def test_artifacts_stay_until_they_are_to_go(tmp_path: Path) -> None:
    """`cache clean` leaves them; `--artifacts` removes them, by age where one is given."""
    steps = tmp_path / "steps.py"
    steps.write_text(_STEPS, "utf-8")
    cli = Cli(cache=tmp_path / "cache", steps=steps)
    words = ("--output", "result", "--output-format", "json")
    outputs = cli("run", cli.step("write"), "-i", "n:=1", *words).document["outputs"]
    assert isinstance(outputs, dict)
    artifact = Path(outputs["result"]["path"])

    kept = cli("cache", "clean")
    young = cli("cache", "prune", "--artifacts", "--older-than", "1d")
    assert (0, 0, True) == (kept.code, young.code, artifact.is_file())
    removed = cli("cache", "clean", "--artifacts")

    assert (0, False) == (removed.code, artifact.exists())
    assert "removed 1 artifact of runs" in removed.out
