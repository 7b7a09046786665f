"""The wire: any cutting gives the same frames, and garbage is a frame or a `WireError`."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_sandbox import wire

_LONGEST = {wire.BEGAN: 0, wire.RESULT: 64, wire.FAILURE: 64}
_FRAMES = st.lists(
    st.one_of(
        st.just((wire.BEGAN, b"")),
        st.tuples(st.sampled_from([wire.RESULT, wire.FAILURE]), st.binary(max_size=64)),
    ),
    max_size=8,
)


def _decoded(chunks: list[bytes]) -> list[tuple[int, bytes]]:
    decoder = wire.Decoder(_LONGEST)
    return [frame for chunk in chunks for frame in decoder.feed(chunk)]


@given(_FRAMES)
def test_frames_come_back_whole_and_byte_by_byte(frames: list[tuple[int, bytes]]) -> None:
    """What was written is read, fed whole or one byte at a time."""
    stream = b"".join(wire.frame(kind, body) for kind, body in frames)

    assert frames == _decoded([stream])
    assert frames == _decoded([stream[i : i + 1] for i in range(len(stream))])


@given(_FRAMES, st.lists(st.integers(0, 600), max_size=6))
def test_any_cutting_gives_the_same_frames(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    """Where the bytes were cut on their way makes no difference."""
    stream = b"".join(wire.frame(kind, body) for kind, body in frames)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]

    assert frames == _decoded(chunks)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_garbage_is_accepted_or_a_wire_error(stream: bytes, size: int) -> None:
    """No bytes make the decoder raise anything but `WireError`."""
    decoder = wire.Decoder(_LONGEST)
    try:
        for start in range(0, len(stream), size):
            for kind, body in decoder.feed(stream[start : start + size]):
                assert kind in _LONGEST
                assert len(body) <= _LONGEST[kind]
    except wire.WireError:
        pass


def test_a_length_over_the_limit_is_refused_before_its_bytes() -> None:
    """The header alone is enough to refuse a frame: nothing is stored for it."""
    decoder = wire.Decoder(_LONGEST)

    with pytest.raises(wire.TooLong) as caught:
        list(decoder.feed(wire.HEADER.pack(wire.RESULT, 1 << 31)))

    assert (wire.RESULT, 1 << 31) == (caught.value.kind, caught.value.length)


def test_frames_before_the_garbage_are_delivered() -> None:
    """A bad frame does not take the good ones before it along."""
    seen = []

    def read() -> None:
        for frame in wire.Decoder(_LONGEST).feed(wire.frame(wire.BEGAN) + b"\xff\0\0\0\0"):
            seen.append(frame)  # noqa: PERF402 - what came before the error counts

    with pytest.raises(wire.WireError):
        read()

    assert [(wire.BEGAN, b"")] == seen


def test_between_frames_is_where_nothing_is_left() -> None:
    """A stream that ends inside a frame is not a clean end."""
    decoder = wire.Decoder(_LONGEST)
    whole = wire.frame(wire.RESULT, b"abc")

    list(decoder.feed(whole[:-1]))
    inside = decoder.is_between_frames
    list(decoder.feed(whole[-1:]))

    assert (False, True) == (inside, decoder.is_between_frames)
