"""Captured output: complete up to the cap, head and tail beyond, never much more in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orq_runtime._run.capture import Capture


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(2, 300))
def test_head_and_tail_are_the_streams_own(chunks: list[bytes], cap: int) -> None:
    """What is kept starts and ends as the stream does, and the count of the rest is exact."""
    stream = b"".join(chunk.replace(b"\x80", b"a") for chunk in chunks)
    capture = Capture(cap)
    for chunk in chunks:
        capture.feed(chunk.replace(b"\x80", b"a"))

    dropped = max(0, len(stream) - cap)
    assert dropped == capture.dropped
    if not dropped:
        assert stream.decode("utf-8", "backslashreplace") == capture.text()
    else:
        head, tail = stream[: cap - cap // 2], stream[len(stream) - cap // 2 :]
        gap = f"\n[... {dropped} bytes left out ...]\n"
        expected = (
            head.decode("utf-8", "backslashreplace")
            + gap
            + tail.decode("utf-8", "backslashreplace")
        )
        assert expected == capture.text()
