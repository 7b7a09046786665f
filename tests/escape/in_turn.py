"""In a mode: runs that leave something behind, each followed by some that look for it.

Orders on stdin: `tier`, `python`, `cache`, `find_links`, `attacks` (sources by name),
`preloaded`, distributions that all of them import, and `apart`, whether each attack has a runtime
of its own. On stdout one JSON object: what was seen at `first`, what each attack said (`done`),
what was seen after it (`seen`), and how many of those runs had an init that had served
(`followed`).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from orq_runtime import Limits, Runtime, Step
from tests.escape.following import LOOK

__all__ = ["main"]

_LOOKS = 3  # there may be a child of another init as well
_LIMITS = Limits(wall_seconds=20, processes=64, tmp_bytes=32 << 20)


def main() -> None:
    """Do as ordered."""
    orders = json.load(sys.stdin)
    attacks = list(orders["attacks"].items())
    groups = [[attack] for attack in attacks] if orders["apart"] else [attacks]
    said: dict[str, Any] = {"done": {}, "seen": {}, "followed": {}}
    for group in groups:
        _run_all(orders, dict(group), said)
    json.dump(said, sys.stdout)


def _run_all(orders: dict[str, Any], attacks: dict[str, str], said: dict[str, Any]) -> None:
    def run(source: str) -> Any:  # Any: whatever the step returned
        source = "".join(f"import {name}\n" for name in orders["preloaded"]) + source
        step = Step(source=source, function="step", requirements=orders["preloaded"])
        outcome = runtime.run(step, {"x": None}, limits=_LIMITS, check=False)
        return outcome.value if outcome.ok else str(outcome.failure)

    with Runtime(
        cache_dir=orders["cache"],
        isolation=orders["tier"],
        python=orders["python"],
        find_links=orders["find_links"],
        offline=True,
        spares=1,
    ) as runtime:
        said["first"] = run(LOOK)
        for name, source in attacks.items():
            said["done"][name] = run(source)
            before = runtime.stats().followed
            said["seen"][name] = [run(LOOK) for _ in range(_LOOKS)]
            said["followed"][name] = runtime.stats().followed - before


if __name__ == "__main__":
    main()
