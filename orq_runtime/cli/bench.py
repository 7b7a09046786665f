"""`orq-runtime bench`: how fast the starts are on this machine, beside what else there is."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orq_runtime
from orq_runtime.cli import jsontext
from orq_runtime.cli.chosen import settings_of
from orq_runtime.cli.contest import AT_ONCE, BARE, ONE_CALL, Contest, contest
from orq_runtime.cli.measuring import Measured, Turns, measure, median_ratio, summary
from orq_runtime.cli.options import Options
from orq_runtime.cli.terminal import put, say

__all__ = ["bench"]

_SEED: Final = 1
_HEADERS: Final = ("ONE CALL", "PACE", "MEDIAN", "P95", "X BARE")
_RATES: Final = (f"{AT_ONCE} AT ONCE", "RUNS/S")


def bench(options: Options) -> int:
    """Measure and show; times never change the exit code."""
    if not options.quiet:
        say(f"measuring, {options.rounds} rounds of about 3 seconds; other work disturbs the times")
    with tempfile.TemporaryDirectory(prefix="orq-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # behind Landlock root's runs are another user's
        with contest(Path(folder), settings_of(options), options.isolation) as found:
            measured = measure(found.contenders, options.rounds, seed=_SEED)
    document = _document(found, measured, options.rounds)
    if options.output_format == "json":
        put(jsontext.dump(document))
        return 0
    _show(document)
    for name, reason in found.absent.items():
        say(f"not measured: {name}: {reason}")
    return 0


def _document(found: Contest, measured: Measured, rounds: int) -> dict[str, Any]:
    return {
        "version": orq_runtime.__version__,
        "python": platform.python_version(),
        "environment_python": found.environment_python,
        "platform": platform.platform(),
        "isolation": found.isolation,
        "rounds": rounds,
        "rows": [_row(one.name, one.work, one.pace, measured) for one in measured],
        "absent": found.absent,
    }


def _row(name: str, work: str, pace: str, measured: Measured) -> dict[str, object]:
    turns = _turns(measured, name, work, pace)
    row: dict[str, object] = {"name": name, "work": work, "pace": pace, **summary(turns)}
    if work == ONE_CALL:
        base = _turns(measured, BARE, work, "back to back" if pace == "back to back" else "paced")
        row["x_bare"] = median_ratio(turns, base)
    else:
        row["runs_per_second"] = round(1000 / float(str(row["median_ms"])), 1)
    return row


def _turns(measured: Measured, name: str, work: str, pace: str) -> Turns:
    return next(
        turns
        for one, turns in measured.items()
        if (one.name, one.work, one.pace) == (name, work, pace)
    )


def _show(document: Mapping[str, Any]) -> None:
    rows = sorted(document["rows"], key=lambda row: row["median_ms"])
    calls = [
        (
            row["name"],
            row["pace"],
            *(f"{row[key]:.2f} ms" for key in ("median_ms", "p95_ms")),
            f"{row['x_bare']:.3g}",
        )
        for row in rows
        if row["work"] == ONE_CALL
    ]
    rates = [
        (row["name"], f"{row['runs_per_second']:.0f}") for row in rows if row["work"] != ONE_CALL
    ]
    head = (
        f"orq-runtime {document['version']}, isolation {document['isolation']}, "
        f"Python {document['environment_python']}, {document['rounds']} rounds\n\n"
    )
    if sys.stdout is not None and sys.stdout.isatty():
        from orq_runtime.cli.drawing import draw_table  # only to draw

        put(head.encode())
        draw_table(_HEADERS, calls, right="MEDIAN P95 X BARE")
        put(b"\n")
        draw_table(_RATES, rates, right="RUNS/S")
    else:
        put((head + _text(_HEADERS, calls) + "\n" + _text(_RATES, rates)).encode())


def _text(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of spaces, the last ones flush right."""
    widths = [max(len(row[index]) for row in (headers, *rows)) for index in range(len(headers))]
    lines = []
    for row in (headers, *rows):
        cells = [
            text.rjust(width) if index and row[index][:1].isdigit() else text.ljust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)
