"""What large values cost: from 1 B to 100 MB into a step and back, against a warm memcpy.

    python -m benchmarks.payload [--quick] [--rounds N] [--json FILE]

Needs numpy here, and for the step's environment from an index. Rules of this file:

1. Every contender has one turn in each round, in an order shuffled anew; `bare` is a copy of as
   many bytes into memory that was touched before, and for the JSON document orjson alone, which
   writes and reads it twice.
2. A view that nobody looks at costs nothing: `and read` touches each page of what came back.
3. Each answer is checked, outside of what is timed. A time never fails this benchmark.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

import orq_runtime as orq
from benchmarks import figures, machine, show

__all__ = ["main"]

_ROUNDS = 15
_SEED = 3
_PACE = "back to back"
_SIZES = {
    "1 B": 1,
    "1 kB": 1000,
    "64 KiB": 1 << 16,
    "1 MB": 10**6,
    "10 MB": 10**7,
    "100 MB": 10**8,
}
_QUICK = ("1 B", "1 MB")
_JSON = "50 MB of JSON"
_TARGETS = {("100 MB", "float64 in and out"): 6.0, (_JSON, "in and out"): 1.3}
_SOURCE = """
import numpy

def length(value: bytes) -> int:
    return len(value)

def same(value: bytes) -> bytes:
    return value

def count(value: numpy.ndarray) -> int:
    return value.size

def same_array(value: numpy.ndarray) -> numpy.ndarray:
    return value

def anything(value):
    return value
"""
_LIMITS = orq.Limits(result_bytes=1 << 28, memory_bytes=4 << 30)

# a contender's turn: seconds
Turn = Callable[[], float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the result file if named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two rounds: proves that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {_ROUNDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result file")
    options = parser.parse_args(arguments)
    rounds = options.rounds or (2 if options.quick else _ROUNDS)
    before = machine.load_average()
    with tempfile.TemporaryDirectory(prefix="payload-", ignore_cleanup_errors=True) as folder:
        cache = Path(folder)
        cache.chmod(0o755)
        with orq.Runtime(cache_dir=cache, limits=_LIMITS) as runtime:
            environment = runtime.supply(_step("same"))
            rows = [
                row
                for work in (_QUICK if options.quick else _SIZES)
                for row in _measured(work, _blobs(runtime, _SIZES[work]), rounds)
            ]
            items = 1000 if options.quick else 400_000
            rows += _measured(_JSON, _documents(runtime, items), rounds)
            isolation = runtime.run(_step("length"), {"value": b"x"}).isolation
    result = {
        "benchmark": "payload",
        "format": 1,
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "load_average": {"before": before, "after": machine.load_average()},
        "source": machine.source_version(),
        "isolation": isolation,
        "versions": {**machine.versions([environment]), "numpy here": np.__version__},
        "settings": {"rounds": rounds, "seed": _SEED},
        "targets": _targets(rows),
        "rows": rows,
    }
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(show.tables(result))
    return 0


def _step(function: str) -> orq.Step:
    return orq.Step(source=_SOURCE, function=function, requirements=["numpy"])


def _blobs(runtime: orq.Runtime, size: int) -> Mapping[str, Turn]:
    content = random.Random(_SEED).randbytes(size)
    array = np.random.default_rng(_SEED).random(size // 8)
    target = memoryview(
        bytearray(content)
    )  # assigned to, a bytearray makes a copy before it copies
    found = {
        "bare": lambda: _copied(target, content),
        "bytes in": lambda: _ran(runtime, "length", content, lambda value: value == size),
        "bytes in and out": lambda: _ran(
            runtime, "same", content, lambda value: _is(value, content)
        ),
    }
    if size >= 1000:
        found["float64 in"] = lambda: _ran(
            runtime, "count", array, lambda value: value == array.size
        )
        found["float64 in and out"] = lambda: _ran(
            runtime, "same_array", array, lambda value: np.array_equal(array, value)
        )
        found["float64 in and out, and read"] = lambda: _ran(
            runtime, "same_array", array, lambda value: np.array_equal(array, value), reads=True
        )
    return found


def _is(value: object, content: bytes) -> bool:
    return value == content if isinstance(value, orq.Blob) else isinstance(value, str)


def _documents(runtime: orq.Runtime, items: int) -> Mapping[str, Turn]:
    """A list of small objects."""
    draw = random.Random(_SEED)
    document = [
        {
            "id": n,
            "name": f"item {n}",
            "score": draw.random(),
            "tags": ["a", "b", str(n)],
            "weights": [draw.random() for _ in range(2)],
        }
        for n in range(items)
    ]
    return {
        "bare": lambda: _alone(document),
        "in and out": lambda: _ran(runtime, "anything", document, lambda value: value == document),
    }


def _alone(document: object) -> float:
    before = time.perf_counter()
    made = orjson.loads(orjson.dumps(orjson.loads(orjson.dumps(document))))
    seconds = time.perf_counter() - before
    if made != document:
        raise AssertionError("not the document")
    return seconds


def _copied(target: memoryview, content: bytes) -> float:
    before = time.perf_counter()
    target[:] = content
    return time.perf_counter() - before


def _ran(
    runtime: orq.Runtime,
    function: str,
    value: object,
    is_right: Callable[[Any], bool],
    *,
    reads: bool = False,
) -> float:
    step = _step(function)
    before = time.perf_counter()
    outcome = runtime.run(step, {"value": value})
    if reads and isinstance(outcome.value, np.ndarray):
        outcome.value[::512].sum()
    seconds = time.perf_counter() - before
    if not is_right(outcome.value):
        raise AssertionError(f"not what it was: {function}")
    return seconds


def _measured(work: str, field: Mapping[str, Turn], rounds: int) -> list[dict[str, Any]]:
    order = random.Random(_SEED)
    turns: dict[str, dict[int, list[float]]] = {name: {} for name in field}
    for number in range(-1, rounds):  # the first warms everything up
        for name in order.sample([*field], len(field)):
            seconds = field[name]()
            if number >= 0:
                turns[name][number] = [seconds]
    return [
        {
            "work": work,
            "contender": name,
            "pace": _PACE,
            **figures.summary(found),
            "ratio_to_bare": figures.median_ratio(found, turns["bare"]),
            "samples_ms": [[round(s * 1000, 4) for s in turn] for turn in found.values()],
        }
        for name, found in turns.items()
    ]


def _targets(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    return [
        {
            "target": f"{row['contender']}: at most {_TARGETS[key]:g} x bare",
            "work": row["work"],
            "pace": _PACE,
            "ratio": row["ratio_to_bare"],
            "holds": row["ratio_to_bare"] <= _TARGETS[key],
        }
        for row in rows
        if (key := (row["work"], row["contender"])) in _TARGETS
    ]


if __name__ == "__main__":
    sys.exit(main())
