"""A tap on system calls: a program runs, and what it asks of the kernel is seen, failed or fatal.

The kernel itself asks us (seccomp's user notification) before each call of the program and of all
that it starts, uv included. Nothing of the program is replaced, and no tool need be installed.

Rules of this file:

1. Only calls that change or lock something under one folder count. They are numbered from 1.
2. What cannot be had here (an unknown processor, a kernel without it) is `is_available() == False`.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orq_sandbox.confine import bpf
from orq_sandbox.confine.syscalls import NUMBERS

__all__ = ["Answer", "Call", "Judge", "Tapped", "is_available", "run"]

_NOTIFY = 0x7FC00000
_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_CONTINUE = 1
_NOTICE = struct.Struct("=QIIiIQ6Q")
_REPLY = struct.Struct("=QqiI")
_LONGEST_PATH = 4096
_O_CREAT, _O_WRITE, _O_TMPFILE = 0o100, 0o3, 0o20000000
_AT_FDCWD = -100

# name: where its arguments name files; `d` a folder's descriptor, `p` a path, `f` a descriptor
_SHAPES: Mapping[str, str] = {
    "open": "p",
    "openat": "dp",
    "creat": "p",
    "mkdir": "p",
    "mkdirat": "dp",
    "rmdir": "p",
    "unlink": "p",
    "unlinkat": "dp",
    "rename": "pp",
    "renameat": "dpdp",
    "renameat2": "dpdp",
    "link": "pp",
    "linkat": "dpdp",
    "symlink": ".p",
    "symlinkat": ".dp",
    "chmod": "p",
    "fchmod": "f",
    "fchmodat": "dp",
    "utimensat": "dp",
    "write": "f",
    "pwrite64": "f",
    "writev": "f",
    "ftruncate": "f",
    "fallocate": "f",
    "copy_file_range": "..f",
    "sendfile": "f",
    "fsync": "f",
    "fdatasync": "f",
    "syncfs": "f",
    "flock": "f",
}
_OPENS = {"open": 1, "openat": 2}

# argv: the socket to send the listener through, the filter in hex, the program and its words
_BOOT = """
import array, ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
program = bytes.fromhex(sys.argv[2])
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]
words = Program(len(program) // 8, program)
if libc.prctl(38, 1, 0, 0, 0) != 0:
    os._exit(99)
libc.syscall.restype = ctypes.c_long
with socket.socket(fileno=int(sys.argv[1])) as door:
    held = libc.syscall(ctypes.c_long(int(sys.argv[3])), ctypes.c_ulong(1), ctypes.c_ulong(8),
                        ctypes.byref(words))
    if held < 0:
        os._exit(99)
    door.sendmsg([b"l"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [held]))])
os.execv(sys.argv[4], sys.argv[4:])
"""


class Answer(enum.Enum):
    """What to do with a call other than to let it be made or to fail it with an errno."""

    PASS = "pass"
    KILL_CALLER = "kill its process"
    KILL_HOST = "kill the program that was started"
    PRETEND = "tell it that the call was made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that counts. `paths` are the files it is about, `content` what it writes."""

    number: int
    name: str
    pid: int
    paths: tuple[str, ...]
    arguments: tuple[int, ...]
    content: bytes


Judge = Callable[[Call], Answer | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tapped:
    """How the program ended (a negative status is a signal), what it said, how many calls counted.

    `fired` is how many of them were not simply made.
    """

    status: int
    said: str
    calls: int
    fired: int


def is_available() -> bool:
    """Whether this kernel and this place let a program be tapped."""
    if not NUMBERS:
        return False
    try:
        return run([sys.executable, "-I", "-c", ""], root=Path("/nowhere")).status == 0
    except OSError:
        return False


def run(
    argv: Sequence[str],
    *,
    root: Path,
    judge: Judge = lambda call: Answer.PASS,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_seconds: float = 240,
) -> Tapped:
    """Run a program to its end and ask `judge` about each call that counts. Blocks.

    Raises OSError where no program can be tapped.
    """
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as said:
        with theirs:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _BOOT),
                    *(str(theirs.fileno()), _filter().hex(), str(NUMBERS["seccomp"])),
                    *argv,
                ],
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        try:
            tap = _Tap(process, _received(ours), root, judge)
            with contextlib.closing(tap):
                tap.serve(time.monotonic() + timeout_seconds)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    return Tapped(status=process.returncode, said=text, calls=tap.calls, fired=tap.fired)


def _received(door: socket.socket) -> int:
    door.settimeout(30)
    message, descriptors, _, _ = socket.recv_fds(door, 1, 1)
    if not message or not descriptors:
        raise OSError(errno.ENOSYS, "system calls cannot be tapped here")
    return descriptors[0]


def _filter() -> bytes:
    verdicts: dict[int, bpf.Verdict] = {
        NUMBERS[name]: _NOTIFY for name in _SHAPES if name in NUMBERS
    }
    for name, index in _OPENS.items():
        if name in NUMBERS:
            bits = _O_CREAT | _O_WRITE | _O_TMPFILE
            verdicts[NUMBERS[name]] = bpf.when_bits(index, bits, _NOTIFY)
    return bpf.assemble(verdicts, bpf.ALLOW)


class _Tap:
    """The listener's side. Owns the listener."""

    def __init__(
        self, process: subprocess.Popen[bytes], listener: int, root: Path, judge: Judge
    ) -> None:
        self._process = process
        self._listener = listener
        self._root = f"{root}/"
        self._judge = judge
        self._names = {NUMBERS[name]: name for name in _SHAPES if name in NUMBERS}
        self.calls = 0
        self.fired = 0

    def close(self) -> None:
        """Let go: calls that nobody answers any more fail with ENOSYS."""
        os.close(self._listener)

    def serve(self, deadline: float) -> None:
        """Answer until the program has ended, and then those that it left behind."""
        ended = os.pidfd_open(self._process.pid)
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(ended, select.POLLIN)
        try:
            while time.monotonic() < deadline:
                ready = dict(poll.poll(1000))
                if ready.get(self._listener, 0) & select.POLLIN:
                    self._answer()
                elif ready.get(self._listener, 0) & select.POLLHUP:
                    poll.unregister(self._listener)
                elif ended in ready:
                    return
        finally:
            os.close(ended)
        raise TimeoutError("the tapped program did not end")

    def _answer(self) -> None:
        notice = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, notice)
        except OSError:  # its process died before we looked
            return
        identity, pid, _, number, _, _, *arguments = _NOTICE.unpack(notice)
        answer = self._judged(pid, self._names[number], tuple(arguments))
        if answer is not Answer.PASS:
            self.fired += 1
        if answer is Answer.KILL_HOST:
            self._process.kill()
        elif answer is Answer.KILL_CALLER:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        failure = -answer if isinstance(answer, int) else 0
        is_made = not failure and answer is not Answer.PRETEND
        reply = _REPLY.pack(identity, 0, failure, _CONTINUE if is_made else 0)
        with contextlib.suppress(OSError):  # its process was killed, by us or not
            fcntl.ioctl(self._listener, _SEND, reply)

    def _judged(self, pid: int, name: str, arguments: tuple[int, ...]) -> Answer | int:
        paths = _paths(pid, _SHAPES[name], arguments)
        if not any(f"{path}/".startswith(self._root) for path in paths):
            return Answer.PASS
        self.calls += 1
        content = b""
        if name == "write":
            content = _memory(pid, arguments[1], arguments[2])
        return self._judge(
            Call(
                number=self.calls,
                name=name,
                pid=pid,
                paths=paths,
                arguments=arguments,
                content=content,
            )
        )


def _paths(pid: int, shape: str, arguments: tuple[int, ...]) -> tuple[str, ...]:
    found: list[str] = []
    folder = _AT_FDCWD
    for letter, argument in zip(shape, arguments, strict=False):
        if letter == "d":
            folder = ctypes.c_int(argument & 0xFFFFFFFF).value
        elif letter == "f":
            found.append(_link(pid, f"fd/{argument & 0xFFFFFFFF}"))
        elif letter == "p":
            path = _memory(pid, argument, _LONGEST_PATH).partition(b"\0")[0]
            base = "cwd" if folder == _AT_FDCWD else f"fd/{folder}"
            found.append(str(Path(_link(pid, base)) / os.fsdecode(path)))
            folder = _AT_FDCWD
    return tuple(found)


def _link(pid: int, name: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return ""


def _memory(pid: int, address: int, size: int) -> bytes:
    """Bytes of a process; fewer where the next page is not its own."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            with contextlib.suppress(OSError):
                return memory.read(size)
            memory.seek(address)  # a path at the very end of a mapping
            return memory.read(min(size, 4096 - address % 4096))
    except (OSError, OverflowError):
        return b""
