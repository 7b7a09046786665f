"""Makes the tables of BENCHMARKS.md from the newest committed result files.

    python -m benchmarks.show [--check]

Between `<!-- begin NAME -->` and `<!-- end NAME -->` stands what this module makes of the newest
`results/NAME-DATE.json`; the rest of the document is written by people.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import wall_tables

__all__ = ["main", "newest", "rendered", "tables"]

_FOLDER = Path(__file__).resolve().parent
_DOCUMENT = _FOLDER.parent / "BENCHMARKS.md"
_SECTION = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)

# a result file is a document of many shapes; its own benchmark's test says what is in it
Result = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write BENCHMARKS.md anew, or say whether it is current."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if not current")
    options = parser.parse_args(arguments)
    before = _DOCUMENT.read_text("utf-8")
    after = rendered(before, _FOLDER / "results")
    if options.check:
        return 0 if before == after else 1
    _DOCUMENT.write_text(after, "utf-8")
    return 0


def rendered(document: str, results: Path) -> str:
    """The document with its sections made from the newest results."""

    def section(found: re.Match[str]) -> str:
        path = newest(results, found[2])
        source = f"From `benchmarks/results/{path.name}`.\n"
        return f"{found[1]}{source}\n{tables(json.loads(path.read_text('utf-8')))}{found[3]}"

    return _SECTION.sub(section, document)


def newest(results: Path, name: str) -> Path:
    """The last result file of a benchmark, by the date in its name."""
    return max(results.glob(f"{name}-*.json"), key=lambda path: path.name)


def tables(result: Result) -> str:
    """Where it was measured, the targets, and one table for each workload, or each user."""
    if result["benchmark"] == "wall":
        return wall_tables.tables(result, circumstances(result))
    if result["benchmark"] == "checks":
        return "\n".join([circumstances(result), _types(result)])
    parts = [circumstances(result)]
    if "targets" in result:
        parts.append(_targets(result))
    works = dict.fromkeys(row["work"] for row in result["rows"])
    parts += [_rows(result, work) for work in works if work]
    return "\n".join(parts)


def circumstances(result: Result) -> str:
    """Where, when and with what it was measured."""
    machine, load = result["machine"], result["load_average"]
    virtual = ", a virtual machine" if machine["is_virtual"] else ""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return (
        f"Measured {result['date'][:10]} on {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['kernel']}{virtual}; load {load['before']} before "
        f"and {load['after']} after. {result['settings']['rounds']} rounds{_cold(result)}. "
        f"Commit {result['source']}{_isolation(result)}. Versions: {versions}.\n"
    )


def _cold(result: Result) -> str:
    cold = result["settings"].get("cold_rounds")
    return "" if cold is None else f", of which {cold} had cold starts"


def _isolation(result: Result) -> str:
    return f", isolation `{result['isolation']}`" if "isolation" in result else ""


def _targets(result: Result) -> str:
    lines = ["| target | work | pace | measured | holds |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['target']} | {row['work']} | {row['pace']} | {row['ratio']:.2f} "
        f"| {'yes' if row['holds'] else 'no'} |"
        for row in result["targets"]
    ]
    return "\n".join([*lines, ""])


def _types(result: Result) -> str:
    lines = ["| value | contender | n | median ms | p95 ms | min ms | x least |"]
    lines += ["|---|---|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {row['work']} | {row['contender']} | {row['n']} | {row['median_ms']:.2f} "
        f"| {row['p95_ms']:.2f} | {row['min_ms']:.2f} | {row['ratio_to_least']:.2f} |"
        for row in sorted(result["rows"], key=lambda row: (row["work"], row["median_ms"]))
    ]
    targets = [
        f"- {one['work']}: at most {one['limit']:g} x least; measured {one['ratio']:.2f}."
        for one in result["targets"]
    ]
    return "\n".join([*lines, "", *targets, ""])


def _rows(result: Result, work: str) -> str:
    rows = [row for row in result["rows"] if row["work"] in ("", work)]
    lines = [
        f"| {row['contender']} | {row['pace']} | {row['n']} | {row['median_ms']:.2f} "
        f"| {row['p95_ms']:.2f} | {row['min_ms']:.2f} | {row['ratio_to_bare']:.2f} |"
        for row in sorted(rows, key=lambda row: (row["pace"], row["median_ms"]))
    ]
    head = "| contender | pace | n | median ms | p95 ms | min ms | x bare |"
    return "\n".join([f"**{work}**", "", head, "|---|---|---:|---:|---:|---:|---:|", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
