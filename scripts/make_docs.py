#!/usr/bin/env python3
"""Writes the documents that follow from tables in the code: `docs/verdicts.md`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from orq_runtime.errors import OrqRuntimeError
from orq_runtime.model.verdict import VERDICTS, Verdict

__all__ = ["DOCUMENT", "verdicts_document"]

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "verdicts.md"
_HEAD = """\
# Verdicts

Every way a run can end. *Exit* is the exit code of `orq-runtime`, *fault* says who must act, and a
verdict that is *retryable* may go better when the same call is made again. The exceptions are those
of `orq_runtime.errors`; where one has subclasses, each says its own fault and whether to retry.

| verdict | exception | exit | fault | retryable | meaning |
|---|---|---|---|---|---|
"""
_TAIL = """
Made by `scripts/make_docs.py` from `orq_runtime.model.verdict`; change it there.
"""


def verdicts_document() -> str:
    """The text of `docs/verdicts.md`."""
    return _HEAD + "".join(_row(verdict) for verdict in VERDICTS.values()) + _TAIL


def _row(verdict: Verdict) -> str:
    classes = _with_subclasses(verdict.raises)
    raises = "-" if verdict.raises is None else f"`{verdict.raises.__name__}`"
    code = "128 + signal" if verdict.name == "killed" else str(verdict.exit_code)
    faults = " or ".join(dict.fromkeys(one.fault.value for one in classes))
    retryable = {(True,): "yes", (False,): "no", (): "-"}.get(
        tuple({one.retryable for one in classes}), "by subclass"
    )
    cells = (f"`{verdict.name}`", raises, code, faults or "-", retryable, verdict.meaning)
    return f"| {' | '.join(cells)} |\n"


def _with_subclasses(root: type[OrqRuntimeError] | None) -> list[type[OrqRuntimeError]]:
    if root is None:
        return []
    return [root, *(one for child in root.__subclasses__() for one in _with_subclasses(child))]


def main(arguments: Sequence[str]) -> int:
    """Write the document, or with `--check` say whether it is current."""
    parser = argparse.ArgumentParser(description="Writes docs/verdicts.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when it is stale")
    options = parser.parse_args(arguments)
    wanted = verdicts_document()
    if not options.check:
        DOCUMENT.write_text(wanted, "utf-8")
        return 0
    if DOCUMENT.is_file() and DOCUMENT.read_text("utf-8") == wanted:
        return 0
    print(f"`docs/{DOCUMENT.name}` is stale: run scripts/make_docs.py")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
