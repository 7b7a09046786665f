"""Frames between host and guest: bytes to frames and back, no sockets and no clock.

Rules of this file:

1. A frame is one byte of kind, four bytes of length (big-endian) and that many bytes of payload.
2. The kinds are a closed set and each side names those it takes and how long they may be. A length
   is checked before anything is stored for it.
3. Garbage is either a frame or a `WireError`, never another exception.

Who sends what::

    host -> zygote   SPAWN and descriptors         zygote -> host   READY; SPAWNED and a pidfd
    host -> step     EXPECT, REQUEST               step -> host     RESULT | FAILURE
                                                   step -> host     PARKED, BEGAN
    host -> init     PLACED, KEEP, STOP            init -> host     STATUS; after KEEP with a folder
    host -> init     RENEW and four descriptors    init -> host     RENEWED

PARKED and BEGAN go back on the request's socket, where nobody waits for them: the host looks there
when something comes on the result's, and at the end. Waking it twice costs a fifth of a hot run.
A REQUEST, a RESULT and a FAILURE start with the run's seal, drawn by the host: what the step writes
by accident or in ignorance is no answer. (Who digs the seal out may as well return what it likes.)
EXPECT tells a spare what the next request may be about: that request then says only the rest.
PLACED says that the host has put init in its group, where init cannot be trusted to do so itself.
RENEW has init clear up behind a run that went well and fork the step of the next; with RENEWED it
says that it has. It may say what an EXPECT says, for all runs that follow.
With a REQUEST or a RESULT may come one descriptor, of a file with the large values of it.
In a RESULT, `ALONE` or `IN_COMPANY` follows: whether the step's process may have others beside it.
Numbers from 32 up are kept for frames to come: calls to named host functions, streamed values.
"""

from __future__ import annotations

import struct
import typing

__all__ = [
    "ALONE",
    "BEGAN",
    "EXPECT",
    "FAILURE",
    "HEADER",
    "IN_COMPANY",
    "KEEP",
    "LEAST_BLOB",
    "LONGEST_ABOUT",
    "MOST_BLOBS",
    "PARKED",
    "PLACED",
    "READY",
    "RENEW",
    "RENEWED",
    "REQUEST",
    "RESULT",
    "SEAL_BYTES",
    "SPAWN",
    "SPAWNED",
    "STATUS",
    "STATUS_BODY",
    "STOP",
    "STOP_BODY",
    "Decoder",
    "TooLong",
    "WireError",
    "frame",
]

HEADER = struct.Struct("!BI")

REQUEST = 1
BEGAN = 2
RESULT = 3
FAILURE = 4
STATUS = 5
STOP = 6
READY = 7
SPAWN = 8
SPAWNED = 9
PARKED = 10
KEEP = 11
EXPECT = 12
PLACED = 13
RENEW = 14
RENEWED = 15

SEAL_BYTES = 16

ALONE = b"1"
IN_COMPANY = b"0"

LONGEST_ABOUT = 1 << 20
"""Bytes that an EXPECT or a RENEW says of a step."""

LEAST_BLOB = 1 << 16
"""From so many bytes on a value travels beside the JSON."""

MOST_BLOBS = 1024
"""How many values of one message may."""

STATUS_BODY = struct.Struct("!iQQ?")
"""The step's wait status; processor microseconds and peak memory in KiB, of all its processes;
whether the folders of its own were full in the end."""

STOP_BODY = struct.Struct("!I")
"""Milliseconds between SIGTERM and SIGKILL."""


_length = len  # a step may replace the builtin before its answer is framed


class WireError(Exception):
    """The bytes are not the protocol's."""


class TooLong(WireError):
    """A frame, otherwise fine, is longer than its kind may be here.

    `start` is what came of its payload so far, up to as much as a seal.
    """

    def __init__(self, kind: int, length: int, longest: int, start: bytes) -> None:
        super().__init__(
            "a frame of kind %d has %d bytes, over the limit of %d" % (kind, length, longest)
        )
        self.kind = kind
        self.length = length
        self.start = start


def frame(kind: int, *pieces: typing.Union[bytes, memoryview]) -> bytes:
    """The bytes of one frame, its payload in pieces. Raises `WireError` when they are over 4 GiB.

    Each piece is copied once.
    """
    length = 0
    for piece in pieces:
        length += _length(piece)
    try:
        return b"".join((HEADER.pack(kind, length), *pieces))
    except struct.error as error:
        raise WireError("a frame of %d bytes does not fit the wire" % length) from error


class Decoder:
    """Turns bytes, however they were cut, into frames.

    `longest` maps each kind that may come to the greatest length of its payload.
    """

    __slots__ = ("_buffer", "_longest", "_wanted")

    def __init__(self, longest: dict[int, int]) -> None:
        self._longest = longest
        self._buffer = bytearray()
        self._wanted = HEADER.size

    def feed(self, chunk: bytes) -> typing.Iterable[typing.Tuple[int, bytes]]:
        """The frames that `chunk` completes, in order; to be iterated to the end.

        Raises `WireError` where the bytes stop being the protocol's, after the frames before that.
        """
        if not self._buffer and len(chunk) >= HEADER.size:  # mostly it is one whole frame
            kind, length = HEADER.unpack_from(chunk)
            if HEADER.size + length == len(chunk) and length <= self._longest.get(kind, -1):
                return ((kind, chunk[HEADER.size :]),)
        return self._pieced(chunk)

    def _pieced(self, chunk: bytes) -> typing.Iterator[typing.Tuple[int, bytes]]:
        buffer = self._buffer
        buffer += chunk
        while len(buffer) >= self._wanted:
            kind, length = HEADER.unpack_from(buffer)
            if kind not in self._longest:
                raise WireError("a frame of kind %d is not expected here" % kind)
            if length > self._longest[kind]:
                start = bytes(buffer[HEADER.size : HEADER.size + SEAL_BYTES])
                raise TooLong(kind, length, self._longest[kind], start)
            end = HEADER.size + length
            if len(buffer) < end:
                self._wanted = end
                return
            payload = bytes(memoryview(buffer)[HEADER.size : end])
            del buffer[:end]
            self._wanted = HEADER.size
            yield kind, payload

    @property
    def is_between_frames(self) -> bool:
        """Whether every byte so far belongs to a whole frame: what a clean end looks like."""
        return not self._buffer
