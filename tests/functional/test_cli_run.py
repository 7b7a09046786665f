"""`orq-runtime run` as a process: what goes to which stream, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from orq_runtime.model.schema import outcome_schema
from orq_runtime.model.verdict import VERDICTS
from tests.cli_fixtures import STEPS, Cli

_ANIMALS = Path(__file__).resolve().parents[1] / "zoo" / "animals.py"

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(cache_dir: Path, tmp_path: Path) -> Cli:
    """The command line over the session's store."""
    steps = tmp_path / "steps.py"
    steps.write_text(STEPS, "utf-8")
    return Cli(cache=cache_dir, steps=steps)


def test_stdout_is_the_value_and_nothing_else(cli: Cli) -> None:
    """One JSON document and a line end, with its text as it is."""
    said = cli("run", cli.step("greet"), "-i", "name=Ada", "-i", "times:=2")

    assert (0, '"Grüße, Ada Grüße, Ada"\n') == (said.code, said.out)


def test_what_the_step_prints_is_on_stderr(cli: Cli) -> None:
    """Its stdout first, then its stderr; stdout keeps the value alone."""
    cli("supply", str(cli.steps))
    said = cli("run", cli.step("prints"), "-i", "text=hello")

    assert (0, "null\n", "to stdout: hello\nto stderr: hello\n") == (said.code, said.out, said.err)


def test_what_the_step_prints_cannot_drive_a_terminal(cli: Cli) -> None:
    """Control characters are spelled out, line ends and tabs stay."""
    text = "a\x1b[31m\tb\u009bc\u202ed\re"
    said = cli("run", cli.step("prints"), "-i", f"text:={json.dumps(text)}")

    assert "to stdout: a\\x1b[31m\tb\\x9bc\\u202ed\\re\n" in said.err


@pytest.mark.parametrize("start", ["exec", "zygote"])
@pytest.mark.parametrize(
    "value",
    ["123456789012345678901234567890", "-9223372036854775809", '"\\u00e9\\u2028"', "[1,1.5,null]"],
)
def test_values_survive_the_round_trip(cli: Cli, start: str, value: str) -> None:
    """Integers of any size, text and numbers come back as they went in."""
    said = cli("run", cli.step("echo"), "-i", f"value:={value}", "--start", start)

    assert (0, json.loads(value)) == (said.code, json.loads(said.out))


@pytest.mark.parametrize(
    ("words", "code", "verdict"),
    [
        (("greet", "-i", "name=Ada"), 0, "ok"),
        (("raises", "-i", "secret=x"), 1, "raised"),
        (("no_such", "-i", "name=Ada"), 2, "not_found"),
        (("greet", "-i", "nam=Ada"), 2, "bad_call"),
        (("greet", "-i", "name:=1"), 3, "wrong_type"),
        (("greet", "--with", "no-such-thing", "--offline"), 4, "supply_failed"),
        (("greet", "--python", "2.7"), 4, "supply_failed"),
        (("wrong_result",), 5, "wrong_result"),
        (("not_encodable",), 5, "not_encodable"),
        (("exits", "-i", "status:=0"), 5, "no_result"),
        (("returns_much",), 6, "output_exceeded"),
        (("exits", "-i", "status:=3"), 7, "exited"),
        (("waits", "-i", "fifo=/dev/null", "--timeout", "0.5"), 124, "timeout"),
        (("dies_of", "-i", "number:=9"), 137, "killed"),
        (("dies_of", "-i", "number:=11"), 139, "killed"),
    ],
)
def test_the_exit_code_is_the_tables(
    cli: Cli, words: tuple[str, ...], code: int, verdict: str
) -> None:
    """Each verdict has its exit code and its document, valid by the published schema."""
    said = cli("run", cli.step(words[0]), *words[1:], "--output-format", "json")

    Draft202012Validator(outcome_schema()).validate(said.document)
    assert (code, verdict, code) == (
        said.code,
        said.document["verdict"],
        said.document["exit_code"],
    )
    assert (verdict == "ok") == (f"orq-runtime: {verdict}: " not in said.err)


def test_a_guest_that_lies_exits_with_125(cli: Cli) -> None:
    """Garbage on the wire is the protocol_violation of the table."""
    said = cli("run", f"{_ANIMALS}:writes_garbage", "--output-format", "json")

    assert (125, "protocol_violation") == (said.code, said.document["verdict"])


def test_every_verdict_that_a_step_can_reach_is_in_the_schema() -> None:
    """The schema knows the table, and refuses an exit code that is another's."""
    schema = outcome_schema()

    Draft202012Validator.check_schema(schema)
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert list(VERDICTS) == properties["verdict"]["enum"]


def test_a_wrong_argument_is_shown_by_path(cli: Cli) -> None:
    """Every problem has a line: its path, what was expected, and what came."""
    said = cli("run", cli.step("numbers"), "-i", 'xs:=[1, 2, "a"]', "-i", "ratio=b")

    assert (3, "") == (said.code, said.out)
    assert [
        "orq-runtime: wrong_type: an argument is not of its type",
        "  xs[2]: expected int, got str: 'a'",
        "  ratio: expected float, got str: 'b'",
    ] == said.err.splitlines()[:3]


def test_an_exception_is_shown_as_a_traceback(cli: Cli) -> None:
    """Type and message, the frames with their source, and what it was raised from."""
    said = cli("run", cli.step("raises"), "-i", "secret=x")

    assert (1, "") == (said.code, said.out)
    assert "orq-runtime: raised: ValueError: no such thing\n" in said.err
    assert f'File "{cli.steps}", line ' in said.err
    assert '    raise ValueError("no such thing") from error\n' in said.err
    assert "caused by: KeyError: 'x'\n" in said.err


def test_values_are_taken_as_strictly_as_asked(cli: Cli) -> None:
    """Old habits, NaN and no check at all, each where its option is given."""
    greet = (cli.step("greet"), "-i", "name=Ada", "-i", "times=2")
    echo = (cli.step("echo"), "-i", "value:=[NaN, -Infinity, null]")

    assert 3 == cli("run", *greet).code
    coerced = cli("run", *greet, "--coerce", "--output-format", "json")
    assert 2 == cli("run", *echo).code
    allowed = cli("run", *echo, "--nan", "allow")
    unchecked = cli("run", cli.step("greet"), "-i", "name:=3", "--typecheck", "off")

    document = json.loads(coerced.out)
    assert ("ok", "times") == (document["verdict"], document["coerced"][0]["path"])
    assert (0, "[NaN,-Infinity,null]\n") == (allowed.code, allowed.out)
    assert "wrong_type" not in unchecked.err


def test_later_inputs_win(cli: Cli, tmp_path: Path) -> None:
    """Files and single inputs count in the order they are given."""
    (tmp_path / "in.json").write_text('{"name": "Bob", "times": 2}', "utf-8")
    (tmp_path / "in.yaml").write_text("name: Eve\n", "utf-8")
    words = ("run", cli.step("greet"), "-i", "name=Ada", "--inputs", str(tmp_path / "in.json"))

    assert '"Grüße, Bob Grüße, Bob"\n' == cli(*words).out
    assert '"Grüße, Bob"\n' == cli(*words, "-i", "times:=1").out
    assert '"Grüße, Eve Grüße, Eve"\n' == cli(*words, "--inputs", str(tmp_path / "in.yaml")).out


def test_inputs_come_from_stdin(cli: Cli) -> None:
    """`--inputs -` reads a JSON object."""
    said = cli("run", cli.step("echo"), "--inputs", "-", stdin=b'{"value": 1e2}')

    assert (0, "100.0\n") == (said.code, said.out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-i", "xs"), "not an input: `xs`"),
        (("-i", "=1"), "not an input: `=1`"),
        (("-i", "xs:=[1,"), "input `xs` is not JSON: "),
        (("-i", "xs:=NaN"), "input `xs` is not JSON: `NaN` is no JSON"),
        (("-i", "xs:=1e999"), "input `xs` is not JSON: `1e999` is too large"),
        (("-i", 'xs:={"a":1,"a":2}'), "input `xs` is not JSON: the key `a` is there twice"),
        (("-i", "xs:=" + "[" * 100_000), "input `xs` is not JSON: it is nested too deeply"),
        (("--inputs", "no-such-file"), "cannot read the inputs: No such file or directory"),
        (("--inputs", "-"), "<stdin>: not JSON: "),
        (("--timeout", "0"), "limit `wall_seconds` must be finite and above 0"),
        (("--timeout", "x"), "argument --timeout: invalid float value: 'x'"),
        (("--start", "x"), "argument --start: invalid choice: 'x'"),
        (("--no-such-option",), "unrecognized arguments: --no-such-option"),
    ],
)
def test_words_that_make_no_sense_exit_with_2(
    cli: Cli, words: tuple[str, ...], message: str
) -> None:
    """Nothing is on stdout, and the message names what is wrong."""
    said = cli("run", cli.step("numbers"), *words)

    assert (2, "") == (said.code, said.out)
    assert message in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("target", ["steps.py", "steps.py:", ":greet"])
def test_a_target_without_a_function_exits_with_2(cli: Cli, target: str) -> None:
    """The message says how a target is written."""
    said = cli("run", target, cwd=cli.steps.parent)

    assert (2, "") == (said.code, said.out)
    assert f"no function named: `{target}`" in said.err


def test_a_step_document_is_run(cli: Cli, tmp_path: Path) -> None:
    """Its inputs count, and those of the command line win."""
    (tmp_path / "hellov1").mkdir()
    cli.steps.rename(tmp_path / "hellov1" / "main.py")
    (tmp_path / "step.yaml").write_text(
        "name: hello\n"
        "runtime:\n"
        "  language: python3\n"
        "  imports: [hellov1]\n"
        "  parameters: {file: hellov1/main.py, function: greet}\n"
        "inputs:\n"
        "- {name: Ada, type: string}\n"
        "- {times: 2, type: int}\n",
        "utf-8",
    )

    assert '"Grüße, Ada Grüße, Ada"\n' == cli("run", str(tmp_path / "step.yaml")).out
    assert '"Grüße, Ada"\n' == cli("run", "step.yaml", "-i", "times:=1", cwd=tmp_path).out


def test_an_error_in_a_document_has_line_and_column(cli: Cli, tmp_path: Path) -> None:
    """The line begins with the place, so that an editor can go there."""
    (tmp_path / "step.yaml").write_text("name: hello\nname: again\n", "utf-8")
    said = cli("run", "step.yaml", cwd=tmp_path)

    assert (2, "") == (said.code, said.out)
    assert "step.yaml:2:1: the key `name` is there twice\n" == said.err
