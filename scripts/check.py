#!/usr/bin/env python3
"""Every gate of this repository, in one command: `check.py fast`, `full`, `tests` or `faults`.

Rules of this file:

1. A fresh clone with Python 3.11 and pip is enough: the first run makes `.venv` and goes on in it.
2. One line per gate; what a gate said is shown when it failed.
3. The whole test suite comes last and prints for itself, so that its summary ends the output.
4. The exit code is 0 only when every gate passed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import bootstrap

_REPOSITORY = bootstrap.REPOSITORY
_GUEST = "sandbox/orq_sandbox"
_GATE_SECONDS = 300.0
_SUITE_SECONDS = 3600.0
_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One check: a command that exits 0 when it passes. `tells` shows its last line then too."""

    name: str
    command: tuple[str, ...]
    tells: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a gate ended."""

    gate: Gate
    status: int
    seconds: float
    output: str


_RUFF = (sys.executable, "-m", "ruff")
_PYTEST = (sys.executable, "-m", "pytest")

# the long ones first: two run at a time
_QUICK_TESTS = Gate(
    name="quick tests",
    command=(
        *_PYTEST,
        *("tests/unit", "tests/architecture", "tests/guest"),
        *("-x", "-q", "-m", "not network and not slow"),
    ),
    tells=True,
)
_GATES = (
    Gate(name="mypy", command=(sys.executable, "-m", "mypy")),
    Gate(name="lint-imports", command=("lint-imports", "--no-cache", "--no-logo")),
    Gate(name="ruff check", command=(*_RUFF, "check", "--output-format", "concise", ".")),
    Gate(
        name="ruff format", command=(*_RUFF, "format", "--check", "--output-format", "concise", ".")
    ),
    Gate(
        name="ty (guest, 3.8)",
        command=(
            *(sys.executable, "-m", "ty", "check", "--error-on-warning", "--no-progress"),
            *("--output-format", "concise", "--python", sys.executable, _GUEST),
        ),
    ),
    Gate(
        name="vermin (guest, 3.8)",
        command=("vermin", "-q", "-t=3.8-", "--no-tips", "--violations", _GUEST),
    ),
    Gate(
        name="sizes, suppressions",
        command=(sys.executable, "scripts/house_rules.py"),
        tells=True,
    ),
)
# one more than two cores have: some tests wait
_SUITE = Gate(name="all tests", command=(*_PYTEST, "-q", "-n", "3", "--dist", "worksteal"))

_FAULTS = Gate(name="faults", command=(sys.executable, "-m", "tests.faults"))

_MODES: Mapping[str, tuple[tuple[Gate, ...], Gate | None]] = {
    "fast": ((_QUICK_TESTS, *_GATES), None),
    "full": (_GATES, _SUITE),
    "tests": ((), _SUITE),
    "faults": ((), _FAULTS),
}
_FAULTS_SECONDS = 2 * _SUITE_SECONDS


def main(arguments: Sequence[str]) -> int:
    """Run the gates of a mode; the exit code."""
    options = _parser().parse_args(arguments)
    gates, suite = _MODES[options.mode]
    if options.list:
        for gate in (*gates, suite):
            if gate is not None:
                print(f"{gate.name}: {' '.join(gate.command)}")
        return 0
    if not options.no_bootstrap:
        try:
            python = bootstrap.ensure_environment()
        except subprocess.CalledProcessError as error:
            print(f"cannot make .venv: `{' '.join(error.cmd)}` failed", file=sys.stderr)
            return 1
        os.execv(python, [str(python), __file__, *arguments, "--no-bootstrap"])
    os.chdir(_REPOSITORY)
    environment = _environment()
    begun = time.monotonic()
    failed = run_gates(gates, environment)
    if gates:
        seconds = time.monotonic() - begun
        print(f"{options.mode}: {len(gates)} gates, {failed} failed, {seconds:.1f} s", flush=True)
    if suite is not None and _stream(suite, environment) != 0:
        failed += 1
    if options.faults and suite is not _FAULTS and _stream(_FAULTS, environment) != 0:
        failed += 1
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "mode",
        nargs="?",
        choices=tuple(_MODES),
        default="fast",
        help="fast: the quick gates (default); full: those and the whole suite; tests: the suite; "
        "faults: hundreds of broken supplies, for RELIABILITY.md",
    )
    parser.add_argument(
        "--faults", action="store_true", help="the mode `faults` too, which takes most of an hour"
    )
    parser.add_argument("--list", action="store_true", help="name the mode's gates and stop")
    parser.add_argument(
        "--no-bootstrap", action="store_true", help="use the tools of this interpreter as they are"
    )
    return parser


def run_gates(gates: Sequence[Gate], environment: Mapping[str, str]) -> int:
    """Run gates two at a time and print how each ended; the number that failed."""
    failed = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for ended in as_completed([pool.submit(_run, gate, environment) for gate in gates]):
            failed += _report(ended.result())
    return failed


def _report(verdict: Verdict) -> bool:
    is_failed = verdict.status != 0
    said = verdict.output.strip()
    note = said.splitlines()[-1].strip("= ") if said and verdict.gate.tells else ""
    line = f"{verdict.gate.name:<22}{verdict.seconds:6.1f} s  {'FAILED' if is_failed else 'OK'}"
    print(line if is_failed or not note else f"{line}  ({note})", flush=True)
    if is_failed:
        print("\n".join("    " + text for text in said.splitlines()), flush=True)
    return is_failed


def _run(gate: Gate, environment: Mapping[str, str]) -> Verdict:
    begun = time.monotonic()
    process = subprocess.Popen(
        gate.command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=_GATE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\nkilled after {_GATE_SECONDS:g} s"
    seconds = time.monotonic() - begun
    return Verdict(gate=gate, status=process.returncode, seconds=seconds, output=output)


def _stream(gate: Gate, environment: Mapping[str, str]) -> int:
    process = subprocess.Popen(
        gate.command, stdin=subprocess.DEVNULL, env=environment, process_group=0
    )
    try:
        return process.wait(_FAULTS_SECONDS if gate is _FAULTS else _SUITE_SECONDS)
    except BaseException:  # also Ctrl-C: nothing of ours outlives us
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _environment() -> dict[str, str]:
    """What the gates inherit: the tools' folder first, and both packages importable."""
    scripts = Path(sysconfig.get_path("scripts"))
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"}
    if importlib.util.find_spec("orq_sandbox") is None:  # the caller's environment has only tools
        sources = (str(_REPOSITORY), str(_REPOSITORY / "sandbox"))
        environment["PYTHONPATH"] = os.pathsep.join(sources)
    return environment


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
