"""`orq-runtime schema` and `orq-runtime check` on a step: what they print and how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from orq_runtime.model.schema import DOCUMENTS, failure_schema, outcome_schema
from tests.architecture.sources import REPOSITORY
from tests.cli_fixtures import Cli

pytestmark = pytest.mark.slow

_STEPS = """
import os

def greet(name: str, times: int = 1) -> list[str]:
    \"\"\"Greets.\"\"\"
    os._exit(9)

def old(specs="None"):
    os._exit(9)
"""

_DOCUMENT = """
name: greeting
runtime:
  language: python3
  imports: [part]
  parameters: {file: part/steps.py, function: greet}
inputs:
  - {name: "((other.output))", type: string}
outputs:
  - {name: greeting, type: message}
"""


@pytest.fixture
def cli(cache_dir: Path, tmp_path: Path) -> Cli:
    """The command line over the session's store, with a step's document beside its component."""
    (tmp_path / "part").mkdir()
    steps = tmp_path / "part" / "steps.py"
    steps.write_text(_STEPS, "utf-8")
    (tmp_path / "step.yaml").write_text(_DOCUMENT, "utf-8")
    return Cli(cache=cache_dir, steps=steps)


def test_the_schema_of_a_function_is_printed(cli: Cli, tmp_path: Path) -> None:
    """Of a file's function, and of a document's, whose inputs may still be open."""
    of_file = cli("schema", cli.step("greet"))
    of_document = cli("schema", str(tmp_path / "step.yaml"))

    found = json.loads(of_file.out)
    assert (0, 0, of_file.out) == (of_file.code, of_document.code, of_document.out)
    assert ("greet", "Greets.") == (found["name"], found["description"])
    assert ["name"] == found["inputs"]["required"]
    assert Draft202012Validator(found["inputs"]).is_valid({"name": "Ada"})
    assert not Draft202012Validator(found["inputs"]).is_valid({"name": 1})
    assert {"type": "string"} == found["output"]["items"]


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("-i", "name=Ada"), 0, "ok: the function takes these inputs"),
        (("-i", "nam=Ada"), 2, "bad_call: unknown or missing parameter"),
        ((), 2, "bad_call: unknown or missing parameter"),
        (("-i", "name:=3"), 3, "wrong_type: an argument is not of its type"),
    ],
)
def test_inputs_are_checked_and_nothing_is_called(
    cli: Cli, words: tuple[str, ...], code: int, line: str
) -> None:
    """The exit code is that of a run which is refused; stdout is empty."""
    said = cli("check", cli.step("greet"), *words)

    assert (code, "") == (said.code, said.out)
    assert f"orq-runtime: {line}\n" in said.err


def test_inputs_of_a_file_are_checked_too(cli: Cli, tmp_path: Path) -> None:
    """`--inputs`, and with `--output-format json` the outcome whose failure has a schema."""
    (tmp_path / "in.json").write_text('{"name": 1, "times": "x"}')

    said = cli(
        "check", cli.step("greet"), "--inputs", str(tmp_path / "in.json"), "--output-format", "json"
    )

    assert 3 == said.code
    Draft202012Validator(outcome_schema()).validate(said.document)
    Draft202012Validator(failure_schema()).validate(said.document["failure"])
    assert "no" == said.document["began"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_published_schemas_are_those_that_are_printed(cli: Cli, name: str) -> None:
    """docs/NAME.schema.json is the output of `schema NAME`."""
    published = (REPOSITORY / "docs" / f"{name}.schema.json").read_text("utf-8")

    said = cli("schema", name)

    assert published == said.out
    Draft202012Validator.check_schema(json.loads(said.out))


def test_what_names_nothing_exits_with_2(cli: Cli) -> None:
    """A word that is no document of ours, a function that is not there."""
    neither, missing = cli("schema", "outcomes"), cli("schema", cli.step("gret"))

    assert (2, "", 2, "") == (neither.code, neither.out, missing.code, missing.out)
    assert "no function named: `outcomes`" in neither.err
    assert "did you mean `greet`?" in missing.err
