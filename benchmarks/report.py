"""What every benchmark does around its measuring: options, the circumstances, the result file."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import goals, machine
from benchmarks.environments import PeerMissing
from orq_runtime import Environment
from orq_runtime.cli.measuring import Measured, median_ratio, summary

__all__ = ["Options", "counted", "deliver", "document", "ended", "options", "rows", "turns_of"]

Result = dict[str, Any]


class Options(argparse.Namespace):
    """What each benchmark can be asked."""

    quick: bool
    rounds: int
    json: Path | None
    work: str | None
    measure: str | None
    runs: int
    folder: str


def _nothing(_parser: argparse.ArgumentParser) -> None:
    pass


def options(
    doc: str | None,
    arguments: Sequence[str] | None,
    *,
    rounds: int,
    quick_rounds: int = 2,
    add: Callable[[argparse.ArgumentParser], object] = _nothing,
) -> Options:
    """Parse the command line; `add` adds options of the benchmark's own."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    parser.add_argument("--quick", action="store_true", help="few rounds: proves that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {rounds}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result file")
    add(parser)
    found = parser.parse_args(arguments, namespace=Options())
    found.rounds = found.rounds or (quick_rounds if found.quick else rounds)
    return found


def counted(rounds: int) -> Callable[[int], None]:
    """Says on stderr which round is over."""

    def told(number: int) -> None:
        end = "\n" if number == rounds else ""
        print(f"\rround {number} of {rounds}", end=end, file=sys.stderr, flush=True)

    return told


def document(
    name: str,
    *,
    load_before: float,
    environments: Iterable[Environment],
    settings: Mapping[str, object],
    **parts: object,
) -> Result:
    """The result, with where and with what it was measured."""
    return {
        "benchmark": name,
        "format": 2,
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "load_average": {"before": load_before, "after": machine.load_average()},
        "source": machine.source_version(),
        "versions": machine.versions(environments),
        "settings": dict(settings),
        **parts,
    }


def rows(measured: Measured, base: str) -> list[dict[str, object]]:
    """A row for each contender: its figures, its ratio to the one called `base`, its samples."""
    found: list[dict[str, object]] = []
    for one, turns in measured.items():
        found.append(
            {
                "work": one.work,
                "contender": one.name,
                "pace": one.pace,
                **summary(turns),
                "ratio_to_bare": median_ratio(turns, turns_of(measured, base, one.work, one.pace)),
                "samples_ms": [
                    [round(call * 1000, 4) for call in turns[number]] for number in sorted(turns)
                ],
            }
        )
    return sorted(found, key=lambda row: (row["work"], row["pace"], row["median_ms"]))


def turns_of(measured: Measured, name: str, work: str, pace: str) -> Mapping[int, Sequence[float]]:
    """The turns of the one that is called so and does this work, or that of all, at this pace."""
    after_a_pause = {"once", "cold", "paced"}
    for one, turns in measured.items():
        is_meant = one.name == name and one.work in ("", work)
        if is_meant and (one.pace == pace or {one.pace, pace} <= after_a_pause):
            return turns
    raise KeyError(f"nobody called `{name}` has the pace `{pace}`")


def deliver(result: Result, file: Path | None) -> None:
    """Write the result file, print the tables and what became of the goals."""
    from benchmarks import show  # the tables are its; it is not needed to measure

    if file is not None:
        file.write_text(_text(result), "utf-8")
    print(show.tables(result))
    if said := goals.printed(result.get("figures", {})):
        print(f"\n{said}")


def ended(main: Callable[[], int]) -> int:
    """The exit code of a benchmark: without one of its peers it fails, and says why."""
    try:
        return main()
    except PeerMissing as missing:
        print(f"a peer cannot be had: {missing}", file=sys.stderr)
        return 1


def _text(result: Result) -> str:
    """JSON with one line for each row, so that two results can be compared by eye."""
    parts = []
    for key, value in result.items():
        if isinstance(value, list):
            lines = ",\n".join("    " + json.dumps(row) for row in value)
            parts.append(f"  {json.dumps(key)}: [\n{lines}\n  ]")
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
