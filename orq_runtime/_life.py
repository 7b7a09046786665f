"""The life of an open runtime: whose it is, whether it is over, and that it ends with its process.

Rules of this file:

1. It ends once, whoever asks and however many do so at once; all of them return when it is ended.
2. One that nobody has ended by then ends when the interpreter does.
3. In a fork of its process nothing of it can be used, and ending it does nothing.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from typing import Final

from orq_runtime.errors import RequestError
from orq_runtime.model.owner import Owner

__all__ = ["Life"]


class Life:
    """Safe for many threads. `end` is what ends it."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._owner = Owner()
        self._lock = threading.Lock()
        self._is_ended = False
        self.is_over = False
        if not _open:
            atexit.register(_end_all)  # once more does no harm
        _open.add(self)

    @property
    def is_here(self) -> bool:
        """Whether this is the process that it belongs to."""
        return self._owner.is_here

    def confirm(self) -> None:
        """Raise `RequestError` when it is over, or in a fork."""
        if os.getpid() != self._owner.pid:
            self._owner.confirm()
        if self.is_over:
            raise RequestError("the runtime is closed", hint="make another `Runtime`")

    def end(self) -> None:
        """End it, or wait until somebody else has."""
        if not self.is_here:
            return
        self.is_over = True
        with self._lock:
            if not self._is_ended:
                self._end()
                self._is_ended = True
        _open.discard(self)


_open: Final[weakref.WeakSet[Life]] = weakref.WeakSet()


def _end_all() -> None:
    for life in list(_open):
        life.end()
