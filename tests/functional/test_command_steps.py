"""A step that is a command: its environment, its wall and its outcome are a function's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime.errors import BadCall, BadDocument, NotFound, RequestError, StepExited
from orq_runtime.workflow import read_step
from tests.supply_fixtures import make_wheel

pytestmark = pytest.mark.slow


@pytest.fixture(params=["namespaces", "process"])
def runtime(
    request: pytest.FixtureRequest, cache_dir: Path, tmp_path: Path
) -> Iterator[orq.Runtime]:
    """A runtime that can have one package."""
    console = "[console_scripts]\nhello = tool:main\n"
    files = {
        "tool.py": "import sys\ndef main():\n    print('hello', *sys.argv[1:])\n",
        "tool-1.0.dist-info/entry_points.txt": console,
    }
    make_wheel(tmp_path / "wheels", "tool", files=files)
    with orq.Runtime(
        cache_dir=cache_dir,
        isolation=request.param,
        offline=True,
        find_links=[str(tmp_path / "wheels")],
    ) as made:
        yield made


def test_a_command_runs_in_its_environment(runtime: orq.Runtime) -> None:
    """Its packages and their scripts are there; the value is null and status 0 is `ok`."""
    step = orq.Step(command=["hello", "{name}", "{n}"], requirements=["tool"])

    outcome = runtime.run(step, {"name": "Ada Lovelace; rm -rf /", "n": [1, None]})

    assert ("ok", None, 0) == (outcome.verdict, outcome.value, outcome.exit_status)
    assert "hello Ada Lovelace; rm -rf / [1, null]\n" == outcome.stdout


def test_python_means_the_environments(runtime: orq.Runtime) -> None:
    """Its interpreter imports what the step requires."""
    code = "import tool, sys; print(tool.__name__, sys.prefix)"
    step = orq.Step(command=["python", "-c", code], requirements=["tool"])

    outcome = runtime.run(step)

    assert f"tool {runtime.supply(step).path}\n" == outcome.stdout


def test_a_status_is_a_verdict(runtime: orq.Runtime) -> None:
    """As for a function that ends its process."""
    outcome = runtime.run(orq.Step(command=["sh", "-c", "echo no >&2; exit 3"]), check=False)

    assert ("exited", 3, "no\n") == (outcome.verdict, outcome.exit_status, outcome.stderr)
    with pytest.raises(StepExited):
        runtime.run(orq.Step(command=["false"]))


def test_a_program_that_is_not_there_is_not_found(runtime: orq.Runtime) -> None:
    """And nothing ran."""
    with pytest.raises(NotFound, match="no such program: `nothing-of-this-name`"):
        runtime.run(orq.Step(command=["nothing-of-this-name"]))


def test_the_deadline_holds(runtime: orq.Runtime) -> None:
    """The whole tree is ended."""
    step = orq.Step(command=["sh", "-c", "sleep 60 & sleep 60"])

    outcome = runtime.run(step, limits=orq.Limits(wall_seconds=0.5), check=False)

    assert "timeout" == outcome.verdict


def test_declared_outputs_are_collected(runtime: orq.Runtime, tmp_path: Path) -> None:
    """It writes them in the working folder, like a function."""
    script = "printf '{\"a\": 1}' > result.json"
    step = orq.Step(command=["sh", "-c", script], outputs=["result"])

    outcome = runtime.run(step)

    assert ["result"] == [*outcome.outputs]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "the command needs an input that is not given: `name`"),
        ({"name": "x", "more": 1}, "the command has no place for an input: `more`"),
        ({"name": "a\0b"}, "input `name` has a NUL in it"),
    ],
)
def test_inputs_and_placeholders_fit(
    runtime: orq.Runtime, inputs: Mapping[str, object], message: str
) -> None:
    """Before anything runs."""
    with pytest.raises(BadCall, match=message):
        runtime.run(orq.Step(command=["echo", "{name}"]), inputs)


def test_braces_are_written_twice(runtime: orq.Runtime) -> None:
    """And JSON in a word is left alone."""
    step = orq.Step(command=["echo", "{{name}}", '{"a": 1}', "<{name}>", "{}"])

    assert '{name} {"a": 1} <x> {}\n' == runtime.run(step, {"name": "x"}).stdout


@pytest.mark.parametrize(
    "make",
    [
        lambda: orq.Step(command="echo x"),
        lambda: orq.Step(command=["echo"], function="f"),
        lambda: orq.Step(command=["echo"], source="x = 1"),
        lambda: orq.Step.from_json({"command": ["echo", 7]}),
        lambda: orq.Step(command=["echo", "\0"]),
        lambda: orq.Step(command=[]),
    ],
)
def test_a_command_is_a_list_of_words_and_alone(make: object) -> None:
    """One thing is run."""
    assert callable(make)
    with pytest.raises(RequestError):
        make()


def test_a_command_travels_as_json() -> None:
    """Like any step."""
    step = orq.Step(command=["echo", "{x}"], components=["/c"])

    assert step == orq.Step.from_json(step.to_json())
    assert ("echo", ("echo", "{x}")) == (step.name, step.command)


def test_a_document_may_name_a_command(runtime: orq.Runtime, tmp_path: Path) -> None:
    """In place of a function; a file names its component only."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "words.txt").write_text("words\n", "utf-8")
    text = """
name: reader
config:
  runtime:
    language: python3
    imports: [core]
    parameters: {command: [hello, "{who}"]}
inputs:
  - {who: Ada, type: string}
"""
    (tmp_path / "step.yaml").write_text(text, "utf-8")
    document = read_step(tmp_path / "step.yaml", requirements=["tool"])

    outcome = runtime.run(document.step, document.inputs)

    assert "hello Ada\n" == outcome.stdout


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("{command: [a], function: f}", "a `function` or a `command`, not both"),
        ("{command: []}", "an empty `command`"),
        ("{command: echo x}", "`command`"),
    ],
)
def test_a_wrong_command_in_a_document_has_its_place(
    tmp_path: Path, parameters: str, message: str
) -> None:
    """File, line and column."""
    runtime_text = f"{{language: python3, parameters: {parameters}}}"
    (tmp_path / "step.yaml").write_text(f"name: x\nruntime: {runtime_text}\n", "utf-8")

    with pytest.raises(BadDocument, match=message) as refused:
        read_step(tmp_path / "step.yaml")

    assert "step.yaml:2:" in refused.value.message
