"""A host that dies at any moment leaves no process of its runs behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_HOST = """
import sys
import orq_runtime as orq
step = orq.Step(source='''
import os, time
def f(fifo, child):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(child, "w") as file:
                file.write(str(os.getpid()))
            time.sleep(600)
        os._exit(0)
    os.wait()
    with open(fifo, "w") as file:
        file.write(f"{os.getpid()} {os.getppid()}")
    time.sleep(600)
''', function="f")
with orq.Runtime(cache_dir=sys.argv[1], start=sys.argv[2]) as runtime:
    runtime.run(step, {"fifo": sys.argv[3], "child": sys.argv[4]})
"""


@pytest.mark.slow
@pytest.mark.parametrize("start", ["zygote", "exec"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_host_leaves_nothing(tmp_path: Path, start: str, end: signal.Signals) -> None:
    """After kill -9 of the host, step, init and a daemon of the step are dead within moments."""
    step_fifo, daemon_fifo = tmp_path / "step", tmp_path / "daemon"
    for fifo in (step_fifo, daemon_fifo):
        os.mkfifo(fifo)
    cache = tmp_path / "cache"
    words = [str(cache), start, str(step_fifo), str(daemon_fifo)]
    with subprocess.Popen([sys.executable, "-c", _HOST, *words]) as host:
        daemon = int(daemon_fifo.read_text())
        step, init = map(int, step_fifo.read_text().split())
        held = [os.pidfd_open(pid) for pid in (step, init, daemon)]
        host.send_signal(end)
    try:
        for pidfd in held:
            assert select.select([pidfd], [], [], 20)[0], "a process outlived its host"
    finally:
        for pidfd in held:
            os.close(pidfd)


@pytest.mark.slow
def test_the_folders_of_a_killed_host_are_swept(tmp_path: Path) -> None:
    """What only a survivor can remove, the run's folder, goes when the next runtime starts."""
    fifo, daemon = tmp_path / "fifo", tmp_path / "daemon"
    for path in (fifo, daemon):
        os.mkfifo(path)
    cache = tmp_path / "cache"
    words = [str(cache), "zygote", str(fifo), str(daemon)]
    with subprocess.Popen([sys.executable, "-c", _HOST, *words]) as host:
        daemon.read_text()
        fifo.read_text()
        host.kill()
    left = list((cache / "runs").glob("*/run-*"))

    script = (
        "import sys, orq_runtime as o\n"
        "with o.Runtime(cache_dir=sys.argv[1]) as r:\n"
        "    r.run(o.Step(source='def f(): pass', function='f'))\n"
    )
    subprocess.run([sys.executable, "-c", script, cache], check=True)

    assert (1, []) == (len(left), list((cache / "runs").iterdir()))
