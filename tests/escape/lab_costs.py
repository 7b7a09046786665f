"""What each stage of the wall costs, in us: `python -m tests.escape.lab_costs [MODE...]`."""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence

from tests.escape.lab_bench import MODES, Bench

_ZYGOTES = 9
_RUNS = 40
_STEP = "def step(x):\n    return LAPS\n"


def main(arguments: Sequence[str]) -> int:
    """One table for each mode."""
    for name in arguments or ["ns-root", "ns-user", "ll-user", "open"]:
        once: dict[str, list[float]] = defaultdict(list)
        each: dict[str, list[float]] = defaultdict(list)
        for _ in range(_ZYGOTES):
            with Bench(MODES[name]) as bench:
                once["(whole start, ms)"].append(bench.start_milliseconds)
                for stage, cost in bench.stages.items():
                    once[stage].append(cost)
                for _ in range(_RUNS):
                    ended = bench.run(_STEP)
                    laps = ended.value()
                    assert isinstance(laps, dict)
                    for stage, cost in laps.items():
                        each[stage].append(cost)
                    each["(request to end, ms)"].append(ended.milliseconds)
        for title, table in (("once per zygote", once), ("each run", each)):
            print(f"{name} {title}")
            for stage, costs in table.items():
                low = statistics.quantiles(costs, n=10)[0]
                print(f"  {stage:24} {statistics.median(costs):8.1f}  ({low:.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
