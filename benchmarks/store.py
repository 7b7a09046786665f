"""Whether a hit costs more in a store of ten thousand environments than in one of ten.

    python -m benchmarks.store [--quick] [--rounds N] [--json FILE]

Rules of this file:

1. Both stores have the same real environment. The others in them have the same shape (a manifest, a
   lock, a memo, a mark of use, two lock files, a few files each) and are never asked for.
2. Both have one turn in each round, in an order that is shuffled anew. A fresh hit makes a new
   supplier for each call, which remembers nothing, and takes and ends a lease.
3. A wrong answer ends the benchmark; a time never does.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import hashlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import figures, machine, show
from orq_runtime import Environment, Runtime, settings
from orq_runtime._supply import Supplier
from orq_runtime._supply.store import Store
from orq_runtime.model.environment import SupplyRequest

__all__ = ["main"]

_ROUNDS = 40
_CALLS = 20
_SEED = 6
_SIZES = (10, 10_000)
_TARGET = 1.2

Turn = Callable[[], list[float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the rows, write the result file if one is named."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (2 if options.quick else _ROUNDS)
    sizes = (10, 100) if options.quick else _SIZES
    small, large = sizes
    before = machine.load_average()
    with contextlib.ExitStack() as stack:
        stocked = {size: stack.enter_context(_stocked(size)) for size in sizes}
        field = {
            (name, size): turn
            for size, (_, turns) in stocked.items()
            for name, turn in turns.items()
        }
        measured = _measure(field, rounds)
    kinds = dict.fromkeys(name for name, _ in field)
    result = {
        "benchmark": "store",
        "format": 1,
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe_machine(),
        "load_average": {"before": before, "after": machine.load_average()},
        "source": machine.source_version(),
        "versions": machine.versions([stocked[small][0]]),
        "settings": {"rounds": rounds, "calls_in_a_turn": _CALLS, "sizes": sizes, "seed": _SEED},
        "targets": [_target(measured, name, small, large) for name in kinds],
        "rows": [
            {
                "work": "a store of many environments",
                "contender": f"{name}, {size:,} environments",
                "pace": "back to back",
                **figures.summary(turns),
                "ratio_to_bare": figures.median_ratio(turns, measured[name, small]),
                "samples_ms": [[round(s * 1000, 4) for s in turn] for turn in turns.values()],
            }
            for (name, size), turns in measured.items()
        ],
    }
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(show.tables(result))
    return 0


def _target(
    measured: Mapping[tuple[str, int], figures.Turns], name: str, small: int, large: int
) -> dict[str, object]:
    ratio = figures.median_ratio(measured[name, large], measured[name, small])
    return {
        "target": f"{large:,} environments over {small}, at most {_TARGET:g}",
        "work": name,
        "pace": "back to back",
        "ratio": ratio,
        "holds": ratio <= _TARGET,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two rounds, 100 environments")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {_ROUNDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result file")
    return parser


@contextlib.contextmanager
def _stocked(size: int) -> Iterator[tuple[Environment, Mapping[str, Turn]]]:
    """A store of that many environments, one of them real, and how a hit in it is timed."""
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        component, cache = Path(folder) / "component", Path(folder) / "cache"
        component.mkdir()
        (component / "requirements.txt").write_text("# needs nothing\n", "utf-8")
        with Runtime(cache_dir=cache) as runtime:
            environment = runtime.supply(component)
            store = Store(cache)
            for number in range(size - 1):
                _stock(store, environment, hashlib.sha1(str(number).encode()).hexdigest())
            yield environment, _turns(runtime, component, cache, environment)
        for path in cache.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)


def _stock(store: Store, real: Environment, key: str) -> None:
    """One more environment, of the shape of the real one."""
    path = store.environments / key
    (path / "lib" / "package").mkdir(parents=True)
    for name in ("orq.json", "files.json", "pyvenv.cfg"):
        (path / name).write_bytes((real.path / name).read_bytes())
    (path / "lib" / "package" / "__init__.py").touch()
    for folder in (store.locks, store.memos):
        folder.mkdir(exist_ok=True)
        (folder / f"{key}.json").write_bytes((real.path / "orq.json").read_bytes())
    store.touch(key)
    for guard in (store.guard("environment", key), store.maker_guard("environment", key)):
        guard.touch()


def _turns(
    runtime: Runtime, component: Path, cache: Path, environment: Environment
) -> Mapping[str, Turn]:
    def hit() -> None:
        found = runtime.supply(component)
        if (found.key, found.origin) != (environment.key, "hit"):
            raise AssertionError("the store did not answer")

    loaded = settings.load(cache_dir=str(cache))

    def fresh_hit() -> None:
        supplier = Supplier(settings=loaded)
        request = SupplyRequest(components=(supplier.component(component),))
        found = supplier.supply(request)
        with supplier.lease(found):
            if (found.key, found.origin) != (environment.key, "hit"):
                raise AssertionError("the store did not answer")

    time.sleep(3.2)  # until its declarations are too old to be read again: a stamp is settled
    hit()
    return {"hit": lambda: _timed(hit), "fresh hit and lease": lambda: _timed(fresh_hit)}


def _timed(call: Callable[[], None]) -> list[float]:
    seconds = []
    for _ in range(_CALLS):
        before = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - before)
    return seconds


def _measure(
    field: Mapping[tuple[str, int], Turn], rounds: int
) -> dict[tuple[str, int], dict[int, list[float]]]:
    measured: dict[tuple[str, int], dict[int, list[float]]] = {one: {} for one in field}
    order = random.Random(_SEED)
    for number in range(rounds):
        for one in order.sample([*field], len(field)):
            measured[one][number] = field[one]()
    return measured


if __name__ == "__main__":
    sys.exit(main())
