"""The guest's own tests, on every interpreter that this machine has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import guest_matrix

_INTERPRETERS = guest_matrix.find_interpreters()
_FILES = guest_matrix.guest_files()
# the quick run takes the two ends of the range, the whole suite every interpreter
_QUICK = {one.version for one in (*_INTERPRETERS[:1], *_INTERPRETERS[-1:])}


def _cases() -> list[object]:
    return [
        pytest.param(
            interpreter,
            file,
            id=f"{interpreter.name}-{file.stem}",
            marks=() if interpreter.version in _QUICK else pytest.mark.slow,
        )
        for interpreter in _INTERPRETERS
        for file in _FILES
    ]


def test_there_is_something_to_run() -> None:
    """The interpreter under which we run is among those found, and there are guest tests."""
    assert sys.version_info[:3] in {one.version for one in _INTERPRETERS}
    assert _FILES


@pytest.mark.parametrize(("interpreter", "file"), _cases())
def test_the_guest_tests_pass(interpreter: guest_matrix.GuestInterpreter, file: Path) -> None:
    """Every test of the file passes in a bare interpreter of that version."""
    tally = guest_matrix.run_file(interpreter, file)

    assert tally.failed == 0, tally.output


def test_a_file_without_tests_has_failed(tmp_path: Path) -> None:
    """A file in which nothing ran is no success."""
    empty = tmp_path / "guest_nothing.py"
    empty.write_text('"""No test."""\n', "utf-8")

    assert 1 == guest_matrix.run_file(_INTERPRETERS[-1], empty).failed


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("self.assertEqual(1, 1)", (1, 0, 0)),
        ("self.assertEqual(1, 2)", (0, 1, 0)),
        ("self.skipTest('why')", (0, 0, 1)),
        ("import os; os._exit(0)", (0, 1, 0)),
    ],
)
def test_what_a_file_does_is_counted(
    tmp_path: Path, body: str, counts: tuple[int, int, int]
) -> None:
    """Passed, failed and skipped are told apart, and a death in silence is a failure."""
    file = tmp_path / "guest_sample.py"
    file.write_text(
        "import unittest\nclass Sample(unittest.TestCase):\n    def test_it(self):\n        "
        f"{body}\n",
        "utf-8",
    )

    tally = guest_matrix.run_file(_INTERPRETERS[-1], file)

    assert counts == (tally.passed, tally.failed, tally.skipped)
