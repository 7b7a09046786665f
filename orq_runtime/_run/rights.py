"""Sending descriptors to guests, also where a run would have it that nobody can.

The kernel lets a user have no more descriptors on their way through sockets, in all its processes
together, than the sender may have open. A run of the same user may fill that up with its own, as
far as its own limit goes; guests have a lower one than we can have (`boot`).
"""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["send_rights"]

_lock: Final = threading.Lock()


def send_rights(
    line: socket.socket, message: bytes | memoryview, descriptors: Sequence[int]
) -> int:
    """Send a message with descriptors; how much of it went. Raises OSError."""
    try:
        return socket.send_fds(line, [message], descriptors)
    except OSError as error:
        if error.errno != errno.ETOOMANYREFS:
            raise
    with _all_that_we_may_have():
        return socket.send_fds(line, [message], descriptors)


@contextlib.contextmanager
def _all_that_we_may_have() -> Iterator[None]:
    """For a moment this process may open all that it could ever: more than any guest of its."""
    with _lock:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
