"""Steps that misbehave, each in its own way: what they do must cost their own run only."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time


def sleeps_on(seconds: float = 600.0) -> None:
    time.sleep(seconds)


def ignores_sigterm() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print("deaf", end="")
    while True:
        time.sleep(600)


def stops_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def spins() -> None:
    while True:
        pass


def floods_stdout() -> None:
    while True:
        os.write(1, b"x" * 65536)


def floods_and_returns(count: int) -> int:
    for index in range(count):
        print("line", index)
    return count


def exits(status: int) -> None:
    os._exit(status)


def leaves(wish: object = None) -> None:
    sys.exit(wish)


def dies_of(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(600)


def closes_everything() -> int:
    os.closerange(0, 256)
    return 1


def closes_stdout() -> int:
    os.close(1)
    return 1


def writes_garbage() -> int:
    os.write(4, b"\xff" * 64)
    return 1


def answers_twice() -> int:
    os.write(4, b"\x03\x00\x00\x00\x1cJ" + b'{"timings":{},"value":666}'.ljust(27))
    return 1


def forges_a_failure() -> int:
    body = b'{"verdict":"timeout","message":"not yours to say"}'
    os.write(4, b"\x04" + len(body).to_bytes(4, "big") + body)
    time.sleep(600)
    return 1


def answers_and_crashes() -> int:
    def crash() -> None:
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGSEGV)

    threading.Thread(target=crash).start()
    return 7


def forges_an_answer_and_crashes() -> int:
    value = b'J{"timings":{},"usage":{"cpu_seconds":0.1,"peak_kib":1},"value":7}'
    os.write(4, b"\x03" + len(value).to_bytes(4, "big") + value)
    os.kill(os.getpid(), signal.SIGSEGV)
    return 7


def kills_its_init() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def makes_a_daemon(mark: str) -> bool:
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, b"1")
            os.execv("/bin/sh", ["sh", "-c", "sleep 600; true", mark])
        os._exit(0)
    os.read(reader, 1)
    return True


def leaves_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return 1


def leaves_a_process_on_stdout() -> int:
    subprocess.Popen(["sleep", "600"])
    return 1


def returns_large(size: int) -> str:
    return "x" * size


def replaces_stdout() -> int:
    vars(sys).update(stdout=None, stderr=object())
    return 1


def recurses() -> None:
    recurses()


def raises_strangely() -> None:
    class Strange(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    raise Strange


def raises_base() -> None:
    raise KeyboardInterrupt("mine")


def talks_to_the_request() -> int:
    socket.socket(fileno=3).close()
    return 1


def sees() -> dict:
    held = [int(name) for name in os.listdir("/proc/self/fd")]
    return {
        "descriptors": sorted(one for one in held if one < 64 and _is_open(one)),
        "environ": dict(os.environ),
        "guest_modules": sorted(name for name in sys.modules if "orq" in name),
        "path_has_guest": any("orq_sandbox" in os.listdir(p) for p in sys.path if os.path.isdir(p)),
        "argv": sys.argv,
        "cwd": os.getcwd(),
        "files": os.listdir("."),
    }


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
