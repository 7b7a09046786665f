"""Whose a runtime is: that of the process that made it, and of no fork of that process.

A fork has the descriptors of every run, and a copy of every lock as it was at that moment. So it
may neither use the runtime nor end it: both would be felt by the process that it was forked from.
"""

from __future__ import annotations

import os

from orq_runtime.errors import RequestError

__all__ = ["Owner"]


class Owner:
    """The process that made this. Asked before any lock is taken."""

    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is that process."""
        return os.getpid() == self.pid

    def confirm(self) -> None:
        """Raise `RequestError` in a fork."""
        if os.getpid() != self.pid:
            raise RequestError(
                f"the runtime is that of process {self.pid}, and this is a fork of it",
                hint="make another `Runtime` after the fork",
            )
