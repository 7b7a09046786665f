"""Whose child a descriptor is: by the kernel's word and, where there is none, by /proc."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from orq_runtime._run import offspring
from orq_runtime._run.offspring import Offspring

_PEER_PIDFD = 77  # SO_PEERPIDFD
_SHELLS = """
import os, sys
for _ in range(int(sys.argv[1])):
    if os.fork():
        os.wait()
        os._exit(0)
"""
_SAYS = "print(os.getpid(), flush=True)\nsys.stdin.read()\n"


@pytest.fixture(params=["ioctl", "proc"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "proc":
        monkeypatch.setattr(offspring, "_GET_INFO", 0xC040FFFF)


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """The pid of a child of ours, and that of its last descendant."""
    words = ["python3", "-I", "-S", "-c", _SHELLS + _SAYS, str(request.param)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.communicate()


@pytest.mark.parametrize("line", [1, 2, 3], indirect=True)
def test_a_descendant_is_known_by_its_line(line: tuple[int, int]) -> None:
    """As far down as shepherds stand between a zygote and us."""
    top, last = line
    descriptor = os.pidfd_open(last)
    try:
        assert last == Offspring(top).pid(descriptor)
    finally:
        os.close(descriptor)


def test_one_that_has_ended_has_no_id() -> None:
    """It cannot be killed any more, whoever's it was."""
    with subprocess.Popen(["true"]) as process:
        descriptor = os.pidfd_open(process.pid)
    try:
        assert 0 == Offspring(os.getpid()).pid(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("line", [5], indirect=True)
def test_others_are_none_of_its(line: tuple[int, int]) -> None:
    """This process itself, its parent, its peer on a socket, and one too far down."""
    top, last = line
    ours, theirs = socket.socketpair()
    with ours, theirs:
        held = [os.pidfd_open(pid) for pid in (os.getpid(), os.getppid(), last, top)]
        with contextlib.suppress(OSError):  # a kernel before 6.5
            held.append(struct.unpack("i", theirs.getsockopt(1, _PEER_PIDFD, 4))[0])
        try:
            for descriptor in held:
                with pytest.raises(ValueError, match="another's process"):
                    Offspring(top).pid(descriptor)
        finally:
            for descriptor in held:
                os.close(descriptor)


def test_what_is_no_process_is_said_to_be_none() -> None:
    """A pipe, a device, a name, a number that nobody has."""
    reader, writer = os.pipe()
    held = [reader, writer, os.open("/dev/zero", os.O_RDONLY), os.open("/", os.O_PATH)]
    try:
        for descriptor in (*held, 10**6):
            with pytest.raises(ValueError, match="no process"):
                Offspring(os.getpid()).pid(descriptor)
    finally:
        for descriptor in held:
            os.close(descriptor)
