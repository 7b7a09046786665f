"""How long until a function's value is there: cold, warm and hot, beside the other ways to call it.

    python -m benchmarks.starts [--quick] [--rounds N] [--work NAME] [--json FILE]

Rules of this file:

1. Every contender has one turn in each round, in an order that is shuffled anew for each round.
   Cold starts have a turn in a few of the rounds only.
2. A turn is one call after a pause (`once`, `cold`), or several: each after a pause (`paced`, about
   20 calls a second) or without (`back to back`); then one call before them is not counted.
3. A wrong value ends the benchmark. A time never does: times are compared by whoever reads them.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import contenders, figures, machine
from benchmarks.contenders import Contender, Ready
from benchmarks.workloads import WORKLOADS, Workload

__all__ = ["main"]

_ROUNDS = 30
_COLD_ROUNDS = 4
_CALLS = 5
_PAUSE_SECONDS = 0.05
_SEED = 2

_TARGETS = (
    ("hot start", contenders.HOT, contenders.BARE, 0.5),
    ("warm start of the command", contenders.CLI_WARM, contenders.UV_WARM, 2.0),
)

Measured = dict[Contender, dict[int, list[float]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the result file if one is named."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (2 if options.quick else _ROUNDS)
    cold = 1 if options.quick else min(_COLD_ROUNDS, rounds)
    works = [work for work in WORKLOADS if options.work in (None, work.name)]
    before = machine.load_average()
    with _ready(works) as ready:
        environments = [one.environment for one in ready]
        field = contenders.bare(environments[0].interpreter.path)
        field += [one for work in ready for one in work.contenders]
        measured = _measure(field, rounds=rounds, cold_rounds=cold)
    result = {
        "benchmark": "starts",
        "format": 1,
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "load_average": {"before": before, "after": machine.load_average()},
        "source": machine.source_version(),
        "isolation": ready[0].isolation,
        "versions": machine.versions(environments),
        "settings": {
            "rounds": rounds,
            "cold_rounds": cold,
            "calls_in_a_turn": _CALLS,
            "pause_seconds": _PAUSE_SECONDS,
            "seed": _SEED,
        },
        "rows": _rows(measured),
        "targets": _targets(measured),
    }
    if options.json is not None:
        options.json.write_text(_document(result), "utf-8")
    _print(result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two rounds: proves that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {_ROUNDS}")
    parser.add_argument(
        "--work", choices=[work.name for work in WORKLOADS], help="default: all of them"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result file")
    return parser


@contextlib.contextmanager
def _ready(works: Sequence[Workload]) -> Iterator[list[Ready]]:
    """All contenders, with everything made that a warm and a hot start presuppose."""
    with tempfile.TemporaryDirectory(prefix="starts-") as folder, contextlib.ExitStack() as stack:
        scratch = Path(folder)
        stack.callback(_make_removable, scratch)  # when nobody uses it any more
        cache = scratch / "cache"
        steps = [(work, contenders.supply(work, scratch, cache)) for work in works]
        yield [
            stack.enter_context(contenders.of_workload(work, step, scratch, cache))
            for work, step in steps
        ]


def _make_removable(scratch: Path) -> None:
    for path in scratch.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


def _measure(field: Sequence[Contender], *, rounds: int, cold_rounds: int) -> Measured:
    measured: Measured = defaultdict(dict)
    order = random.Random(_SEED)
    cold = {index * rounds // cold_rounds for index in range(cold_rounds)}
    for number in range(rounds):
        turns = [one for one in field if one.pace != "cold" or number in cold]
        for one in order.sample(turns, len(turns)):
            measured[one][number] = _turn(one)
        print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return measured


def _turn(one: Contender) -> list[float]:
    if one.pace in ("once", "cold"):
        time.sleep(_PAUSE_SECONDS)
        return [one.call()]
    calls = []
    for _ in range(_CALLS + 1):
        if one.pace == "paced":
            time.sleep(_PAUSE_SECONDS)
        calls.append(one.call())
    return calls[1:]


def _rows(measured: Measured) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for one, turns in measured.items():
        base = _base(measured, one, contenders.BARE)
        rows.append(
            {
                "work": one.work,
                "contender": one.name,
                "pace": one.pace,
                **figures.summary(turns),
                "ratio_to_bare": figures.median_ratio(turns, base),
                "samples_ms": [
                    [round(call * 1000, 3) for call in turns[number]] for number in sorted(turns)
                ],
            }
        )
    return sorted(rows, key=lambda row: (row["work"], row["pace"], row["median_ms"]))


def _base(measured: Measured, one: Contender, name: str) -> Mapping[int, list[float]]:
    """The turns of the named contender that go with one's: the same work, the same pace."""
    after_a_pause = {"once", "cold", "paced"}
    for other, turns in measured.items():
        is_named = other.name == name and other.work in ("", one.work)
        if is_named and (other.pace == one.pace or {other.pace, one.pace} <= after_a_pause):
            return turns
    raise KeyError(f"nobody called `{name}` has the pace of `{one.name}`")


def _targets(measured: Measured) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for title, name, base, limit in _TARGETS:
        for one, turns in measured.items():
            if one.name == name:
                ratio = figures.median_ratio(turns, _base(measured, one, base))
                found.append(
                    {
                        "target": f"{title}: at most {limit:g} x {base}",
                        "work": one.work,
                        "pace": one.pace,
                        "ratio": ratio,
                        "holds": ratio <= limit,
                    }
                )
    return found


def _document(result: Mapping[str, object]) -> str:
    """JSON with one line for each row, so that two results can be compared by eye."""
    parts = []
    for key, value in result.items():
        if isinstance(value, list):
            lines = ",\n".join("    " + json.dumps(row) for row in value)
            parts.append(f"  {json.dumps(key)}: [\n{lines}\n  ]")
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _print(result: Mapping[str, object]) -> None:
    from benchmarks import show  # the tables are its; it is not needed to measure

    print(show.tables(result))


if __name__ == "__main__":
    sys.exit(main())
