"""In a mode: runs attacks through a real `Runtime`, as any host would, and says how each ended.

Orders on stdin: `tier`, `python`, `cache`, `find_links`, `open_files` and `processes` (how many the
host may have) and `attacks`: a list of `id`, `source`, `requirements`, `outputs`, `limits` and
whether it `needs_victim`. On stdout one JSON object: `outcomes` by id, the `isolation` that was in
force, and what was `left` on the host's disk after all.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orq_runtime import Limits, Outcome, Runtime, Step

__all__ = ["main"]

_AT_ONCE = 3
_STDOUT = 4096


def main() -> None:
    """Do as ordered."""
    orders = json.load(sys.stdin)
    if "open_files" in orders:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (orders["open_files"], hard))
    if "processes" in orders:
        resource.setrlimit(resource.RLIMIT_NPROC, (orders["processes"], orders["processes"]))
    home = Path.home()
    (home / "private").write_text("secret")
    with (
        contextlib.closing(socket.socket(socket.AF_UNIX)) as listener,
        Runtime(
            cache_dir=orders["cache"],
            isolation=orders["tier"],
            python=orders["python"],
            find_links=orders.get("find_links"),
            offline=True,
            concurrency=_AT_ONCE,
        ) as runtime,
    ):
        with contextlib.suppress(OSError):  # another host of the same machine has it: as good
            listener.bind("\0/orq-canary")
            listener.listen()
        first = runtime.run(Step(source="def f() -> int:\n    return 1\n", function="f"))
        with _victim() as victim:
            told = [victim, str(home)]
            runs = {
                attack["id"]: runtime.submit(
                    _step(attack),
                    {"x": told if attack.get("needs_victim") else None},
                    limits=_limits(attack.get("limits", {})),
                    check=False,
                )
                for attack in orders["attacks"]
            }
            outcomes = {name: _said(run.result()) for name, run in runs.items()}
    left = [str(path) for path in home.glob("orq-runtime-*/*/**/*")]
    json.dump({"isolation": first.isolation, "outcomes": outcomes, "left": left}, sys.stdout)


def _step(attack: Mapping[str, Any]) -> Step:
    return Step(
        source=attack["source"],
        function="step",
        requirements=attack.get("requirements", ()),
        outputs=attack.get("outputs", ()),
    )


def _limits(named: Mapping[str, object]) -> Limits:
    return Limits.from_json(
        {"wall_seconds": 20, "stdout_bytes": _STDOUT, "stderr_bytes": _STDOUT, **named}
    )


def _said(outcome: Outcome) -> dict[str, object]:
    document = outcome.to_json()
    return {name: document[name] for name in ("verdict", "value", "failure", "stdout", "stderr")}


@contextlib.contextmanager
def _victim() -> Iterator[int]:
    """A process of the user that the runs are, outside of all walls."""
    uid = _uid_of_guests()
    command = ["sleep", "600"]
    if uid != os.getuid():
        command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _uid_of_guests() -> int:
    """The host's name for the user of our own guests: root's are another's."""
    uids = {uid for pid in _below(os.getpid()) for uid in _uid(pid)} - {os.getuid()}
    return uids.pop() if uids else os.getuid()


def _uid(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):  # it has ended since
        status = Path(f"/proc/{pid}/status").read_text()
        yield int(status.partition("\nUid:")[2].split()[0])


def _below(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):  # it has ended since
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for word in (thread / "children").read_text().split():
                yield int(word)
                yield from _below(int(word))


if __name__ == "__main__":
    main()
