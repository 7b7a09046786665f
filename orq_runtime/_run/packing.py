"""The large values of a request: collected beside its JSON, written into one file in memory.

::

    {"key": K, "parts": [[form, offset, length], ...]}   in the message, beside inputs or value
    {K: n}                                               in place of a blob, part n
    the one file                                         its descriptor comes with the message

`form` is `bytes`, `npy` (a .npy file of version 1.0) or `arrow` (an Arrow IPC stream). The guest's
side is its `parcel`; results are taken in by `unpacking`.

Rules of this file:

1. `K` is drawn for each message, when its values are there already: no value can hold it.
2. The host does not look at the file again: what becomes of it is the run's own affair.
3. numpy, pandas and pyarrow are not imported to find out what a value is: who has one has done so.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

from orq_runtime._run.finite import LOOKED_AT, are_finite
from orq_runtime._run.libraries import is_finite_table, plain_index
from orq_runtime._run.shelf import Shelf
from orq_runtime.errors import BadCall, NeverStarted, RequestError
from orq_runtime.model.artifact import Artifact
from orq_runtime.model.blob import ARROW, BYTES, Blob, is_array
from orq_runtime.model.checks import Checks
from orq_runtime.model.limits import Limits
from orq_runtime.model.npy import written_header
from orq_sandbox import wire

__all__ = ["Packing"]

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_ALLOW: Final = 'nan="allow" lets them pass'
_ALIGNED: Final = 64
_LARGE_PAGE: Final = 2 << 20


class _Part(NamedTuple):
    """What one value is written as; numbers of a `dtype` are looked at before they are."""

    form: str
    pieces: list[memoryview]
    dtype: str = ""

    @property
    def nbytes(self) -> int:
        return sum(piece.nbytes for piece in self.pieces)


class Packing:
    """What one request has beside its JSON: its artifacts, and blobs.

    `hand` gives the path that the run finds an artifact under. Blobs are not copied before they are
    `written`.
    """

    def __init__(self, limits: Limits, checks: Checks, hand: Callable[[Artifact], str]) -> None:
        self.hand = hand
        self.takes_blobs = True
        self._most_bytes = limits.blob_bytes
        self.allow_nan = checks.nan == "allow"
        self._key = ""
        self._found: dict[int, tuple[object, int]] = {}
        self._parts: list[_Part] = []

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
        for part in self._parts:
            parts.append([part.form, offset, part.nbytes])
            offset += part.nbytes + -part.nbytes % _ALIGNED
        if offset > self._most_bytes:
            raise BadCall(
                f"the inputs hold {offset} bytes beside their JSON; {self._most_bytes} are allowed",
                hint="raise `blob_bytes`, or hand over a file as an `Artifact`",
            )
        return {"key": self._key, "parts": parts}

    def written(self, shelf: Shelf | None = None) -> int:
        """The file, to be read only, the caller's; -1 without blobs.

        Raises `NeverStarted`, and `BadCall` for numbers that may not be among the inputs.
        """
        if not self._parts:
            return -1
        try:
            if shelf is not None and self._length() >= _LARGE_PAGE:
                with contextlib.suppress(OSError):  # it may be full, or the zygote gone
                    return self._shelved(shelf)
            return self._sealed()
        except OSError as error:
            raise NeverStarted(f"no memory for the inputs' blobs: {error.strerror}") from error

    def _shelved(self, shelf: Shelf) -> int:
        descriptor = shelf.file()
        try:
            os.ftruncate(descriptor, self._length())
            self._fill(descriptor)
            return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(descriptor)

    def _sealed(self) -> int:
        descriptor = os.memfd_create("orq-blobs", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            self._fill(descriptor)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _fill(self, descriptor: int) -> None:
        for part in self._parts:
            for piece in part.pieces:
                for start in range(0, piece.nbytes, LOOKED_AT):
                    some = piece[start : start + LOOKED_AT]
                    if part.dtype and piece is part.pieces[-1]:  # now that they are in the cache
                        _confirm_finite(some, part.dtype)
                    _write(descriptor, some)
            _write(descriptor, memoryview(bytes(-part.nbytes % _ALIGNED)))

    def _length(self) -> int:
        return sum(part.nbytes + -part.nbytes % _ALIGNED for part in self._parts)

    def _part(self, value: object) -> _Part | None:
        if isinstance(value, Blob):
            return self._numbers(value)
        if isinstance(value, bytes | bytearray | memoryview):
            large = memoryview(value).nbytes >= wire.LEAST_BLOB
            return _packed(Blob(value)) if large else None
        if is_array(value):
            return self._array(value)
        if _is_series(value):
            return self._array(cast("Any", value).to_numpy())
        return _table(value, allow_nan=self.allow_nan)

    def _array(self, value: object) -> _Part | None:
        array: Any = value
        is_small = array.nbytes < wire.LEAST_BLOB and 0 not in array.shape[:-1]
        if is_small or array.dtype.hasobject:  # objects may have a form in JSON
            return None  # else all goes beside it that is large, or whose shape lists would lose
        try:
            blob = Blob.of(value)
        except RequestError as error:
            raise BadCall(error.message, hint=error.hint) from error
        return self._numbers(blob)

    def _numbers(self, blob: Blob) -> _Part:
        may_hold_nan = not self.allow_nan and blob.dtype[1] in "fc" and blob.nbytes > 0
        if may_hold_nan and blob.nbytes <= LOOKED_AT:
            _confirm_finite(blob.memoryview(), blob.dtype)
            may_hold_nan = False
        return _packed(blob, looks=may_hold_nan)


def _packed(blob: Blob, *, looks: bool = False) -> _Part:
    view = blob.memoryview()
    if blob.dtype in (BYTES, ARROW):
        return _Part(blob.dtype, [view])
    header = written_header(blob.dtype, blob.shape, blob.order)
    return _Part("npy", [memoryview(header), view], blob.dtype if looks else "")


def _is_series(value: object) -> bool:
    """Whether it is a pandas Series that is an array of numbers and no more."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.Series):
        return False
    series: Any = value
    return isinstance(series.dtype, sys.modules["numpy"].dtype) and (
        series.dtype.kind in "biufc" and plain_index(series)
    )


def _table(value: object, *, allow_nan: bool) -> _Part | None:
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
    if not allow_nan and not is_finite_table(value):
        raise BadCall("a table among the inputs holds NaN or infinities", hint=_ALLOW)
    try:
        table: Any = arrow.Table.from_pandas(value) if is_frame else value
        sink = arrow.BufferOutputStream()
        with stream.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    except (arrow.ArrowException, ValueError, TypeError) as error:
        raise BadCall(f"a table among the inputs has no form in Arrow: {error}") from error
    return _Part("arrow", [memoryview(sink.getvalue())])


def _confirm_finite(numbers: memoryview, dtype: str) -> None:
    if not are_finite(numbers, dtype, sys.modules.get("numpy")):
        raise BadCall("an array among the inputs holds NaN or infinities", hint=_ALLOW)


def _write(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]
