"""The large values of a request: collected beside its JSON, written into one sealed memory file.

::

    {"key": K, "parts": [[form, offset, length], ...]}   in the message, beside inputs or value
    {K: n}                                               in place of a blob, part n
    the one file                                         its descriptor comes with the message

`form` is `bytes`, `npy` (a .npy file of version 1.0) or `arrow` (an Arrow IPC stream). The guest's
side is its `parcel`; results are taken in by `unpacking`.

Rules of this file:

1. `K` is drawn for each message, when its values are there already: no value can hold it.
2. numpy, pandas and pyarrow are not imported to find out what a value is: who has one has done so.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from orq_runtime.errors import BadCall, NeverStarted, RequestError
from orq_runtime.model.artifact import Artifact
from orq_runtime.model.blob import ARROW, BYTES, Blob, is_array
from orq_runtime.model.checks import Checks
from orq_runtime.model.limits import Limits
from orq_runtime.model.npy import written_header
from orq_sandbox import wire

__all__ = ["Packing"]

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_ALIGNED: Final = 64
_ELEMENTS: Final = 1 << 17


class Packing:
    """What one request has beside its JSON: its artifacts, and blobs.

    `hand` gives the path that the run finds an artifact under. Blobs are not copied before they are
    `written`.
    """

    def __init__(self, limits: Limits, checks: Checks, hand: Callable[[Artifact], str]) -> None:
        self.hand = hand
        self.takes_blobs = True
        self._most_bytes = limits.blob_bytes
        self._allow_nan = checks.nan == "allow"
        self._key = ""
        self._found: dict[int, tuple[object, int]] = {}
        self._parts: list[tuple[str, list[memoryview]]] = []

    def placed(self, value: object) -> dict[str, int] | None:
        """What stands in the JSON for a value that travels beside it; None if it does not.

        Raises `BadCall` for a value that must and cannot, or that is too large.
        """
        if not self.takes_blobs:
            return None
        known = self._found.get(id(value))
        if known is None:
            part = self._part(value)
            if part is None:
                return None
            if len(self._parts) == wire.MOST_BLOBS:
                raise BadCall(f"the inputs hold more than {wire.MOST_BLOBS} large values")
            self._key = self._key or f"orq-blob:{os.urandom(12).hex()}"
            known = self._found[id(value)] = (value, len(self._parts))  # kept: ids are reused
            self._parts.append(part)
        return {self._key: known[1]}

    def clear(self) -> None:
        """Forget what was placed: the inputs are gone through again."""
        self._found.clear()
        self._parts.clear()

    def about(self) -> dict[str, object] | None:
        """The part of the message about its blobs; None without any. Raises `BadCall`."""
        if not self._parts:
            return None
        parts, offset = [], 0
        for form, pieces in self._parts:
            length = sum(piece.nbytes for piece in pieces)
            parts.append([form, offset, length])
            offset += length + -length % _ALIGNED
        if offset > self._most_bytes:
            raise BadCall(
                f"the inputs hold {offset} bytes beside their JSON; {self._most_bytes} are allowed",
                hint="raise `blob_bytes`, or hand over a file as an `Artifact`",
            )
        return {"key": self._key, "parts": parts}

    def written(self) -> int:
        """The sealed file, the caller's; -1 without blobs. Raises `NeverStarted`."""
        if not self._parts:
            return -1
        try:
            return self._sealed()
        except OSError as error:
            raise NeverStarted(f"no memory for the inputs' blobs: {error.strerror}") from error

    def _sealed(self) -> int:
        descriptor = os.memfd_create("orq-blobs", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            for _, pieces in self._parts:
                length = sum(piece.nbytes for piece in pieces)
                for piece in (*pieces, memoryview(bytes(-length % _ALIGNED))):
                    _write(descriptor, piece)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _part(self, value: object) -> tuple[str, list[memoryview]] | None:
        if isinstance(value, Blob):
            return _packed(value)
        if isinstance(value, bytes | bytearray | memoryview):
            large = memoryview(value).nbytes >= wire.LEAST_BLOB
            return _packed(Blob(value)) if large else None
        if is_array(value):
            return self._array(value)
        return _table(value)

    def _array(self, value: object) -> tuple[str, list[memoryview]] | None:
        array: Any = value
        if array.nbytes < wire.LEAST_BLOB or array.dtype.hasobject:
            return None  # objects may have a form in JSON
        try:
            blob = Blob.of(value)
        except RequestError as error:
            raise BadCall(error.message, hint=error.hint) from error
        if not self._allow_nan and blob.dtype[1] in "fc" and not _is_finite(value):
            raise BadCall(
                "an array among the inputs holds NaN or infinities",
                hint='nan="allow" lets them pass',
            )
        return _packed(blob)


def _packed(blob: Blob) -> tuple[str, list[memoryview]]:
    view = blob.memoryview()
    if blob.dtype in (BYTES, ARROW):
        return blob.dtype, [view]
    header = written_header(blob.dtype, blob.shape, blob.order)
    return "npy", [memoryview(header), view]


def _table(value: object) -> tuple[str, list[memoryview]] | None:
    """A pandas or pyarrow table as an Arrow stream, where both libraries are at hand."""
    pandas, arrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    is_frame = pandas is not None and isinstance(value, pandas.DataFrame)
    if not is_frame and (arrow is None or not isinstance(value, arrow.Table)):
        return None
    try:
        arrow = importlib.import_module("pyarrow")
        stream = importlib.import_module("pyarrow.ipc")
    except ImportError:
        return None
    try:
        table: Any = arrow.Table.from_pandas(value) if is_frame else value
        sink = arrow.BufferOutputStream()
        with stream.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    except arrow.ArrowException as error:
        raise BadCall(f"a table among the inputs has no form in Arrow: {error}") from error
    return "arrow", [memoryview(sink.getvalue())]


def _is_finite(value: object) -> bool:
    numpy = sys.modules["numpy"]
    flat = numpy.ravel(value, order="K")
    return all(
        numpy.isfinite(flat[start : start + _ELEMENTS]).all()
        for start in range(0, flat.size, _ELEMENTS)
    )


def _write(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]
