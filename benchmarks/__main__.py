"""Every benchmark, one after another, and what it took.

    python -m benchmarks [--quick] [--only NAME ...] [--results FOLDER]

Nothing else should run meanwhile. Each benchmark is a process of its own; one that fails (a peer
could not be had, a value was wrong: it said so) is named at the end, and fails the whole.
A result takes the place of the one before; then tables and plots are made. `--quick` proves that
all of them work, and publishes nothing.
"""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import show

__all__ = ["NAMES", "main"]

_FOLDER = Path(__file__).resolve().parent

NAMES = (
    *("starts", "throughput", "burst", "heap", "memory", "gates", "wall"),
    *("payload", "checks", "store", "supply_hit", "cold"),
)

_FEWER = {"cold": ("--rounds", "6")}
"""Of a benchmark whose own number of rounds takes longer than all others together."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; 1 when any failed. A goal that is missed fails nothing."""
    options = _parser().parse_args(arguments)
    names = [name for name in NAMES if options.only is None or name in options.only]
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        results = Path(folder) if options.quick else options.results
        took = {name: _run(name, results, is_quick=options.quick) for name in names}
        print(show.goals(results))
    if not options.quick:
        show.main([])
    for name, (status, seconds) in took.items():
        print(f"{name:<12} {seconds:4.0f} s   {'FAILED' if status else 'ok'}")
    print(f"{'in all':<12} {sum(seconds for _, seconds in took.values()):4.0f} s")
    return 1 if any(status for status, _ in took.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few rounds, nothing published")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help="default: all")
    parser.add_argument("--results", type=Path, default=_FOLDER / "results", metavar="FOLDER")
    return parser


def _run(name: str, results: Path, *, is_quick: bool) -> tuple[int, float]:
    """The exit status of a benchmark, and its seconds. A result takes its predecessor's place."""
    file = results / f"{name}-{dt.datetime.now(dt.UTC).date()}.json"
    fresh = file.with_suffix(".new")
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(fresh)]
    command += ["--quick"] if is_quick else _FEWER.get(name, ())
    started = time.monotonic()
    status = subprocess.run(command, cwd=_FOLDER.parent, check=False).returncode
    seconds = time.monotonic() - started
    print(f"== {name}: {'failed' if status else 'ok'}, {seconds:.0f} s\n", flush=True)
    if status:
        fresh.unlink(missing_ok=True)
    else:
        for old in results.glob(f"{name}-*.json"):
            old.unlink()
        fresh.rename(file)
    return status, seconds


if __name__ == "__main__":
    sys.exit(main())
