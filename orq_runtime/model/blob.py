"""Large values that travel beside the JSON: bytes, arrays and Arrow tables.

A document with blobs apart is plain JSON with null in their places, and a list of where each was.
"""

from __future__ import annotations

import base64
import importlib
import math
import sys
from collections.abc import Callable, Mapping
from typing import Final, Protocol, Self, TypeAlias, cast

from orq_runtime.errors import RequestError
from orq_runtime.model.npy import Order, item_bytes

View: TypeAlias = memoryview  # the class below has a method of that name

__all__ = ["ARROW", "BYTES", "Blob", "apart", "is_array", "joined", "plain"]

BYTES: Final = "bytes"
ARROW: Final = "arrow"


class Blob:
    """Bytes with their meaning, read-only.

    `dtype` is `bytes`, `arrow` (an Arrow IPC stream of a table), or numpy's name of an array's
    elements, such as `<f8`; then `shape` and `order` (`C` or `F`) say how they lie. A result's blob
    lives in memory that the run filled and cannot change any more: nothing is copied until
    `to_bytes`. `to_numpy` gives a view where numpy is installed. An input may be a blob as well,
    of any size.

    Equal by dtype, shape, order and content; one of `bytes` is equal to such bytes too. Pickles and
    copies hold the content. Raises `RequestError` for a dtype that is none, or bytes that do not
    fill the shape.
    """

    __slots__ = ("_view", "dtype", "order", "shape")

    dtype: str
    shape: tuple[int, ...]
    order: Order
    _view: View

    def __init__(
        self,
        content: bytes | bytearray | memoryview,
        *,
        dtype: str = BYTES,
        shape: tuple[int, ...] | None = None,
        order: Order = "C",
    ) -> None:
        view = memoryview(content)
        view = view.toreadonly() if view.format == "B" and view.ndim == 1 else _flat(view)
        is_plain = dtype in (BYTES, ARROW)
        size = 1 if is_plain else _size_of(dtype)
        if shape is None:
            shape = (view.nbytes // size if size else 0,)
        if order not in ("C", "F") or (is_plain and len(shape) != 1):
            raise RequestError(f"no blob of `{dtype}` has the shape `{shape}`")
        if math.prod(shape) * size != view.nbytes:
            raise RequestError(f"{view.nbytes} bytes are no `{dtype}` of shape `{shape}`")
        put = object.__setattr__
        put(self, "_view", view)
        put(self, "dtype", dtype)
        put(self, "shape", tuple(shape))
        put(self, "order", order)

    @classmethod
    def of(cls, value: object) -> Self:
        """The blob of bytes or of a numpy array, which is only copied if it has gaps.

        Raises `RequestError` for anything else, and for arrays of objects or structures.
        """
        if isinstance(value, bytes | bytearray | memoryview):
            return cls(value)
        if not is_array(value):
            raise RequestError(f"no blob is made of a value of type `{type(value).__qualname__}`")
        numpy = sys.modules["numpy"]
        array = cast("_Array", value)
        masked = sys.modules.get("numpy.ma")
        if masked is not None and isinstance(value, masked.MaskedArray):
            raise RequestError("an array with a mask cannot travel", hint="fill it first")
        if array.dtype.hasobject or array.dtype.names:
            raise RequestError(
                f"an array of `{array.dtype}` cannot travel: it would have to be pickled",
                hint="give an array of numbers, times or text; columns of a structure one by one",
            )
        order: Order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        rows = numpy.ascontiguousarray(array.T if order == "F" else array)
        flat = rows.reshape(-1).view(numpy.uint8) if rows.nbytes else b""
        return cls(memoryview(flat), dtype=array.dtype.str, shape=array.shape, order=order)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a blob cannot be changed: `{name}`")

    @property
    def nbytes(self) -> int:
        """The length of the content."""
        return self._view.nbytes

    def memoryview(self) -> View:
        """The content as read-only bytes, not copied."""
        return self._view

    def to_bytes(self) -> bytes:
        """A copy of the content."""
        return self._view.tobytes()

    def to_numpy(self) -> object:
        """A read-only array over the content, not copied. Raises ImportError without numpy."""
        numpy = importlib.import_module("numpy")  # optional: only for those who ask
        if self.dtype in (BYTES, ARROW):
            made: object = numpy.frombuffer(self._view, numpy.uint8)
            return made
        dtype = numpy.dtype(self.dtype)
        return numpy.ndarray(self.shape, dtype, buffer=self._view, order=self.order)

    def __buffer__(self, _flags: int, /) -> View:
        return self._view

    def __bytes__(self) -> bytes:
        return self.to_bytes()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a blob without dimensions has no length")
        return self.shape[0]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Blob):
            mine = (self.dtype, self.shape, self.order)
            return mine == (other.dtype, other.shape, other.order) and self._view == other._view
        if isinstance(other, bytes | bytearray | memoryview):
            return self.dtype == BYTES and self._view == other
        return NotImplemented

    def __repr__(self) -> str:
        return f"Blob(dtype={self.dtype!r}, shape={self.shape!r}, nbytes={self.nbytes})"

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _remade, (self.to_bytes(), self.dtype, self.shape, self.order)

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # nobody can change it

    def to_json(self) -> dict[str, object]:
        """A JSON object from which `from_json` makes an equal blob."""
        return {
            "dtype": self.dtype,
            "shape": list(self.shape),
            "order": self.order,
            "base64": base64.b64encode(self._view).decode("ascii"),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """The blob that `to_json` wrote. Raises `RequestError` for anything else."""
        dtype, shape = document.get("dtype"), document.get("shape")
        order, text = document.get("order"), document.get("base64")
        if (
            document.keys() != {"dtype", "shape", "order", "base64"}
            or not isinstance(dtype, str)
            or not isinstance(shape, list)
            or not all(type(size) is int for size in shape)
            or order not in ("C", "F")
            or not isinstance(text, str)
        ):
            raise RequestError("not a blob: it has `dtype`, `shape`, `order` and `base64`")
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise RequestError("not a blob: its content is no base64") from error
        return cls(content, dtype=dtype, shape=tuple(shape), order=order)


class _Dtype(Protocol):
    hasobject: bool
    names: object
    str: str


class _Flags(Protocol):
    f_contiguous: bool
    c_contiguous: bool


class _Array(Protocol):
    """What is asked of a numpy array, whose class no import of ours names."""

    dtype: _Dtype
    flags: _Flags
    shape: tuple[int, ...]
    T: _Array


def is_array(value: object) -> bool:
    """Whether it is a numpy array. numpy is not imported: who has one has done so."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _remade(content: bytes, dtype: str, shape: tuple[int, ...], order: Order) -> Blob:
    return Blob(content, dtype=dtype, shape=shape, order=order)


def _flat(view: memoryview) -> memoryview:
    return view.toreadonly().cast("B") if view.c_contiguous else memoryview(view.tobytes())


def _size_of(dtype: str) -> int:
    try:
        return item_bytes(dtype)
    except ValueError as error:
        raise RequestError(str(error)) from error


# -- documents -----------------------------------------------------------------------------------


def apart(value: object) -> tuple[object, list[dict[str, object]]]:
    """The value with null in place of every blob or array, and those with where they were."""
    found: list[dict[str, object]] = []

    def taken(one: Blob, path: list[object]) -> None:
        found.append({"at": path, **one.to_json()})

    return _replaced(value, [], taken), found


def plain(value: object) -> object:
    """The value as JSON for people: bytes as base64 text, arrays as objects that hold it."""
    made, found = apart(value)
    for one in found:
        at = one.pop("at")
        content = one["base64"] if one["dtype"] == BYTES else one
        made = _put(made, cast("list[object]", at), content)
    return made


def joined(value: object, found: object) -> object:
    """The value that `apart` took blobs from. Raises `RequestError` for what it did not write."""
    if not isinstance(found, list):
        raise RequestError("`blobs` is a list")
    for one in found:
        if not isinstance(one, Mapping) or not isinstance(one.get("at"), list):
            raise RequestError("a blob without its place (`at`)")
        blob = Blob.from_json({name: part for name, part in one.items() if name != "at"})
        try:
            value = _put(value, one["at"], blob)
        except (LookupError, TypeError) as error:
            raise RequestError(f"no value has the place `{one['at']}`") from error
    return value


_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def _replaced(
    value: object, path: list[object], taken: Callable[[Blob, list[object]], None]
) -> object:
    if isinstance(value, Blob) or is_array(value):
        taken(value if isinstance(value, Blob) else Blob.of(value), path)
        return None
    if isinstance(value, dict):
        return {key: _replaced(item, [*path, key], taken) for key, item in value.items()}
    if isinstance(value, list):
        if set(map(type, value)) <= _SCALARS:
            return list(value)
        return [_replaced(item, [*path, index], taken) for index, item in enumerate(value)]
    return value


def _put(value: object, path: list[object], content: object) -> object:
    """The value with the content in place of the null at that path."""
    if not path:
        if value is not None:
            raise LookupError
        return content
    step, *rest = path
    if isinstance(value, dict):
        return {**value, step: _put(value[step], rest, content)}
    if not isinstance(value, list) or type(step) is not int:
        raise LookupError
    made = list(value)
    made[step] = _put(made[step], rest, content)
    return made
