"""The five descriptors of one run, made by the host so that it knows what each of them is.

::

    request   socket   host -> step   the one request; closed by the host to let the step go
                       step -> host   PARKED, BEGAN: marks, which wake nobody
    result    socket   step -> host   RESULT or FAILURE
    stdout    pipe     step -> host   text of the step
    stderr    pipe     step -> host   text of the step
    status    socket   host <-> init  STOP down, STATUS up; closing it ends the run at once

The status socket is init's, and stays where it serves one run after another (`following`).
"""

from __future__ import annotations

import _socket
import os
import socket
from collections.abc import Sequence
from typing import Self

__all__ = ["NAMES", "Channel"]

NAMES = ("request", "result", "stdout", "stderr", "status")
_SOCKETS = ("request", "result", "status")
_UNIX, _STREAM = int(socket.AF_UNIX), int(socket.SOCK_STREAM)  # members of an enum are slow


class Channel:
    """The host's ends, non-blocking, by name; the guest's ends until they are handed over.

    Owns every descriptor it holds: `close` and `forget_guest` are the only ways out.
    """

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        """Raises OSError."""
        self._host: dict[str, int] = {}
        self._guest: dict[str, int] = {}
        self._result: socket.SocketType | None = None
        try:
            for name in names:
                self._host[name], self._guest[name] = _pair(name)
                os.set_blocking(self._host[name], False)
            # the host's end once more, as what can receive descriptors; `_host` owns the number
            self._result = socket.SocketType(_UNIX, _STREAM, 0, self._host["result"])
            self._result.settimeout(0)  # whatever the program's default is
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def host(self, name: str) -> int:
        """The host's end, or -1 when it is closed."""
        return self._host.get(name, -1)

    @property
    def result(self) -> socket.SocketType:
        """The result's socket; still there as long as `host("result")` is."""
        if self._result is None:
            raise OSError("the result is closed")
        return self._result

    def following(self) -> Channel:
        """One for the next run of the same init, which the status socket goes over to.

        Our other ends stay open. Raises OSError, and nothing has changed then.
        """
        following = Channel(NAMES[:-1])
        following._host["status"] = self._host.pop("status")
        return following

    def guest_ends(self) -> list[int]:
        """The guest's ends in the order of `NAMES`; still ours until `forget_guest`."""
        return [self._guest[name] for name in NAMES if name in self._guest]

    def forget_guest(self) -> None:
        """Close our copies of the guest's ends, once the guest has its own."""
        while self._guest:
            os.close(self._guest.popitem()[1])

    def shut(self, name: str) -> None:
        """Close one of the host's ends. Closing it twice is fine."""
        descriptor = self._host.pop(name, None)
        if name == "result" and self._result is not None:
            self._result.detach()
            self._result = None
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Close all that is open."""
        self.forget_guest()
        for name in NAMES:
            self.shut(name)


def _pair(name: str) -> tuple[int, int]:
    if name not in _SOCKETS:
        return os.pipe()
    # not by way of `socket`, which makes two objects of each end, to be taken apart at once
    host, guest = _socket.socketpair(_UNIX, _STREAM)
    return host.detach(), guest.detach()
