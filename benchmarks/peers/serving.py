"""How a peer is asked: a number of calls on a line, how long they took and what they gave back.

It is run beside the peer's own program, by the peer's interpreter, and imports little.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_AT_ONCE = 8


def serve(call: Callable[[], object]) -> None:
    """Answer each line with `[seconds, values]`; several calls are made eight at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for line in sys.stdin:
            calls = int(line)
            started = time.perf_counter()
            values = [call()] if calls == 1 else list(threads.map(lambda _: call(), range(calls)))
            seconds = time.perf_counter() - started
            print(json.dumps([seconds, sorted(set(values))]), flush=True)
