"""Large values beside the JSON, in the step: taken in before the call, packed after it.

The layout is drawn in the host's module of this name. Loaded only by messages that have blobs.

Rules of this file:

1. A value that travels beside the JSON is the same value that it would be inside: what JSON would
   refuse (a mask, NaN, an index) is not taken here either.
2. An array that came in can be written to, like one made from a list: its pages are copied when it
   is.
3. What is written goes into a file of the run's own that has no name, if the kernel gives that
   large pages, and nobody here keeps it: the host takes it as it is where that is true. Else it is
   sealed in a memory file, or, where there are none, in a file on the disk that the host copies.
"""

from __future__ import annotations

import _socket
import array
import binascii
import fcntl
import importlib
import io
import mmap
import os
import sys
import typing

from orq_sandbox import later, wire
from orq_sandbox.failure import Refusal

__all__ = ["Packing", "as_json", "send", "unpacked"]

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_ALIGNED = 64
_MAPPED = 1 << 20
_LARGE_PAGE = 2 << 20
_LOOKED_AT = 3 << 19  # bytes at once: they fit a cache
_WORTH_LARGE_PAGES = 8 << 20
_HUGE_PAGES = 14  # MADV_HUGEPAGE
_POPULATE_READ = 22  # MADV_POPULATE_READ, Linux 5.14
_BYTES = (bytes, bytearray, memoryview)


# -- in ------------------------------------------------------------------------------------------


def unpacked(inputs: typing.Any, about: dict, descriptor: int) -> typing.Any:
    """The inputs with their blobs in their places. Raises `Refusal` without the library needed."""
    source = _Source(descriptor)
    key, parts, made = about["key"], about["parts"], {}
    nodes: list = [inputs]
    while nodes:
        node = nodes.pop()
        for place, item in list(node.items() if type(node) is dict else enumerate(node)):
            if type(item) is dict and len(item) == 1 and key in item:
                number = item[key]
                if number not in made:
                    made[number] = source.value(*parts[number])
                node[place] = made[number]
            elif type(item) is dict or (type(item) is list and _holds_more(item)):
                nodes.append(item)
    return inputs


def _holds_more(items: list) -> bool:
    kinds = set(map(type, items))
    return dict in kinds or list in kinds


class _Source:
    """The file that came with the request."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._mapping: typing.Optional[mmap.mmap] = None

    def value(self, form: str, offset: int, length: int) -> typing.Any:
        if form == "bytes":
            return self._bytes(offset, length)
        if form == "npy":
            return _array(self._memory(offset, length))
        return _table(self._memory(offset, length))

    def _bytes(self, offset: int, length: int) -> bytes:
        if length >= _WORTH_LARGE_PAGES and sys.implementation.name == "cpython":
            return self._large_bytes(offset, length)
        made = os.pread(self._descriptor, length, offset)
        while len(made) < length:  # the kernel gives 2 GiB at once
            more = os.pread(self._descriptor, length - len(made), offset + len(made))
            if not more:
                raise EOFError("the inputs' file is too short")
            made += more
        return made

    def _large_bytes(self, offset: int, length: int) -> bytes:
        """As CPython's own `read` makes them: filled before anybody sees them, in large pages."""
        import ctypes  # loaded by now: the kernel is called by it

        new = ctypes.pythonapi.PyBytes_FromStringAndSize
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t)
        made: bytes = new(None, length)
        start = id(made) + bytes.__basicsize__ - 1
        aligned = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(aligned), ctypes.c_size_t(start + length - aligned), _HUGE_PAGES
        )
        content = (ctypes.c_char * length).from_address(start)
        self._copied(memoryview(content).cast("B"), offset)
        return made

    def _memory(self, offset: int, length: int) -> memoryview:
        """Memory that can be written to, without changing the file."""
        if length < _MAPPED:
            return memoryview(self._copied(bytearray(length), offset))
        if self._mapping is None:
            size = os.fstat(self._descriptor).st_size
            access = mmap.PROT_READ | mmap.PROT_WRITE
            self._mapping = mmap.mmap(self._descriptor, size, mmap.MAP_PRIVATE, access)
            try:
                self._mapping.madvise(_POPULATE_READ)
            except (OSError, ValueError, AttributeError):
                pass  # an older kernel: each page is found when it is touched
        return memoryview(self._mapping)[offset : offset + length]

    def _copied(self, buffer: typing.Any, offset: int) -> typing.Any:
        left = memoryview(buffer)
        while left:
            count = os.preadv(self._descriptor, [left], offset)
            if count == 0:
                raise EOFError("the inputs' file is too short")
            left, offset = left[count:], offset + count
        return buffer


def _library(name: str, what: str) -> typing.Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Refusal(
            "bad_call", "an input is %s, and the step's environment has no %s" % (what, name)
        ) from None


def _array(memory: memoryview) -> typing.Any:
    numpy = _library("numpy", "an array")
    start = io.BytesIO(bytes(memory[:4096]))
    numpy.lib.format.read_magic(start)
    shape, is_fortran, dtype = numpy.lib.format.read_array_header_1_0(start)
    order = "F" if is_fortran else "C"
    return numpy.ndarray(shape, dtype, memory[start.tell() :], order=order)


def _table(memory: memoryview) -> typing.Any:
    arrow = _library("pyarrow", "a table")
    stream = _library("pyarrow.ipc", "a table")
    table = stream.open_stream(arrow.py_buffer(memory)).read_all()
    if b"pandas" in (table.schema.metadata or {}):  # it was a DataFrame
        try:
            importlib.import_module("pandas")
        except ImportError:
            return table
        return table.to_pandas()
    return table


def as_json(value: typing.Any) -> typing.Any:
    """What a value would have been inside the JSON; the value itself where it is no large one."""
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode("ascii")
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return value.tolist()
    if type(value) is list:
        made = [as_json(item) for item in value]
        return made if any(a is not b for a, b in zip(made, value)) else value
    if type(value) is dict:
        pairs = {key: as_json(item) for key, item in value.items()}
        return pairs if any(pairs[key] is not value[key] for key in value) else value
    return value


# -- out -----------------------------------------------------------------------------------------


class Packing:
    """Collects the large values of a result; they are not copied before they are `written`."""

    def __init__(self, *, allow_nan: bool) -> None:
        self._allow_nan = allow_nan
        self.looks_first = False
        self._key = "orq-blob:" + binascii.hexlify(os.urandom(12)).decode("ascii")
        self._found: dict = {}
        self._parts: list = []

    def placed(self, value: typing.Any) -> typing.Optional[dict]:
        """What stands in the JSON for a value that travels beside it; None if it does not.

        Raises ValueError with the reason for a value that may not travel at all.
        """
        known = self._found.get(id(value))
        if known is None:
            part = None if len(self._parts) == wire.MOST_BLOBS else self._part(value)
            if part is None:
                return None
            known = self._found[id(value)] = (value, len(self._parts))  # kept: ids are reused
            self._parts.append(part)
        return {self._key: known[1]}

    def clear(self) -> None:
        """Forget what was placed: the value is gone through again."""
        self._found.clear()
        del self._parts[:]

    def about(self) -> typing.Optional[dict]:
        """The part of the message about its blobs; None without any."""
        if not self._parts:
            return None
        parts, offset = [], 0
        for form, pieces, _ in self._parts:
            length = _nbytes(pieces)
            parts.append([form, offset, length])
            offset += length + -length % _ALIGNED
        return {"key": self._key, "parts": parts}

    def written(self, folder: str) -> int:
        """A descriptor of the file. It is sealed if it is a memory file, else below the folder.

        Raises ValueError as `placed` does, but cannot say for which value: with `looks_first` it is
        `placed` that does.
        """
        length = self._length()
        if length >= _LARGE_PAGE:
            descriptor = self._filled(_in_large_pages(folder, length))
            if descriptor >= 0:
                return descriptor
        descriptor = self._filled(_in_memory())
        if descriptor >= 0:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            return descriptor
        descriptor = _unnamed(folder)
        self._fill(descriptor)
        return descriptor

    def _length(self) -> int:
        lengths = [_nbytes(pieces) for _, pieces, _ in self._parts]
        return sum(length + -length % _ALIGNED for length in lengths)

    def _filled(self, descriptor: int) -> int:
        """The file, filled; -1 where there is none, or it cannot hold it all."""
        if descriptor >= 0:
            try:
                self._fill(descriptor)
            except OSError:
                os.close(descriptor)
                return -1
        return descriptor

    def _fill(self, descriptor: int) -> None:
        for _, pieces, numbers in self._parts:
            *before, last = pieces
            if numbers is None:
                before.append(last)
            for piece in before:
                _write(descriptor, piece)
            if numbers is not None:  # looked at in bits, which are then in the cache
                step = _LOOKED_AT // numbers.itemsize
                for start in range(0, numbers.size, step):
                    some = numbers[start : start + step]
                    _confirm_finite(some)
                    _write(descriptor, memoryview(some.view("u1")))
            _write(descriptor, memoryview(bytes(-_nbytes(pieces) % _ALIGNED)))

    def _part(self, value: typing.Any) -> typing.Optional[tuple]:
        if isinstance(value, _BYTES):
            view = memoryview(value)
            if view.nbytes < wire.LEAST_BLOB:
                return None
            flat = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
            return "bytes", [flat], None
        library = type(value).__module__.partition(".")[0]
        if library == "numpy":
            return self._array(value)
        if library not in ("pandas", "pyarrow"):
            return None
        tables = later.part("tables")
        if tables.is_row_of_numbers(value):
            return self._array(value.to_numpy())
        return _arrow(tables, value, allow_nan=self._allow_nan)

    def _array(self, value: typing.Any) -> typing.Optional[tuple]:
        numpy = sys.modules["numpy"]
        if not isinstance(value, numpy.ndarray):
            return None
        if value.nbytes < wire.LEAST_BLOB and 0 not in value.shape[:-1]:
            return None  # the shape of that one would be lost in lists
        masked = sys.modules.get("numpy.ma")
        is_masked = masked is not None and isinstance(value, masked.MaskedArray)
        if is_masked or value.dtype.names or value.dtype.kind not in "biufcmMSU":
            return None  # what JSON cannot hold either is refused there, with its reason
        order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        rows = numpy.ascontiguousarray(value.T if order == "F" else value)
        flat = rows.reshape(-1)
        looks = not self._allow_nan and value.dtype.kind in "fc"
        if looks and (self.looks_first or flat.nbytes <= _LOOKED_AT):
            _confirm_finite(flat)
            looks = False
        header = io.BytesIO()
        about = {"descr": value.dtype.str, "fortran_order": order == "F", "shape": value.shape}
        numpy.lib.format.write_array_header_1_0(header, about)
        pieces = [memoryview(header.getvalue()), memoryview(flat.view(numpy.uint8))]
        return "npy", pieces, flat if looks else None


def _confirm_finite(numbers: typing.Any) -> None:
    step = _LOOKED_AT // numbers.itemsize
    for start in range(0, numbers.size, step):
        if not sys.modules["numpy"].isfinite(numbers[start : start + step]).all():
            raise ValueError("holds a number that is not finite, and JSON has no such number")


def _nbytes(pieces: list) -> int:
    return sum(piece.nbytes for piece in pieces)


def _write(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def _arrow(tables: typing.Any, value: typing.Any, *, allow_nan: bool) -> typing.Optional[tuple]:
    """A large table as an Arrow stream, where pyarrow is installed and JSON would take it too."""
    pandas, arrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        if not tables.is_numbered(value.index) or int(value.memory_usage().sum()) < wire.LEAST_BLOB:
            return None
    elif arrow is None or not isinstance(value, arrow.Table) or value.nbytes < wire.LEAST_BLOB:
        return None
    try:
        arrow = importlib.import_module("pyarrow")
        stream = importlib.import_module("pyarrow.ipc")
    except ImportError:
        return None
    if not allow_nan and not tables.is_finite(value):
        raise ValueError("holds a number that is not finite, and JSON has no such number")
    table = value if isinstance(value, arrow.Table) else arrow.Table.from_pandas(value)
    sink = arrow.BufferOutputStream()
    with stream.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return "arrow", [memoryview(sink.getvalue())], None


def _in_large_pages(folder: str, length: int) -> int:
    """A new file without a name, of that length; -1 where its pages would not be large."""
    try:
        descriptor = os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    except OSError:
        return -1
    try:
        os.ftruncate(descriptor, length)
        if os.fstat(descriptor).st_blksize >= _LARGE_PAGE:
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return -1


def _in_memory() -> int:
    """A new memory file; -1 where the tier forbids it, or the C library has none."""
    try:
        return os.memfd_create("orq-blobs", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (OSError, AttributeError):
        return -1


def _unnamed(folder: str) -> int:
    path = os.path.join(folder, ".orq-" + binascii.hexlify(os.urandom(8)).decode("ascii"))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return descriptor


def send(result: int, message: memoryview, descriptor: int) -> memoryview:
    """Send the start of a message and the descriptor with it; what is left to send.

    The descriptor is closed: when the message is whole nobody has the file but who receives it.
    """
    line = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, result)
    try:
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        sent = line.sendmsg([message[:1]], rights)
    finally:
        line.detach()
    os.close(descriptor)
    return message[sent:]
