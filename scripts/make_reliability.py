#!/usr/bin/env python3
"""Write RELIABILITY.md from the results of the fault methods (`python -m tests.faults`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import bootstrap

__all__ = ["DOCUMENT", "reliability_document"]

DOCUMENT = bootstrap.REPOSITORY / "RELIABILITY.md"
_RESULTS = bootstrap.REPOSITORY / "tests" / "faults" / "results.json"

_HEAD = """# Reliability

What a supply was put through, and what was left of the store. `python scripts/check.py full
--faults` (or `faults` alone) does all of it again: the long form, which takes most of an hour and
writes `tests/faults/results.json`, from which `python scripts/make_reliability.py` makes this page.
The short form of every method, a few faults of each, is part of the test suite, and so of every run
of `check.py full` and of CI.

**Injected** faults were planned, **fired** ones took place: a fault that does not fire proves
nothing. **Broken** is a store in which something that has a name is not whole (every file is read
and compared, as `cache verify` does), or that the next supply cannot use. **Healed** counts the
faults after which the very next supply gave an environment that imports what it should, and left
nothing behind.

"""
_METHODS_HEAD = """
## How

The program is the real one, with the real uv; nothing of it is replaced. System calls are failed,
or made the last thing that their process does, by the kernel: it asks us before each one (seccomp's
user notification), of our own process as of uv and of builds. The same tap records what a publish
asks of the kernel; from that, every state is enumerated that a power cut may leave, with names
without content and later operations without earlier ones. As a control the tests take one sync out
of the record: states that are not whole then exist, and are found.

"""


def main() -> int:
    """Write the page."""
    DOCUMENT.write_text(reliability_document(), "utf-8")
    return 0


def reliability_document(file: Path = _RESULTS) -> str:
    """The page that the results say."""
    results: Mapping[str, Mapping[str, object]] = json.loads(file.read_text("utf-8"))
    lines = ["| method | injected | fired | broken | healed |", "|---|---:|---:|---:|---:|"]
    columns = ("injected", "fired", "broken", "healed")
    totals = dict.fromkeys(columns, 0)
    for name, result in results.items():
        numbers = {column: int(str(result[column])) for column in columns}
        totals = {column: totals[column] + numbers[column] for column in columns}
        lines.append(f"| {name} | " + " | ".join(str(numbers[c]) for c in columns) + " |")
    lines.append("| **all** | " + " | ".join(f"**{totals[c]}**" for c in columns) + " |")
    told = sorted({_told(result) for result in results.values()})
    how = [f"- **{name}**: {result['what']}" for name, result in results.items()]
    return _HEAD + "\n".join([*lines, "", *told]) + "\n" + _METHODS_HEAD + "\n".join(how) + "\n"


def _told(result: Mapping[str, object]) -> str:
    return (
        f"Measured {result['date']} on Linux {result['linux']} ({result['machine']}), "
        f"Python {result['python']}, uv {result['uv']}, seed {result['seed']}."
    )


if __name__ == "__main__":
    sys.exit(main())
