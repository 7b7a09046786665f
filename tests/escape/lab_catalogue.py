"""Runs every attack of the catalogue: `python -m tests.escape.lab_catalogue MODE [PYTHON]`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.escape.lab_bench import MODES, Bench, Ended

__all__ = ["judge"]

_CATALOGUE = Path(__file__).resolve().parent / "catalogue.json"
_CANARY_RUN = "KEEP = 'ORQ_' + 'CANARY_PREVIOUS_RUN'\ndef step(x):\n    return len(KEEP * 1000)\n"
_SHARED_MEMORY_KEY = 0x0C0FFEE


def main(arguments: Sequence[str]) -> int:
    """One line for each attack that did not behave; the number of them is the exit code."""
    mode = MODES[arguments[0]]
    python = Path(arguments[1]) if len(arguments) > 1 else Path("/usr/bin/python3")
    only = arguments[2:]
    catalogue = json.loads(_CATALOGUE.read_text("utf-8"))
    os.environ["ORQ_CANARY"] = "leaked"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0/orq-canary")
    listener.listen()
    good, bad, gaps = 0, 0, 0
    with Bench(mode, python) as bench:
        bench.run(_CANARY_RUN)
        for attack in catalogue["attacks"]:
            if mode.catalogue_name not in attack.get("modes", ["ns", "c"]):
                continue
            if attack["expectation"]["outcome"] == "supply" or (only and attack["id"] not in only):
                continue
            ended = bench.run(
                catalogue["prelude"] + attack["code"],
                seconds=attack.get("timeout", 3.0),
                rlimits=_limits(attack.get("lim", {})),
            )
            problem = judge(attack, ended)
            if only or problem:
                gap = attack.get("known_gap", "")
                print(f"{mode.name} {attack['id']}: {problem or 'ok'} {gap and f'[gap: {gap}]'}")
                print(
                    "   ", ended.result[:200], ended.stderr[:300], ended.status, ended.setup_error
                )
            is_gap = bool(problem) and "known_gap" in attack
            good, gaps = good + (not problem), gaps + is_gap
            bad += bool(problem) and not is_gap
    listener.close()
    if _is_on_host():  # an unconfined control left it
        subprocess.run(["ipcrm", "-M", str(_SHARED_MEMORY_KEY)], check=False)
    print(f"{mode.name} {python}: {good} as expected, {gaps} known gaps, {bad} not")
    return bad


def _limits(named: Mapping[str, int]) -> dict[str, int]:
    words = {"data": "memory", "nproc": "processes", "nofile": "open_files", "fsize": "file_bytes"}
    return {words[name]: value for name, value in named.items()}


def judge(attack: Mapping[str, Any], ended: Ended) -> str:
    """What is wrong with how an attack ended; nothing when it is as the catalogue says."""
    if ended.setup_error or b"SETUP" in ended.stderr:
        return "the run was not set up"
    expected = attack["expectation"]["outcome"]
    try:
        value, why = ended.value(), ""
    except ValueError as error:
        value, why = None, str(error)[:200]
    wrong = ""
    if expected == "denied" and not str(value).startswith("DENIED"):
        wrong = f"not denied: {value!r} {why}"
    elif expected == "value" and (value != attack["expectation"]["value"]):
        wrong = f"not {attack['expectation']['value']!r}: {value!r} {why}"
    elif expected == "timeout" and not ended.is_timeout:
        wrong = f"no timeout: {value!r} {why}"
    elif expected == "killed" and not (ended.status and os.WIFSIGNALED(ended.status)):
        wrong = f"not killed: {ended.status}"
    elif expected == "protocol" and not why:
        wrong = f"a result: {value!r}"
    elif expected == "contained" and not why and not attack.get("allow_ok") and "ESC" in str(value):
        wrong = f"escaped: {value!r}"
    if attack["id"] == "leak-sysvshm" and _is_on_host():
        wrong = "the host has the shared memory"
    return wrong


def _is_on_host() -> bool:
    lines = Path("/proc/sysvipc/shm").read_text("ascii").splitlines()[1:]
    return any(int(line.split()[0]) == _SHARED_MEMORY_KEY for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
