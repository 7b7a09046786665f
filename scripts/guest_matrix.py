#!/usr/bin/env python3
"""Runs the guest's tests on every CPython from 3.8 to 3.14 that this machine has.

Rules of this file:

1. Only real binaries count: version managers put shell scripts in their place on PATH.
2. A test file runs in a bare interpreter (`-I -B`): the standard library and `sandbox/`, no more.
3. A file in which no test ran has failed, and so has a matrix without an interpreter.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GuestInterpreter", "Tally", "find_interpreters", "guest_files", "run_file"]

_REPOSITORY = Path(__file__).resolve().parent.parent
_TESTS = _REPOSITORY / "tests" / "guest"
_OLDEST, _NEWEST = (3, 8), (3, 14)
_FILE_SECONDS = 120.0
_DESCRIBE = "import sys; print(sys.implementation.name, *sys.version_info[:3])"
# runs inside the interpreter under test, so it is Python 3.8
_RUN = """
import json, sys, unittest
sandbox, folder, module, report = sys.argv[1:]
sys.path[:0] = [sandbox, folder]
suite = unittest.defaultTestLoader.loadTestsFromName(module)
result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
with open(report, "w") as file:
    json.dump([result.testsRun - bad - len(result.skipped), bad, len(result.skipped)], file)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestInterpreter:
    """One CPython: its real binary and its version."""

    path: Path
    version: tuple[int, int, int]

    @property
    def name(self) -> str:
        """For example `3.8.18`."""
        return ".".join(map(str, self.version))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How the tests of a file ended; `output` is what they printed."""

    passed: int
    failed: int
    skipped: int
    output: str


def find_interpreters() -> list[GuestInterpreter]:
    """Every CPython of a supported version on this machine, oldest first, each binary once."""
    binaries = {path.resolve() for path in _candidates() if _is_binary(path)}
    described = [one for path in sorted(binaries) if (one := _describe(path)) is not None]
    supported = [one for one in described if _OLDEST <= one.version[:2] <= _NEWEST]
    return sorted(supported, key=lambda one: (one.version, str(one.path)))


def guest_files() -> list[Path]:
    """The guest's test files."""
    return sorted(_TESTS.glob("guest_*.py"))


def run_file(interpreter: GuestInterpreter, file: Path) -> Tally:
    """Run one test file in a fresh interpreter and count. Blocks up to two minutes."""
    with tempfile.TemporaryDirectory(prefix="guest-matrix-") as folder:
        report = Path(folder) / "tally.json"
        output = _run_in_time(
            [
                *(str(interpreter.path), "-I", "-B", "-c", _RUN),
                *(str(_REPOSITORY / "sandbox"), str(file.parent), file.stem, str(report)),
            ]
        )
        if not report.is_file():
            return Tally(passed=0, failed=1, skipped=0, output=output or "it died in silence")
        passed, failed, skipped = json.loads(report.read_text("utf-8"))
    if passed + failed + skipped == 0:
        return Tally(passed=0, failed=1, skipped=0, output=f"no test in {file.name}\n{output}")
    return Tally(passed=passed, failed=failed, skipped=skipped, output=output)


def main(arguments: Sequence[str]) -> int:
    """One line per interpreter; 1 when a test failed or there was nothing to run."""
    files = [file for file in guest_files() if not arguments or file.stem in arguments]
    interpreters = find_interpreters()
    failed = 0
    for interpreter in interpreters:
        tallies = [run_file(interpreter, file) for file in files]
        passed, bad = sum(one.passed for one in tallies), sum(one.failed for one in tallies)
        skipped = sum(one.skipped for one in tallies)
        print(f"{interpreter.name:<8} {passed} passed, {bad} failed, {skipped} skipped", flush=True)
        for tally in tallies:
            if tally.failed:
                print(tally.output)
        failed += bad
    if not interpreters or not files:
        print(f"nothing to run: {len(interpreters)} interpreters, {len(files)} files")
    return 0 if interpreters and files and not failed else 1


def _candidates() -> Iterator[Path]:
    home = Path.home()
    folders = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    folders += sorted((home / ".pyenv" / "versions").glob("*/bin"))
    folders += sorted((home / ".local" / "share" / "uv" / "python").glob("*/bin"))
    folders += [Path("/usr/local/bin"), Path("/usr/bin")]
    names = ["python3", *(f"python3.{minor}" for minor in range(_OLDEST[1], _NEWEST[1] + 1))]
    for folder in folders:
        for name in names:
            yield folder / name


def _is_binary(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _describe(path: Path) -> GuestInterpreter | None:
    """What the interpreter says of itself; None when it does not run or is no CPython."""
    try:
        said = subprocess.run(
            [str(path), "-I", "-S", "-B", "-c", _DESCRIBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    implementation, *numbers = said.split()
    if implementation != "cpython":
        return None
    major, minor, micro = map(int, numbers)
    return GuestInterpreter(path=path, version=(major, minor, micro))


def _run_in_time(command: list[str]) -> str:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=_FILE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\nkilled after {_FILE_SECONDS:g} s"
    return output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
