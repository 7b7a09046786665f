"""What a complete check costs, beside the least that could do it and beside typeguard alone.

    python -m benchmarks.checks [--quick] [--rounds N] [--json FILE]

Rules of this file:

1. Every contender has one turn of one call in each round, in an order shuffled anew; typeguard
   alone, which takes seconds, has a turn in every tenth round.
2. `least` is what somebody would write by hand for exactly this value. Targets are ratios to it.
3. A contender that does not accept the value ends the benchmark. A time never does.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import importlib.metadata
import json
import platform
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import typeguard

from benchmarks import figures, machine
from orq_sandbox import hints, typecheck

__all__ = ["main"]

_ROUNDS = 40
_SLOW_ROUNDS = 4
_SEED = 3
_INTS = 1_000_000
_DICTS = 10_000
_LEAST = "least"
_OURS = "orq"
_TYPEGUARD = "typeguard alone, all items"


class Movie(TypedDict):
    """Two keys that must be there, and one that need not."""

    title: str
    year: int
    note: NotRequired[str]


@dataclasses.dataclass
class Point:
    """Two fields."""

    x: int
    y: float


class Contender(NamedTuple):
    """One way of checking one value; `accepts` is asked with the clock running."""

    work: str
    name: str
    accepts: Callable[[], bool]


class Target(NamedTuple):
    """How many times the least a check may cost."""

    work: str
    limit: float


_TARGETS = (Target("a million ints", 2.0), Target("10,000 TypedDicts", 3.0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the result file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two rounds of little values")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {_ROUNDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result file")
    options = parser.parse_args(arguments)
    rounds = options.rounds or (2 if options.quick else _ROUNDS)
    before = machine.load_average()
    measured = _measure(list(_field(100 if options.quick else 1)), rounds)
    result = {
        "benchmark": "checks",
        "format": 1,
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "load_average": {"before": before, "after": machine.load_average()},
        "source": machine.source_version(),
        "versions": {
            "python": platform.python_version(),
            "typeguard": importlib.metadata.version("typeguard"),
        },
        "settings": {"rounds": rounds, "slow_rounds": min(rounds, _SLOW_ROUNDS), "seed": _SEED},
        "rows": _rows(measured),
        "targets": _targets(measured),
    }
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    _print(result)
    return 0


def _field(divisor: int) -> Iterator[Contender]:
    """All contenders, over values that are `divisor` times smaller than they are meant to be."""
    ints = list(range(_INTS // divisor))
    movies = [
        {"title": str(n), "year": n, **({"note": "x"} if n % 2 else {})}
        for n in range(_DICTS // divisor)
    ]
    points = [Point(n, n / 2) for n in range(_DICTS // divisor)]
    yield from _of("a million ints", list[int], ints, lambda: set(map(type, ints)) <= {int})
    yield from _of("10,000 TypedDicts", list[Movie], movies, lambda: _movies_by_hand(movies))
    yield from _of("10,000 dataclasses", list[Point], points, lambda: _points_by_hand(points))


def _of(
    work: str, annotation: object, value: object, least: Callable[[], bool]
) -> Iterator[Contender]:
    checker = typecheck.compile(annotation, hints.Scope(globals()))
    yield Contender(work, _LEAST, least)
    yield Contender(work, _OURS, lambda: checker.accepts(value))
    yield Contender(work, _TYPEGUARD, lambda: _by_typeguard(value, annotation))


# the items are what a caller sends: their types are what is being found out
def _movies_by_hand(movies: Sequence[Any]) -> bool:
    for movie in movies:
        if type(movie) is not dict or not {"title", "year"} <= movie.keys():
            return False
        for key, item in movie.items():
            if key == "year":
                if type(item) is not int:
                    return False
            elif key not in ("title", "note") or type(item) is not str:
                return False
    return True


def _points_by_hand(points: Sequence[Any]) -> bool:
    for point in points:
        if type(point) is not Point or type(point.x) is not int:
            return False
        if type(point.y) not in (float, int):
            return False
    return True


def _by_typeguard(value: object, annotation: object) -> bool:
    strategy = typeguard.CollectionCheckStrategy.ALL_ITEMS
    typeguard.check_type(value, annotation, collection_check_strategy=strategy)
    return True


def _measure(field: Sequence[Contender], rounds: int) -> dict[Contender, dict[int, list[float]]]:
    measured: dict[Contender, dict[int, list[float]]] = defaultdict(dict)
    order = random.Random(_SEED)
    slow = {index * rounds // _SLOW_ROUNDS for index in range(_SLOW_ROUNDS)}
    for number in range(rounds):
        turns = [one for one in field if one.name != _TYPEGUARD or number in slow]
        for one in order.sample(turns, len(turns)):
            started = time.perf_counter()
            is_accepted = one.accepts()
            measured[one][number] = [time.perf_counter() - started]
            if not is_accepted:
                raise AssertionError(f"`{one.name}` refuses the value of `{one.work}`")
    return measured


def _rows(measured: dict[Contender, dict[int, list[float]]]) -> list[dict[str, object]]:
    return [
        {
            "work": one.work,
            "contender": one.name,
            **figures.summary(turns),
            "ratio_to_least": figures.median_ratio(turns, _least(measured, one.work)),
            "samples_ms": [round(turns[number][0] * 1000, 3) for number in sorted(turns)],
        }
        for one, turns in measured.items()
    ]


def _least(measured: dict[Contender, dict[int, list[float]]], work: str) -> dict[int, list[float]]:
    return next(turns for one, turns in measured.items() if (one.work, one.name) == (work, _LEAST))


def _targets(measured: dict[Contender, dict[int, list[float]]]) -> list[dict[str, object]]:
    ratios = {
        row["work"]: row["ratio_to_least"] for row in _rows(measured) if row["contender"] == _OURS
    }
    found: list[dict[str, object]] = []
    for target in _TARGETS:
        ratio = ratios[target.work]
        assert isinstance(ratio, float)
        found.append(
            {
                "work": target.work,
                "limit": target.limit,
                "ratio": ratio,
                "holds": ratio <= target.limit,
            }
        )
    return found


def _print(result: dict[str, Any]) -> None:
    for row in sorted(result["rows"], key=lambda row: (row["work"], row["median_ms"])):
        print(
            f"{row['work']:<20} {row['contender']:<28} {row['n']:>3} x "
            f"{row['median_ms']:>9.2f} ms   {row['ratio_to_least']:>8.2f} x least"
        )
    for target in result["targets"]:
        word = "holds" if target["holds"] else "is missed"
        print(
            f"{target['work']}: at most {target['limit']:g} x least, {target['ratio']:.2f}: {word}"
        )


if __name__ == "__main__":
    sys.exit(main())
