"""`pydantic-monty`: an interpreter of a part of Python, in worker processes that it keeps.

    python -m benchmarks.peers.monty CHECKOUTS_PER_WORKER INPUTS

It imports no distributions, so the work is the same function without its dependency, and it checks
no arguments at run time. 0 checkouts mean that a worker is used again and again.
"""

import importlib
import json
import sys

from benchmarks.peers.serving import serve

_CODE = """
def total(factor: int, numbers: list[int]) -> int:
    return int(f"{factor * sum(numbers):,}".replace(",", ""))

total(factor, numbers)
"""


def main(checkouts: str, inputs: str) -> None:
    """Serve until stdin ends."""
    monty = importlib.import_module("pydantic_monty").Monty
    arguments = json.loads(inputs)
    keeps = {"max_checkouts_per_worker": int(checkouts) or None, "min_processes": 2}
    with monty(**keeps) as pool:

        def call() -> object:
            with pool.checkout() as session:
                return session.feed_run(_CODE, inputs=arguments)

        serve(call)


if __name__ == "__main__":
    main(*sys.argv[1:])
