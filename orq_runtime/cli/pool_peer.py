"""The peer of the standard library: a process pool, timed inside the process that owns it.

Run by an interpreter of any environment, with the folder of the work's module on PYTHONPATH:

    python pool_peer.py MODULE FUNCTION INPUTS TASKS_PER_CHILD WORKERS

For each line on stdin, a number of calls, it makes them all at once and prints
`[seconds, the value or values that came]`. TASKS_PER_CHILD 0 means that a worker serves all calls.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

__all__ = ["main"]


def main(module: str, function: str, inputs: str, tasks_per_child: str, workers: str) -> None:
    """Serve until stdin ends."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])  # as our zygote, it has the packages imported
    call = getattr(importlib.import_module(module), function)
    arguments = json.loads(inputs)
    with ProcessPoolExecutor(
        int(workers), mp_context=context, max_tasks_per_child=int(tasks_per_child) or None
    ) as pool:
        for line in sys.stdin:
            started = time.perf_counter()
            futures = [pool.submit(call, **arguments) for _ in range(int(line))]
            values = [future.result() for future in futures]
            seconds = time.perf_counter() - started
            print(json.dumps([seconds, sorted(set(values))]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
