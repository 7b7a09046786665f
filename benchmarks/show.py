"""Makes the tables and plots of BENCHMARKS.md from the newest committed result files.

    python -m benchmarks.show [--check]

Between `<!-- begin NAME -->` and `<!-- end NAME -->` stands what this module makes of the newest
`results/NAME-DATE.json`, and between those of `figures` the table of all goals; the rest of the
document is written by people. Plots go into `plots/`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import tables as of_benchmarks
from benchmarks import wall_tables
from benchmarks.goals import GOALS

__all__ = ["drawn", "goals", "main", "newest", "rendered", "tables"]

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
    pictures = drawn(_FOLDER / "results")
    if options.check:
        is_current = before == after and all(map(_is_drawn, pictures, pictures.values()))
        return 0 if is_current else 1
    _DOCUMENT.write_text(after, "utf-8")
    for name, picture in pictures.items():
        (_FOLDER / "plots" / name).write_text(picture, "utf-8")
    return 0


def rendered(document: str, results: Path) -> str:
    """The document with its sections made from the newest results."""

    def section(found: re.Match[str]) -> str:
        if found[2] == "figures":
            return f"{found[1]}{goals(results)}{found[3]}"
        if not any(results.glob(f"{found[2]}-*.json")):
            return f"{found[1]}Not measured yet.\n{found[3]}"
        path = newest(results, found[2])
        source = f"From `benchmarks/results/{path.name}`.\n"
        plot = ""
        if found[2] in of_benchmarks.PLOTS:
            title, _ = of_benchmarks.PLOTS[found[2]]
            plot = f"\n![{title}](benchmarks/plots/{found[2]}.svg)\n"
        return f"{found[1]}{source}{plot}\n{tables(_load(path))}{found[3]}"

    return _SECTION.sub(section, document)


def drawn(results: Path) -> dict[str, str]:
    """The plots by the names of their files."""
    return {
        f"{name}.svg": draw(_load(newest(results, name)))
        for name, (_, draw) in of_benchmarks.PLOTS.items()
        if any(results.glob(f"{name}-*.json"))
    }


def _is_drawn(name: str, picture: str) -> bool:
    path = _FOLDER / "plots" / name
    return path.exists() and path.read_text("utf-8") == picture


def goals(results: Path) -> str:
    """The table of all figures that are aimed at, from the newest results."""
    names = {goal.benchmark for goal in GOALS}
    there = {name for name in names if any(results.glob(f"{name}-*.json"))}
    return of_benchmarks.goals({name: _load(newest(results, name)) for name in there})


def _load(path: Path) -> Result:
    result: Result = json.loads(path.read_text("utf-8"))
    return result


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
    if result["benchmark"] in of_benchmarks.OF:
        return "\n".join([*parts, of_benchmarks.OF[result["benchmark"]](result)])
    if "targets" in result:
        parts.append(_targets(result))
    works = dict.fromkeys(row["work"] for row in result["rows"])
    parts += [_rows(result, work) for work in works if work]
    if "phases_us" in result:
        parts.append(of_benchmarks.phases(result))
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
    paces = {row["pace"] for row in rows if row["work"]}
    rows = [row for row in rows if row["work"] or row["pace"] in paces or "once" in paces]
    lines = [
        f"| {row['contender']} | {row['pace']} | {row['n']} | {row['median_ms']:.2f} "
        f"| {row['p95_ms']:.2f} | {row['min_ms']:.2f} | {row['ratio_to_bare']:.3g} |"
        for row in sorted(rows, key=lambda row: (row["pace"], row["median_ms"]))
    ]
    base = result.get("base", "bare")
    head = f"| contender | pace | n | median ms | p95 ms | min ms | x {base} |"
    return "\n".join([f"**{work}**", "", head, "|---|---|---:|---:|---:|---:|---:|", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
