"""The long form of the fault methods: breaks supplies by the hundred and writes down what held.

Rules of this file:

1. Results go to `results.json`, method by method, with the seed, the machine and the date.
   scripts/make_reliability.py makes RELIABILITY.md from them and from nothing else.
2. The exit code is 0 only when every fault took place, nothing was broken, and all healed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.faults.campaign import METHODS, NEEDS
from tests.faults.process_faults import SEED
from tests.faults.trials import Tally

_RESULTS = Path(__file__).with_name("results.json")


def main(arguments: Sequence[str]) -> int:
    """Run the methods named, or all, in their long form; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="; ".join(METHODS))
    options = parser.parse_args(arguments)
    held = True
    for name in options.methods or METHODS:
        held &= _run(name)
    return 0 if held else 1


def _run(name: str) -> bool:
    if name in NEEDS and not NEEDS[name][0]():
        print(f"{name}: {NEEDS[name][1]}")
        return False
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as room:
        tally = METHODS[name](Path(room), is_long=True)
    seconds = round(time.monotonic() - begun, 1)
    print(f"{name}: {_sentence(tally)}, {seconds} s", *tally.reasons, sep="\n  ", flush=True)
    results = dict(_results())
    what = " ".join((METHODS[name].__doc__ or "").split())
    counted = {**asdict(tally), "reasons": list(tally.reasons)}
    results[name] = {"what": what, **counted, "seconds": seconds, **_here()}
    ordered = {key: results[key] for key in METHODS if key in results}
    _RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")
    return tally.broken == 0 and tally.injected == tally.fired == tally.healed > 0


def _sentence(tally: Tally) -> str:
    return (
        f"{tally.injected} injected, {tally.fired} fired, "
        f"{tally.broken} broken, {tally.healed} healed"
    )


def _here() -> dict[str, object]:
    import uv  # only what runs something needs its version

    version = Path(uv.__file__).parent.parent.glob("uv-*.dist-info")
    return {
        "seed": SEED,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "linux": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "uv": next((path.name.split("-")[1].removesuffix(".dist") for path in version), ""),
    }


def _results() -> Mapping[str, Mapping[str, object]]:
    found = json.loads(_RESULTS.read_text("utf-8")) if _RESULTS.exists() else {}
    assert isinstance(found, dict)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
