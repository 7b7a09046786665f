"""Guest processes: started in a clean environment, given their orders over a socket of their own.

Rules of this file:

1. A guest that was started has run nothing but its interpreter and our bundle; it waits for its
   orders, and ends when the socket closes instead. So it may be started before it is known for
   what: by then its imports are behind it.
2. Whoever imports this module to start a guest early has imported little (start-up budget).
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from orq_runtime._run.rights import send_rights
from orq_runtime.errors import NeverStarted

__all__ = ["GUEST_VARIABLES", "Guests", "start_guest"]

GUEST_VARIABLES: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
"""All that a guest's environment holds before the run's own variables."""

_ORDER_SECONDS: Final = 30.0


class _Waiting(NamedTuple):
    process: subprocess.Popen[bytes]
    orders: socket.socket


class Guests:
    """Starts guests, some of them ahead. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead: dict[tuple[Path, Path], _Waiting] = {}
        self._used: set[tuple[Path, Path]] = set()
        self._is_closed = False

    def start_ahead(self, python: Path, bundle: Path) -> None:
        """Have a guest wait for its orders, if none does; one that cannot start is not missed."""
        with self._lock, contextlib.suppress(NeverStarted):
            if not self._is_closed and (python, bundle) not in self._ahead:
                self._ahead[python, bundle] = _start(python, bundle)

    def follow_up(self, python: Path, bundle: Path) -> None:
        """A guest was used for a zygote: from the second on have the next one wait. Does not block.

        Who has come to a second environment comes to a third. It is this interpreter and our bundle
        and nothing of anybody's, and so good for any of them.
        """
        with self._lock:
            if (python, bundle) not in self._used:
                self._used.add((python, bundle))
                return
        starting = threading.Thread(
            target=self.start_ahead, args=(python, bundle), name="orq-guest", daemon=True
        )
        with contextlib.suppress(RuntimeError):  # the host may have no thread more: do without
            starting.start()

    def order(
        self,
        python: Path,
        bundle: Path,
        orders: Mapping[str, object],
        descriptors: Sequence[int],
    ) -> subprocess.Popen[bytes]:
        """A guest that has these orders and descriptors, which stay the caller's as well.

        Its stderr is a pipe until it has booted. Raises `NeverStarted`.
        """
        import json  # start-up budget: a guest that is started ahead has no orders yet

        with self._lock:
            waiting = self._ahead.pop((python, bundle), None)
        if waiting is not None and waiting.process.poll() is not None:
            _let_go(waiting)  # killed while it waited: whoever did so did not mean what is to come
            waiting = None
        if waiting is None:
            waiting = _start(python, bundle)
        # a guest that is gone already says why on its stderr: that is the caller's to read
        with waiting.orders as line, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            _send(line, json.dumps(orders).encode(), descriptors)
        return waiting.process

    def close(self) -> None:
        """End the guests that nobody had an order for."""
        with self._lock:
            self._is_closed = True
            idle = list(self._ahead.values())
            self._ahead.clear()
        for one in idle:
            _let_go(one)


def start_guest(
    python: Path, bundle: Path, orders: Mapping[str, object], descriptors: Sequence[int]
) -> subprocess.Popen[bytes]:
    """A guest started now, with these orders and descriptors. Raises `NeverStarted`."""
    return Guests().order(python, bundle, orders, descriptors)


def _start(python: Path, bundle: Path) -> _Waiting:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.settimeout(_ORDER_SECONDS)
    try:
        with theirs:
            process = subprocess.Popen(
                [str(python), "-I", "-S", "-B", f"{bundle}/__main__.py", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=GUEST_VARIABLES,
                cwd="/",
                start_new_session=True,  # a Ctrl-C in the caller's terminal is the caller's
            )
    except OSError as error:
        ours.close()
        raise NeverStarted(
            f"cannot start `{python}`: {error.strerror}",
            hint="`orq-runtime cache clean` makes environments anew",
        ) from error
    return _Waiting(process, ours)


def _let_go(waiting: _Waiting) -> None:
    """End a guest that has no orders."""
    waiting.orders.close()
    waiting.process.wait()
    if waiting.process.stderr is not None:
        waiting.process.stderr.close()


def _send(line: socket.socket, text: bytes, descriptors: Sequence[int]) -> None:
    sent = send_rights(line, text, descriptors) if descriptors else 0
    line.sendall(text[sent:])
    line.shutdown(socket.SHUT_WR)
