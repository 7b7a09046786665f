"""Files that a step writes, in every tier and from both starts."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from orq_runtime import AsyncRuntime, Limits, Outcome, Runtime, Step
from orq_runtime.errors import MissingOutput, RequestError

_HEAD = "import json, os, pathlib, stat, subprocess, sys\nfrom pathlib import Path\n"


@pytest.fixture
def runtime(tiered: Runtime) -> Runtime:
    """A runtime of each tier, and of both starts."""
    return tiered


def _step(*lines: str, outputs: list[str] | dict[str, str] | None = None) -> Step:
    body = "".join(f"    {line}\n" for line in lines)
    return Step(source=f"{_HEAD}def f():\n{body}", function="f", outputs=outputs or ())


def _missing(runtime: Runtime, step: Step, *, limits: Limits | None = None) -> Outcome:
    outcome = runtime.run(step, limits=limits, check=False)
    assert ("missing_output", 5, None) == (outcome.verdict, outcome.exit_code, outcome.value)
    assert {} == outcome.outputs
    return outcome


def test_a_declared_output_is_collected(runtime: Runtime) -> None:
    """`name` is the file `name.json`; it outlives its run, with a digest, and is read-only."""
    step = _step("Path('greeting.json').write_text(json.dumps({'a': 1}))", outputs=["greeting"])

    outcome = runtime.run(step)

    artifact = outcome.outputs["greeting"]
    assert '{"a": 1}' == artifact.path.read_text()
    digest = "sha256:" + hashlib.sha256(b'{"a": 1}').hexdigest()
    assert ("greeting.json", digest, 8) == (
        artifact.path.name,
        artifact.digest,
        artifact.size_bytes,
    )
    assert ("greeting.json",) == outcome.written
    assert 0 == artifact.path.stat().st_mode & 0o222
    assert outcome.to_json() == Outcome.from_json(outcome.to_json()).to_json()
    assert outcome == Outcome.from_json(json.loads(json.dumps(outcome.to_json())))


def test_a_missing_output_says_what_was_written(runtime: Runtime) -> None:
    """The error names what is missing and lists what is there; the exception is `MissingOutput`."""
    step = _step(
        "Path('accuracy.json').write_text('1')",
        "os.mkdir('logs'); Path('logs/a.txt').write_text('x')",
        outputs=["result"],
    )

    outcome = _missing(runtime, step)

    assert outcome.failure is not None
    assert ("accuracy.json", "logs/a.txt") == outcome.written
    assert (
        "declared output `result` was not written: `result.json`: no such file; "
        "the step wrote `accuracy.json`, `logs/a.txt`"
    ) == outcome.failure.message
    assert ["result.json"] == [problem.path for problem in outcome.failure.problems]
    with pytest.raises(MissingOutput):
        runtime.run(step)


def test_files_folders_and_names_of_their_own(runtime: Runtime) -> None:
    """A path is a path, a mapping gives names, and a folder comes with all it holds."""
    step = _step(
        "os.makedirs('plots/deep')",
        "Path('plots/deep/b.png').write_bytes(b'\\x89')",
        "Path('plots/a.txt').write_text('a')",
        "Path('model.bin').write_bytes(b'm' * 3)",
        outputs={"model": "model.bin", "plots": "plots/"},
    )

    outputs = runtime.run(step).outputs

    plots = outputs["plots"]
    assert ("folder", 2) == (plots.kind, plots.size_bytes)
    found = {str(p.relative_to(plots.path)): p.read_bytes() for p in plots.path.rglob("*.*")}
    assert {"a.txt": b"a", "deep/b.png": b"\x89"} == found
    assert ("model.bin", b"mmm") == (outputs["model"].path.name, outputs["model"].path.read_bytes())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("os.symlink('/etc/hostname', 'result.json')", "a symbolic link"),
        ("os.symlink(__file__, 'result.json')", "a symbolic link"),
        ("os.mkfifo('result.json')", "a pipe"),
        ("Path('a').write_text('1'); os.link('a', 'result.json')", "a hard link"),
        ("import socket; socket.socket(socket.AF_UNIX).bind('result.json')", "a socket"),
        ("os.symlink('.', 'loop')", "no such file"),
        ("os.rmdir('../work'); os.mkdir('../work')", "no such file"),
    ],
)
def test_only_regular_files_of_the_run_are_collected(
    runtime: Runtime, line: str, reason: str
) -> None:
    """Links, pipes and the like are refused by what they are, and nothing waits for them."""
    tolerant = f"try:\n        {line}\n    except OSError:\n        raise SystemExit(9)"
    outcome = runtime.run(_step(tolerant, outputs=["result"]), check=False)

    if outcome.verdict == "exited":
        pytest.skip("this wall does not let a step make it")
    assert outcome.failure is not None
    assert "missing_output" == outcome.verdict
    assert reason in outcome.failure.message


def test_a_folder_that_is_a_link_leads_nowhere(runtime: Runtime, tmp_path: Path) -> None:
    """Neither a declared folder nor a part of a path is followed out of the working folder."""
    (tmp_path / "secret.json").write_text("secret")
    step = _step(
        f"os.symlink({str(tmp_path)!r}, 'out')",
        outputs={"folder": "out", "file": "out/secret.json"},
    )

    failure = _missing(runtime, step).failure

    assert failure is not None
    assert ["out", "out/secret.json"] == [problem.path for problem in failure.problems]
    assert all("symbolic link" in problem.message for problem in failure.problems)


def test_locked_files_are_collected_all_the_same(runtime: Runtime) -> None:
    """What the step took every permission from is still its output."""
    step = _step(
        "os.mkdir('d'); Path('d/a.txt').write_text('a')",
        "try:",
        "    os.chmod('d/a.txt', 0); os.chmod('d', 0); os.chmod('.', 0)",
        "except OSError:",
        "    pass",
        outputs=["d/a.txt"],
    )

    assert "a" == runtime.run(step).outputs["d/a.txt"].path.read_text()


def test_nothing_of_the_run_is_alive_when_it_is_collected(runtime: Runtime) -> None:
    """A child left behind is dead before: what it had not written by then it never will."""
    step = _step(
        "Path('result.json').write_text('1')",
        'code = \'import time\\nwhile True:\\n    open("result.json", "a").write("2")\'',
        "subprocess.Popen([sys.executable, '-I', '-S', '-c', code])",
        outputs=["result"],
    )

    outcome = runtime.run(step, limits=Limits(wall_seconds=60))

    assert "1" == outcome.outputs["result"].path.read_text()[:1]


def test_sizes_and_counts_are_capped(one: Runtime) -> None:
    """More bytes than allowed, holes included, or more files: refused before a byte is copied."""
    sparse = _step("os.truncate(os.open('result.json', os.O_CREAT | os.O_RDWR), 1 << 29)")
    many = _step("os.mkdir('d')", "for i in range(30): open('d/%d' % i, 'w').close()")

    bytes_ = one.run(sparse, outputs=["result"], limits=Limits(artifact_bytes=1 << 20), check=False)
    files = one.run(many, outputs=["d/"], limits=Limits(artifact_files=20), check=False)

    assert ("output_exceeded", "output_exceeded") == (bytes_.verdict, files.verdict)
    assert bytes_.failure is not None
    assert files.failure is not None
    assert "536870912 bytes; 1048576 are allowed" in bytes_.failure.message
    assert "30 files; 20 are allowed" in files.failure.message


def test_undeclared_files_are_kept_on_request(one: Runtime, tmp_path: Path) -> None:
    """They are listed always, kept with `keep_files`, and all go where the caller says."""
    step = _step(
        "Path('result.json').write_text('1')",
        "os.mkdir('logs'); Path('logs/a.txt').write_text('a')",
        outputs=["result"],
    )

    plain = one.run(step)
    kept = one.run(step, outputs_dir=tmp_path / "out", keep_files=True)

    assert ({}, ("logs/a.txt", "result.json")) == (plain.artifacts, plain.written)
    assert {"logs/a.txt"} == kept.artifacts.keys()
    assert tmp_path / "out" / "result.json" == kept.outputs["result"].path
    assert "a" == (tmp_path / "out" / "logs" / "a.txt").read_text()


def test_equal_outputs_are_kept_once(one: Runtime) -> None:
    """Artifacts are named by their content: another run's same file is the same artifact."""
    step = _step("Path('result.json').write_text('same')", outputs=["result"])
    other = _step("Path('result.json').write_text('other')", outputs=["result"])

    first, second = one.run(step).outputs["result"], one.run(step).outputs["result"]

    assert first == second
    assert first.path != one.run(other).outputs["result"].path


def test_runs_without_outputs_collect_nothing(one: Runtime) -> None:
    """Files of a run that declared none are gone, and not even listed."""
    outcome = one.run(_step("Path('result.json').write_text('1')"))

    assert ({}, {}, ()) == (outcome.outputs, outcome.artifacts, outcome.written)


def test_a_failed_run_has_no_outputs(one: Runtime) -> None:
    """What a step wrote before it raised is no output: the verdict stays its own."""
    step = _step("Path('result.json').write_text('1')", "raise ValueError('x')", outputs=["result"])

    outcome = one.run(step, check=False)

    assert ("raised", {}) == (outcome.verdict, outcome.outputs)


def test_runs_side_by_side_have_folders_of_their_own(one: Runtime) -> None:
    """Two runs of one step at once do not see each other's files."""
    step = Step(
        source="def f(n):\n    import os\n    assert not os.listdir('.')\n"
        "    open('result.json', 'w').write(str(n))\n",
        function="f",
        outputs=["result"],
    )

    outcomes = list(one.map(step, [{"n": n} for n in range(6)]))

    found = [outcome.outputs["result"].path.read_text() for outcome in outcomes]
    assert [str(n) for n in range(6)] == found


@pytest.mark.parametrize(
    "outputs", ["result", ["../a.txt"], ["/etc/passwd"], ["a//b"], [""], ["a", "a.json"], [1]]
)
def test_a_declaration_that_is_none_is_refused(outputs: list[str]) -> None:
    """Outputs are names, below the working folder, each once."""
    with pytest.raises(RequestError):
        Step(source="def f(): pass", function="f", outputs=outputs)


def test_a_step_with_outputs_is_json_both_ways() -> None:
    """`to_json` and `from_json` keep what is declared."""
    step = Step(source="x", function="f", outputs=["result", "plots/"])

    assert step == Step.from_json(step.to_json())
    assert ["result.json", "plots"] == [output.path for output in step.outputs]


def test_the_other_facade_collects_too(cache_dir: Path, tmp_path: Path) -> None:
    """`AsyncRuntime.run` takes the same arguments and gives the same."""
    step = _step("Path('result.json').write_text('1')")

    async def run() -> Outcome:
        async with AsyncRuntime(cache_dir=cache_dir, isolation="namespaces") as runtime:
            return await runtime.submit(step, outputs=["result"], outputs_dir=tmp_path)

    assert tmp_path / "result.json" == asyncio.run(run()).outputs["result"].path


def test_an_event_loops_map_collects_outputs_too(tmp_path: Path) -> None:
    """Each of the runs has its own."""
    step = _step("Path('result.json').write_text('1')", outputs=["result"])

    async def main() -> list[str]:
        async with AsyncRuntime(cache_dir=tmp_path) as runtime:
            found = [outcome.outputs async for outcome in runtime.map(step, [{}, {}])]
        return [outputs["result"].path.read_text() for outputs in found]

    assert ["1", "1"] == asyncio.run(main())
