"""In a mode: starts a host, has it killed when its guests are at their worst, says what is left.

Orders on stdin: `tier`, `python`, `cache`, `find_links`, `kind` (`zygote`, `exec`, `cli` or
`supply`), `signal` and a `name` that no other process bears. On stdout one JSON object: how many
processes there `were`, how many `outlived` their host, the `seconds` until the last was dead, the
host's `status`, and the `folders` and `groups` that a next host did not sweep; `swept` is how many
groups it found.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["main"]

_PATIENCE_SECONDS = 60
_WORST = r"""
import ctypes, os, signal, time
def be_bad():
    for number in range(1, 32):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    for kind in ("daemon", "stopped", "child"):
        if os.fork() == 0:
            if kind == "daemon":
                try: os.setsid()
                except OSError: pass
                if os.fork(): os._exit(0)
            ctypes.CDLL(None).prctl(15, b"NAME", 0, 0, 0)
            if kind == "stopped": os.kill(os.getpid(), signal.SIGSTOP)
            while True: time.sleep(600)
    ctypes.CDLL(None).prctl(15, b"NAME", 0, 0, 0)
    while True: time.sleep(600)
"""
_BACKEND = "\nbe_bad()\n"
_PROJECT = """
[project]
name = "worst"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
_LIBRARY = """
import json, sys
import orq_runtime as orq
o = json.loads(sys.argv[1])
step = orq.Step(file=o["file"], function="be_bad", requirements=o["needs"])
with orq.Runtime(cache_dir=o["cache"], isolation=o["tier"], python=o["python"], offline=True,
                 find_links=o.get("find_links"), start=o["start"]) as runtime:
    runtime.run(step)
"""
_SUPPLY = """
import json, sys
import orq_runtime as orq
o = json.loads(sys.argv[1])
with orq.Runtime(cache_dir=o["cache"], isolation=o["tier"], python=o["python"], offline=True) as r:
    r.supply(o["component"])
"""
_NEXT = """
import json, sys
import orq_runtime as orq
o = json.loads(sys.argv[1])
with orq.Runtime(cache_dir=o["cache"], isolation=o["tier"], python=o["python"], offline=True) as r:
    assert r.run(orq.Step(source="def f() -> int:\\n    return 1\\n", function="f")).value == 1
"""


def main() -> None:
    """Do as ordered."""
    orders = json.load(sys.stdin)
    name = orders["name"]
    worst = _WORST.replace("NAME", name)
    file = Path.home() / "worst.py"
    file.write_text(worst)
    component = Path.home() / "component"
    component.mkdir()
    (component / "pyproject.toml").write_text(_PROJECT)
    (component / "backend.py").write_text(worst + _BACKEND)
    for path in (file, component, *component.iterdir()):
        path.chmod(0o755)
    orders |= {"file": str(file), "component": str(component), "start": "zygote", "needs": []}
    json.dump(_killed(orders, name), sys.stdout)


def _killed(orders: dict[str, Any], name: str) -> dict[str, object]:
    with subprocess.Popen(
        _command(orders),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as host:
        found = _at_their_worst(host, name)
        held = [os.pidfd_open(pid) for pid in found]
        begun = time.monotonic()
        os.kill(host.pid, orders["signal"])
        status = host.wait(_PATIENCE_SECONDS)
    end = begun + _PATIENCE_SECONDS
    alive = [fd for fd in held if not _is_over(fd, end)]
    seconds = time.monotonic() - begun
    swept = len(list(_groups(host.pid)))
    subprocess.run([sys.executable, "-c", _NEXT, json.dumps(orders)], check=True)
    return {
        "were": len(held),
        "outlived": len(alive),
        "seconds": seconds,
        "status": status,
        "folders": [str(path) for path in Path.home().glob("orq-runtime-*/*")],
        "swept": swept,
        "groups": [str(path) for path in _groups(host.pid)],
    }


def _command(orders: dict[str, Any]) -> list[str]:
    kind = orders["kind"]
    if kind == "cli":
        words = ["run", f"{orders['file']}:be_bad", "--isolation", orders["tier"], "--offline"]
        words += ["--cache-dir", orders["cache"], "--python", orders["python"], "-q"]
        return [sys.executable, "-m", "orq_runtime", *words]
    if kind == "supply":
        return [sys.executable, "-c", _SUPPLY, json.dumps(orders)]
    orders["start"] = kind
    orders["needs"] = orders.get("requirements", [])
    return [sys.executable, "-c", _LIBRARY, json.dumps(orders)]


def _at_their_worst(host: subprocess.Popen[bytes], name: str) -> list[int]:
    """All descendants of the host, once its guests have forked all that they want to."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and host.poll() is None:
        table = dict(_processes())
        if sum(said == name for _, said in table.values()) >= 4:
            return list(_below(host.pid, table))
        select.select([], [], [], 0.02)  # behind a wall nobody can tell us
    raise RuntimeError(f"the host's guests never were at their worst: {host.poll()}")


def _processes() -> Iterator[tuple[int, tuple[int, str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                said, _, fields = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                yield int(entry.name), (int(fields.split()[1]), said)


def _below(top: int, table: Mapping[int, tuple[int, str]]) -> Iterator[int]:
    for pid, (parent, _) in table.items():
        if parent == top:
            yield pid
            yield from _below(pid, table)


def _is_over(pidfd: int, end: float) -> bool:
    return bool(select.select([pidfd], [], [], max(0.0, end - time.monotonic()))[0])


def _groups(host: int) -> Iterator[Path]:
    """The folders of a host's runs in any hierarchy of groups."""
    for folder, names, _ in os.walk("/sys/fs/cgroup"):  # others' come and go meanwhile
        for name in names:
            if name.startswith(f"run-{host}-"):
                yield Path(folder, name)


if __name__ == "__main__":
    main()
