"""A caller's type checker notices wrong uses of the public names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import REPOSITORY, tree_environment

_MISUSES = {
    "orq.Step(file=1, function='f')": "arg-type",
    "orq.Limits(wall_seconds='1')": "arg-type",
    "orq.Limits(1.0)": "call-arg",
    "orq.Runtme()": "attr-defined",
    "outcome.verdict = 'ok'": "misc",
    "outcome.value + 1": "operator",
}


@pytest.mark.slow
def test_wrong_uses_are_type_errors(tmp_path: Path) -> None:
    """Each line is one error of the expected kind, and nothing else is wrong."""
    caller = tmp_path / "caller.py"
    head = "import orq_runtime as orq\ndef f(outcome: orq.Outcome) -> None:\n"
    caller.write_text(head + "".join(f"    {line}\n" for line in _MISUSES), "utf-8")

    said = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary"),
            *("--config-file", "", "--cache-dir", str(tmp_path / "cache"), caller.name),
        ],
        cwd=tmp_path,
        env={**tree_environment(), "MYPYPATH": f"{REPOSITORY}:{REPOSITORY / 'sandbox'}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    errors = [line.split(": ", 1) for line in said.splitlines() if line.startswith(caller.name)]
    found = [(place.split(":")[1], text.rpartition("[")[2].rstrip("]")) for place, text in errors]

    assert [(str(line), code) for line, code in enumerate(_MISUSES.values(), 3)] == found, said
