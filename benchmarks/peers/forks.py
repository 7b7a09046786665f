"""The least that forks: parked children of a server that has everything imported, one call each.

    python -m benchmarks.peers.forks MODULE FUNCTION INPUTS CHILDREN

What somebody would write by hand for speed alone: no wall, no limits, no captured output, no
deadline, no second process that says how the first one ended. A child reads one JSON document from
its socket, executes the step's module from code that is compiled already, checks every argument
and the result with typeguard, answers with one JSON document, and exits.
"""

import importlib
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from benchmarks.peers.checking import checked

_MOST_BYTES = 65536


class Server:
    """Children that wait for their one request, and as many requests under way as children."""

    def __init__(
        self, call: Callable[[Mapping[str, object]], object], request: bytes, children: int
    ) -> None:
        self._call, self._request = call, request
        self._parked = [self._fork() for _ in range(children)]

    def _fork(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            if request := theirs.recv(_MOST_BYTES):  # nothing: the server is gone
                theirs.sendall(orjson.dumps(self._call(orjson.loads(request))))
            os._exit(0)
        theirs.close()
        return pid, ours

    def run(self, calls: int) -> list[object]:
        """The values of so many calls; as many at once as there are children."""
        values: list[object] = []
        waiting: dict[socket.socket, int] = {}
        with selectors.DefaultSelector() as selector:
            asked = 0
            while len(values) < calls:
                while asked < calls and self._parked:
                    pid, line = self._parked.pop()
                    line.sendall(self._request)
                    waiting[line] = pid
                    selector.register(line, selectors.EVENT_READ, line)
                    asked += 1
                for key, _ in selector.select():
                    line = key.data
                    values.append(orjson.loads(line.recv(_MOST_BYTES)))
                    selector.unregister(line)
                    line.close()
                    os.waitpid(waiting.pop(line), 0)
                    self._parked.append(self._fork())
        return values


def main(module: str, function: str, inputs: str, children: str) -> None:
    """Serve until stdin ends."""
    file = importlib.import_module(module).__file__
    assert file is not None
    code = compile(Path(file).read_text("utf-8"), file, "exec")

    def call(arguments: Mapping[str, object]) -> object:
        return checked(code, function, arguments)

    call(json.loads(inputs))  # what is imported late is imported before anybody forks
    server = Server(call, orjson.dumps(json.loads(inputs)), int(children))
    for line in sys.stdin:
        started = time.perf_counter()
        values = server.run(int(line))
        seconds = time.perf_counter() - started
        print(json.dumps([seconds, sorted(set(values))]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
