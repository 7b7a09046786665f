"""A host that dies at any moment leaves no process of its runs behind."""

from __future__ import annotations

import contextlib
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
import os, subprocess
def f(fifo, mark):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, b"1")
            os.execv("/bin/sh", ["sh", "-c", "sleep 600; true", mark])
        os._exit(0)
    os.read(reader, 1)
    with open(fifo, "w") as file:
        file.write("under way")
    subprocess.run(["sh", "-c", "sleep 600; true", mark])
''', function="f")
policy = orq.Policy(writable=[sys.argv[4]])
with orq.Runtime(
    cache_dir=sys.argv[1], start=sys.argv[2], isolation=sys.argv[3], policy=policy
) as runtime:
    runtime.run(step, {"fifo": sys.argv[4] + "/fifo", "mark": sys.argv[4]})
"""


def _started(tmp_path: Path, start: str, isolation: str) -> subprocess.Popen[bytes]:
    """A host whose run, with a daemon, is under way."""
    room = tmp_path / "room"
    room.mkdir(mode=0o777)
    os.mkfifo(room / "fifo")
    for path in (tmp_path, room, room / "fifo"):
        path.chmod(0o777)
    environ = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    words = [str(tmp_path / "cache"), start, isolation, str(room)]
    host = subprocess.Popen([sys.executable, "-c", _HOST, *words], env=environ)
    assert (room / "fifo").read_text() == "under way"
    return host


def _of_the_run(tmp_path: Path) -> list[int]:
    """Pidfds of all processes that name the test's folder on their command line."""
    held = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if str(tmp_path).encode() in (entry / "cmdline").read_bytes():
                    held.append(os.pidfd_open(int(entry.name)))
    return held


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["namespaces", "process"])
@pytest.mark.parametrize("start", ["zygote", "exec"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_host_leaves_nothing(
    tmp_path: Path, start: str, isolation: str, end: signal.Signals
) -> None:
    """After kill -9 of the host, step, init and a daemon of the step are dead within moments."""
    with _started(tmp_path, start, isolation) as host:
        held = _of_the_run(tmp_path)
        host.send_signal(end)
    try:
        assert len(held) >= 3
        for pidfd in held:
            assert select.select([pidfd], [], [], 20)[0], "a process outlived its host"
    finally:
        for pidfd in held:
            os.close(pidfd)


@pytest.mark.slow
def test_the_folders_of_a_killed_host_are_swept(tmp_path: Path) -> None:
    """What only a survivor can remove, the run's folder, goes when the next runtime starts."""
    with _started(tmp_path, "zygote", "process") as host:
        host.kill()
    runs = tmp_path / "tmp" / f"orq-runtime-{os.geteuid()}"
    left = list(runs.glob("*/guest-*/run-*"))

    script = (
        "import sys, orq_runtime as o\n"
        "with o.Runtime(cache_dir=sys.argv[1], isolation='process') as r:\n"
        "    r.run(o.Step(source='def f(): pass', function='f'))\n"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    subprocess.run([sys.executable, "-c", script, tmp_path / "cache"], check=True, env=environ)

    assert (1, []) == (len(left), list(runs.iterdir()))
