"""`isolate`: a process of a virtual environment of its own making, for each call.

    python -m benchmarks.peers.isolating MODULE FUNCTION INPUTS UV FOLDER REQUIREMENT...

The function travels by value, with cloudpickle, and checks its arguments there with typeguard.
"""

import importlib
import json
import os
import sys
from functools import partial
from pathlib import Path

from benchmarks.peers import checking
from benchmarks.peers.serving import serve


def main(module: str, function: str, inputs: str, uv: str, folder: str, *needed: str) -> None:
    """Make the environment, then serve until stdin ends."""
    os.environ["ISOLATE_UV_EXE"] = uv

    isolate = importlib.import_module("isolate")
    settings = importlib.import_module("isolate.backends.settings").IsolateSettings(
        cache_dir=Path(folder), serialization_method="cloudpickle", log_hook=_ignore
    )
    environment = isolate.prepare_environment(
        "virtualenv",
        requirements=["cloudpickle", "typeguard>=4", *needed],
        resolver="uv",
        compile_bytecode=True,
        context=settings,
    )
    source = Path(folder).with_name(f"{module}.py").read_text("utf-8")
    work = partial(checking.checked, source, function, json.loads(inputs))
    importlib.import_module("cloudpickle").register_pickle_by_value(checking)
    key = environment.create()

    def call() -> object:
        with environment.open_connection(key) as connection:
            return connection.run(work)

    serve(call)


def _ignore(_log: object) -> None:
    pass


if __name__ == "__main__":
    main(*sys.argv[1:])
