"""Which request a parked child will get, where the last ones leave little doubt.

Rules of this file:

1. A child is told of a step ahead of its request only after that step was asked for several times
   in a row. Each time that this was wrong, twice as many are needed.
2. A child that was told of a step never serves another one: what a step is made of is no business
   of other steps, even of those that share its environment.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST_HUNCH", "Hunch"]

LONGEST_HUNCH: Final = 1 << 16
"""In bytes: what fits into a socket that nobody reads yet."""

_FIRST: Final = 2
_MOST: Final = 64


class Hunch:
    """What the next request of a launch will be about. Not safe for several threads at once."""

    def __init__(self) -> None:
        self.about = b""
        self._last = b""
        self._times = 0
        self._enough = _FIRST

    def note(self, about: bytes) -> None:
        """A request about this was sent. Nothing for one that children cannot be told of."""
        if about == self._last:
            self._times += 1
        else:
            if self.about:
                self._enough = min(2 * self._enough, _MOST)
            self._last, self._times = about, 1
        is_sure = self._times >= self._enough and len(about) <= LONGEST_HUNCH
        self.about = about if is_sure else b""
