"""What is kept of an output stream: all of it up to a cap, beyond that its head and its tail."""

from __future__ import annotations

__all__ = ["Capture"]


class Capture:
    """Takes bytes as they come and never holds much more than `cap` of them."""

    __slots__ = ("_cap", "_head", "_head_size", "_tail", "total")

    def __init__(self, cap: int) -> None:
        """`total` is how many bytes came."""
        self._cap = cap
        self._head_size = cap - cap // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.total += len(chunk)
        room = self._head_size - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail += chunk
        keep = self._cap - self._head_size
        if len(self._tail) > 2 * keep + 65536:  # rarely: a trim moves what it keeps
            del self._tail[: len(self._tail) - keep]

    @property
    def dropped(self) -> int:
        """How many bytes were left out between head and tail."""
        return max(0, self.total - self._cap)

    def text(self) -> str:
        """What was kept, as text; bytes that are no UTF-8 are spelled out."""
        if not self.dropped:
            return (self._head + self._tail).decode("utf-8", "backslashreplace")
        tail = self._tail[len(self._tail) - (self._cap - self._head_size) :]
        gap = f"\n[... {self.dropped} bytes left out ...]\n"
        head = self._head.decode("utf-8", "backslashreplace")
        return head + gap + tail.decode("utf-8", "backslashreplace")
