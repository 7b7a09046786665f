"""The peer of the standard library: a process pool, timed inside the process that owns it.

Run by the interpreter of an environment, with the work's folder on PYTHONPATH:

    python pool_peer.py MODULE FUNCTION INPUTS TASKS_PER_CHILD

For each line on stdin it makes one call and prints `[seconds, value]`. TASKS_PER_CHILD 0 means that
the one worker serves all calls.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor


def main(module: str, function: str, inputs: str, tasks_per_child: str) -> None:
    """Serve until stdin ends."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])  # as our zygote, it has the packages imported
    call = getattr(importlib.import_module(module), function)
    arguments = json.loads(inputs)
    with ProcessPoolExecutor(
        1, mp_context=context, max_tasks_per_child=int(tasks_per_child) or None
    ) as pool:
        for _ in sys.stdin:
            started = time.perf_counter()
            value = pool.submit(call, **arguments).result()
            seconds = time.perf_counter() - started
            print(json.dumps([seconds, value]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
