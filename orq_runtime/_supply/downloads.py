"""Download progress from what uv tells and from what it writes. Does no I/O.

uv says when a large file begins and when it is there, and no byte between. What it writes is what
it unpacks while it downloads: from that the bytes between are estimated, below a file's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orq_runtime.events import Event

__all__ = ["Downloads"]

_RATIO = 0.35  # of a wheel's size to what it unpacks to, until one has taught us better
_MOST = 0.99  # a file is whole when uv says so


class Downloads:
    """The files on their way. `sizes` are those that a lock has; others are as uv rounds them."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._coming: dict[str, float] = {}
        self._totals: dict[str, int] = {}
        self._ratio = _RATIO
        self._written = 0
        self._done = 0

    def begin(self, name: str, rounded: int) -> Event:
        """Uv began to fetch a package's file."""
        self._totals[name] = self._sizes.get(name) or rounded
        self._coming[name] = 0.0
        return Event(phase="download", state="started", subject=name, total=self._totals[name])

    def end(self, name: str) -> Event:
        """It is there."""
        total = self._totals.get(name, self._sizes.get(name, 0))
        self._coming.pop(name, None)
        self._done += total
        if not self._coming and self._written:
            self._ratio = min(1.0, max(0.05, self._done / self._written))
        return Event(phase="download", state="done", subject=name, done=total, total=total)

    def wrote(self, total: int) -> Iterator[Event]:
        """Uv has written so many bytes until now; how far each file is that is on its way."""
        come = max(0, total - self._written) * self._ratio
        self._written = max(total, self._written)
        left = sum(self._totals[name] - bytes_ for name, bytes_ in self._coming.items())
        if not come or left <= 0:
            return
        for name, before in list(self._coming.items()):
            size = self._totals[name]
            now = min(before + come * (size - before) / left, size * _MOST)
            self._coming[name] = now
            if int(now) > int(before):
                yield Event(
                    phase="download", state="moved", subject=name, done=int(now), total=size
                )
