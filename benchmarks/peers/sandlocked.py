"""`sandlock`: an interpreter behind Landlock and seccomp, for each call.

    python -m benchmarks.peers.sandlocked INTERPRETER SCRIPT INPUTS FOLDER...

The script is the checked one. It may read the system's libraries and the folders named.
"""

import importlib
import json
import sys

from benchmarks.peers.serving import serve

_SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/dev")


def main(interpreter: str, script: str, inputs: str, *folders: str) -> None:
    """Serve until stdin ends."""
    sandbox = importlib.import_module("sandlock").Sandbox

    def call() -> object:
        result = sandbox(fs_readable=[*_SYSTEM, *folders]).run(
            [interpreter, "-I", script, inputs], timeout=60
        )
        if not result.success:
            raise RuntimeError(f"sandlock: {result.stderr!r}")
        return json.loads(result.stdout)

    serve(call)


if __name__ == "__main__":
    main(*sys.argv[1:])
