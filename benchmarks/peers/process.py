"""`multiprocessing`: a process for each call, forked from its owner or from a fork server.

python -m benchmarks.peers.process MODULE FUNCTION INPUTS fork|forkserver
"""

import importlib
import json
import multiprocessing
import sys
from multiprocessing.connection import Connection

from benchmarks.peers.serving import serve


def answer(writer: Connection, module: str, function: str, inputs: dict[str, object]) -> None:
    """What the process of one call does."""
    writer.send(getattr(importlib.import_module(module), function)(**inputs))


def main(module: str, function: str, inputs: str, method: str) -> None:
    """Serve until stdin ends."""
    fork, server = multiprocessing.get_context("fork"), multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([module])
    context = fork if method == "fork" else server
    importlib.import_module(module)
    arguments = json.loads(inputs)

    def call() -> object:
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=answer, args=(writer, module, function, arguments))
        process.start()
        writer.close()
        value = reader.recv()
        process.join()
        reader.close()
        return value

    serve(call)


if __name__ == "__main__":
    main(*sys.argv[1:])
