"""`supply`, `install`, `cache`, `doctor` and `schema` as processes, and the progress they show."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import orq_runtime
from orq_runtime.cli.event_schema import event_schema
from tests.cli_fixtures import STEPS, Cli, Said, read_terminal
from tests.supply_fixtures import make_wheel

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(cache_dir: Path, tmp_path: Path) -> Cli:
    """The command line over the session's store."""
    steps = tmp_path / "steps.py"
    steps.write_text(STEPS, "utf-8")
    return Cli(cache=cache_dir, steps=steps)


@pytest.fixture
def fresh(cli: Cli, tmp_path: Path) -> Cli:
    """The command line over an empty store, with one wheel to be had and no network."""
    make_wheel(tmp_path / "wheels", "wanted")
    variables = {"ORQ_RUNTIME_FIND_LINKS": str(tmp_path / "wheels"), "ORQ_RUNTIME_OFFLINE": "1"}
    return replace(cli, cache=tmp_path / "cache", variables=variables)


def test_supply_prints_the_environments_folder(fresh: Cli) -> None:
    """Lines of progress while it is made, none when it is there."""
    words = ("supply", str(fresh.steps), "--with", "wanted")
    made, found = fresh(*words), fresh(*words)

    assert (0, 0, "") == (made.code, found.code, found.err)
    assert made.out == found.out
    assert Path(made.out.removesuffix("\n")).is_dir()
    assert "Resolved 1 package in " in made.err
    assert "Installed 1 package in " in made.err
    assert "\x1b" not in made.err


def test_supply_describes_the_environment(fresh: Cli) -> None:
    """The JSON document has key, python, interpreter, origin and packages."""
    words = ("supply", fresh.step("greet"), "--with", "wanted", "--output-format", "json", "-q")
    said = fresh(*words)
    document = said.document

    assert (0, "") == (said.code, said.err)
    assert [{"name": "wanted", "version": "1.0", "local": False}] == document["packages"]
    assert ("built", "hit") == (document["origin"], fresh(*words).document["origin"])
    assert Path(str(document["python"])).exists()
    assert str(document["key"]) in str(document["path"])


def test_a_script_block_and_a_component_count_together(fresh: Cli, tmp_path: Path) -> None:
    """A file's block and its component's declarations make one environment."""
    make_wheel(tmp_path / "wheels", "other")
    component = tmp_path / "component"
    component.mkdir()
    (component / "requirements.txt").write_text("other\n", "utf-8")
    step = component / "step.py"
    step.write_text('# /// script\n# dependencies = ["wanted"]\n# ///\n' + STEPS, "utf-8")

    def names(target: Path) -> list[str]:
        packages = fresh("supply", str(target), "--output-format", "json").document["packages"]
        assert isinstance(packages, list)
        return [item["name"] for item in packages]

    assert ["other"] == names(component)
    assert ["other", "wanted"] == names(step)


def test_events_are_a_stream_that_ends_with_the_result(fresh: Cli) -> None:
    """`ndjson`: one document a line on stdout by the published schema, and silence on stderr."""
    words = ("supply", str(fresh.steps), "--with", "wanted", "--output-format", "ndjson")
    made, found = fresh(*words), fresh(*words)
    lines = [json.loads(line) for line in made.out.splitlines()]
    validator = jsonschema.Draft202012Validator(event_schema())

    assert (0, 0, "", "") == (made.code, found.code, made.err, found.err)
    assert [] == [error.message for line in lines for error in validator.iter_errors(line)]
    assert {"resolve", "install", "publish"} <= {line["event"] for line in lines}
    again = [json.loads(line) for line in found.out.splitlines()]
    assert ["hit", "result"] == [line["event"] for line in again]
    assert lines[-1]["result"]["key"] == again[-1]["result"]["key"]


def test_a_stream_ends_with_its_error(fresh: Cli) -> None:
    """The last line says what went wrong and with which exit code; stderr says it to people."""
    words = ("supply", str(fresh.steps), "--with", "no-such-thing", "--output-format", "ndjson")
    said = fresh(*words)
    last = json.loads(said.out.splitlines()[-1])

    assert (4, "error", 4) == (said.code, last["event"], last["error"]["exit_code"])
    assert "no-such-thing" in last["error"]["message"]
    assert "no-such-thing" in said.err


def test_a_run_streams_its_supply_and_its_outcome(fresh: Cli) -> None:
    """Events first, the outcome as the last line."""
    words = ("run", fresh.step("echo"), "-i", "value=a", "--output-format", "ndjson")
    lines = [json.loads(line) for line in fresh(*words).out.splitlines()]

    assert "support" in {line["event"] for line in lines}
    assert ("result", "a") == (lines[-1]["event"], lines[-1]["result"]["value"])


def test_a_lock_is_written_explained_and_honoured(fresh: Cli, tmp_path: Path) -> None:
    """`--lock`, `--explain`, `--locked`: what is said of each, and the code of a stale one."""
    component = tmp_path / "component"
    component.mkdir()
    (component / "requirements.txt").write_text("wanted\n", "utf-8")
    words = ("supply", str(component))

    locked = fresh(*words, "--lock")
    fits = fresh(*words, "--locked", "--explain")
    (component / "requirements.txt").write_text("wanted\nother\n", "utf-8")
    stale = fresh(*words, "--locked")

    assert (0, 0, 4) == (locked.code, fits.code, stale.code)
    assert f"the lock is `{component}/pylock.toml`" in locked.err
    assert fits.err.startswith("hit: ")
    assert "is stale: `other`" in stale.err
    assert locked.out == fits.out


def test_locked_and_frozen_exclude_each_other(fresh: Cli) -> None:
    """As for uv."""
    said = fresh("supply", str(fresh.steps), "--locked", "--frozen")

    assert (2, "") == (said.code, said.out)


def test_supply_of_nothing_exits_with_2(cli: Cli) -> None:
    """A target that is not there is named."""
    said = cli("supply", "no/such:thing")

    assert (2, "") == (said.code, said.out)
    assert "no such file or folder: `no/such:thing`" in said.err


def test_what_cannot_resolve_exits_with_4(fresh: Cli) -> None:
    """The resolver's reason is kept, and stdout stays empty."""
    said = fresh("supply", str(fresh.steps), "--with", "no-such-thing")

    assert (4, "") == (said.code, said.out)
    assert said.err.startswith("Resolving" if "Resolving" in said.err else "orq-runtime: ")
    assert "no-such-thing" in said.err


def test_the_cache_is_listed_and_emptied(fresh: Cli) -> None:
    """What was supplied is in the list, for people and as a document, until it is cleaned."""
    key = str(fresh("supply", str(fresh.steps), "--output-format", "json").document["key"])
    table = fresh("cache", "list").out.splitlines()
    listed = fresh("cache", "list", "--output-format", "json").document["environments"]
    cleaned = fresh("cache", "clean", "--output-format", "json").document

    assert f"{fresh.cache}\n" == fresh("cache", "dir").out
    assert table[0].startswith("KEY")
    assert key.startswith(table[1].split()[0])
    assert isinstance(listed, list)
    assert [key] == [item["key"] for item in listed]
    assert 1 == cleaned["removed"]
    assert (0, "") == (fresh("cache", "list").code, fresh("cache", "list").out)


def test_the_cache_is_pinned_pruned_and_verified(fresh: Cli) -> None:
    """Keys by their beginning, sizes and ages as people write them, documents for programs."""
    key = str(fresh("supply", str(fresh.steps), "--output-format", "json").document["key"])

    assert f"pinned {key}\n" == fresh("cache", "pin", key[:9]).out
    kept = fresh("cache", "prune", "--older-than", "0s", "--max-size", "1KiB")
    assert f"kept environment {key}: pinned" in kept.out
    assert "pinned" in fresh("cache", "list").out
    assert (0, "2 folders checked, 0 not as made\n") == _code_and_out(fresh("cache", "verify"))
    assert {"unpinned": [key]} == fresh("cache", "unpin", key, "--output-format", "json").document
    size = fresh("cache", "size", "--output-format", "json").document
    assert 1 == size["environments"]
    assert "1 environment" not in fresh("cache", "prune", "--older-than", "30d").out
    document = fresh("cache", "prune", "--older-than", "0s", "--output-format", "json").document
    assert 1 == document["removed"]


def test_an_edited_environment_exits_with_4_until_it_is_repaired(fresh: Cli) -> None:
    """What was edited is named; `--repair` makes it again."""
    made = fresh("supply", str(fresh.steps), "--with", "wanted", "--output-format", "json").document
    module = next(Path(str(made["path"])).rglob("wanted.py"))
    module.chmod(0o600)
    module.write_text("EVIL = 1")
    module.chmod(0o444)

    repaired = fresh("cache", "verify", "--repair")
    again = fresh("cache", "verify")
    module.chmod(0o600)
    found = fresh("cache", "verify", str(made["key"]))

    assert (0, 0, 4) == (repaired.code, again.code, found.code)
    assert "wanted.py" in repaired.out
    assert "made again" in repaired.out
    assert "can be written: " in found.out


@pytest.mark.parametrize(
    "words", [("--max-size", "much"), ("--older-than", "3 parsecs"), ("--max-size", "-1")]
)
def test_a_size_or_age_that_is_none_exits_with_2(cli: Cli, words: tuple[str, ...]) -> None:
    """And says how they are written."""
    said = cli("cache", "prune", *words)

    assert (2, "") == (said.code, said.out)


def _code_and_out(said: Said) -> tuple[int, str]:
    return said.code, said.out


def test_an_unknown_language_is_refused(cli: Cli) -> None:
    """The known ones are named."""
    said = cli("install", "psi4")

    assert (2, "") == (said.code, said.out)
    assert "unknown language: `psi4`" in said.err
    assert "`python3`" in said.err


def test_an_old_interpreter_is_refused_by_name(cli: Cli) -> None:
    """Python 3.7 is too old, and that is said."""
    said = cli("install", "python3", "--python", "3.7")

    assert (4, "") == (said.code, said.out)
    assert "3.7" in said.err


def test_doctor_finds_what_runs_need(cli: Cli) -> None:
    """It exits with 0 here, and says of each tier whether it can be had."""
    said = cli("doctor")
    document = cli("doctor", "--output-format", "json").document

    assert (0, "") == (said.code, said.err)
    assert "isolation process: available when asked for by name" in said.out
    assert "isolation namespaces: available" in said.out
    assert (True, orq_runtime.__version__) == (document["ok"], document["version"])


def test_doctor_exits_with_125_when_runs_are_impossible(cli: Cli) -> None:
    """A store that cannot be written is one reason."""
    said = cli("doctor", "--cache-dir", f"{cli.steps}/store")

    assert 125 == said.code
    assert "FAIL  store: " in said.out
    assert "ok    kernel: " in said.out


@pytest.mark.parametrize("words", [(), ("cache",), ("run",), ("no-such-command",), ("schema",)])
def test_a_command_that_is_none_exits_with_2(cli: Cli, words: tuple[str, ...]) -> None:
    """Usage goes to stderr."""
    said = cli(*words)

    assert (2, "") == (said.code, said.out)
    assert said.err.startswith("usage: orq-runtime")


def _on_a_terminal(cli: Cli, *words: str) -> tuple[int, bytes, bytes]:
    """Exit code, stdout, and what a terminal on stderr was sent."""
    master, slave = pty.openpty()
    process = cli.start(*words, stderr=slave)
    os.close(slave)
    shown = read_terminal(master)
    os.close(master)
    out, _ = process.communicate()
    return process.returncode, out, shown


def test_progress_is_drawn_on_a_terminal(fresh: Cli) -> None:
    """It moves the cursor while it goes on, gives it back, and leaves a line for what is over."""
    terminal = replace(fresh, variables={**fresh.variables, "TERM": "xterm-256color"})
    words = ("run", terminal.step("echo"), "-i", "value=a", "--with", "wanted")
    code, out, shown = _on_a_terminal(terminal, *words)

    assert (0, b'"a"\n') == (code, out)
    assert b"Resolved 1 package in " in shown
    assert b"\x1b[?25l" in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert (0, out, b"") == _on_a_terminal(terminal, *words)


@pytest.mark.parametrize(
    ("variables", "words"), [({"TERM": "dumb"}, ()), ({"TERM": "xterm"}, ("--no-progress",))]
)
def test_progress_is_plain_lines_where_it_cannot_be_drawn(
    fresh: Cli, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    """A terminal that cannot move its cursor, and a user who does not want it."""
    terminal = replace(fresh, variables={**fresh.variables, **variables})
    code, _, shown = _on_a_terminal(terminal, "supply", str(terminal.steps), *words)

    assert 0 == code
    assert b"Prepared the support layer" in shown
    assert b"\x1b" not in shown


def test_no_color_is_honoured(fresh: Cli) -> None:
    """The drawing moves the cursor and sets no colour."""
    variables = {**fresh.variables, "TERM": "xterm-256color", "NO_COLOR": "1"}
    terminal = replace(fresh, variables=variables)
    _, _, shown = _on_a_terminal(terminal, "supply", str(terminal.steps), "--with", "wanted")

    assert b"Resolved" in shown
    assert b"\x1b[3" not in shown


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (("--version",), {"rich", "yaml", "orjson", "typeguard", "asyncio", "argparse", "json"}),
        (("run", "echo", "-i", "value=a"), {"rich", "yaml", "typeguard", "asyncio", "concurrent"}),
    ],
)
def test_a_command_imports_what_it_needs(
    cli: Cli, words: tuple[str, ...], unwanted: set[str]
) -> None:
    """`--version` needs next to nothing; a run that finds its environment draws nothing."""
    cli("supply", str(cli.steps))
    given = [cli.step(word) if word == "echo" else word for word in words]
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orq_runtime", *given],
        env=cli.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in said.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}

    assert "orq_runtime" in imported
    assert set() == imported & unwanted
    assert json.dumps("a") == said.stdout.strip() or words == ("--version",)
