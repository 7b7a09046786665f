"""numpy's values in the guest: what JSON would change is refused, what it holds comes back."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import pytest

from orq_sandbox import arrays, bind, encode, failure

# what an annotation is cannot be said in types: it is data here; the guest does not say either
Annotation = Any

_NANOSECOND: Final = "2020-01-01T00:00:00.123456789"


def _there(annotation: Annotation, value: object) -> Any:
    def f(x: object) -> object:
        return x

    f.__annotations__ = {"x": annotation}
    return bind.Call(f).bind({"x": value})[1]["x"]


def _back(value: object) -> Any:
    return orjson.loads(encode.encode(orjson, value)[1:])


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (npt.NDArray[np.datetime64], ["2020-01-01T00:00:00.000000"]),
        (npt.NDArray[np.datetime64], [_NANOSECOND]),
        (npt.NDArray[np.timedelta64], ["P1DT2.5S", "-P0DT0.000001S"]),
        (npt.NDArray[np.bytes_], ["aGk=", ""]),
        (npt.NDArray[np.complex128], [[[1.0, 2.0]]]),
        (npt.NDArray[np.float32], [16777216.0, 0.5, 0.0, -0.0]),
        (npt.NDArray[np.float64], [5e-324, -0.0, 9007199254740992.0]),
        (np.ndarray, [18446744073709551615]),
        (np.ndarray, [[[]], [[]]]),
        (np.complex128, [1.0, -2.0]),
        (np.timedelta64, "P0DT5S"),
        (np.datetime64, "2020-01-01T00:00:00.000000"),
    ],
)
def test_what_goes_in_comes_back(annotation: Annotation, value: object) -> None:
    """Every element, with its digits and its sign."""
    assert repr(value) == repr(_back(_there(annotation, value)))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        *((npt.NDArray[np.datetime64], [text]) for text in ("today", "now", "", "NaT", "2020")),
        (npt.NDArray[np.datetime64], ["2020-01-01T00:00:00+01:00"]),
        (npt.NDArray[np.datetime64], ["2020-01-01T00:00:00.1234567891"]),
        (npt.NDArray[np.datetime64], ["9999-01-01T00:00:00.123456789"]),
        (npt.NDArray[np.datetime64], [_NANOSECOND, "0001-01-01"]),
        (npt.NDArray[np.datetime64], ["2020-02-30"]),
        (npt.NDArray[np.timedelta64], [1]),
        (npt.NDArray[np.bytes_], ["YQA="]),
        (npt.NDArray[np.bytes_], ["a"]),
        (npt.NDArray[np.float32], [16777217]),
        (npt.NDArray[np.float32], [1e-50]),
        (npt.NDArray[np.float32], [1e39]),
        (npt.NDArray[np.float16], [2049]),
        (npt.NDArray[np.float64], [9007199254740993]),
        (npt.NDArray[np.int8], [128]),
        (np.ndarray, [1, True]),
        (np.ndarray, 5),
        (np.complex64, [1.0]),
        (np.complex128, [9007199254740993, 0]),
    ],
)
def test_what_would_become_another_is_refused(annotation: Annotation, value: object) -> None:
    """No text that only numpy understands, no digit and no unit is lost."""
    with pytest.raises(failure.Refusal) as caught:
        _there(annotation, value)

    problems: Any = caught.value.body["problems"]
    assert ("wrong_type", "x") == (caught.value.verdict, problems[0]["path"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.zeros((0, 3)), "shape"),
        (np.zeros((2, 0, 3)), "shape"),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0], "structured"),
        (np.array([b"ab"], dtype="V2"), "V2"),
        (np.ma.array([1, 2], mask=[False, True]), "mask"),
        (np.array(["NaT"], dtype="M8[D]"), "NaT"),
        (np.array([1], dtype="m8[ns]"), "microsecond"),
        (np.longdouble(1) / 3, "digits"),
    ],
)
def test_what_json_would_drop_is_refused(value: object, reason: str) -> None:
    """With the reason, as a result or inside one."""
    for result in (value, [value], {"a": value}):
        with pytest.raises(failure.Refusal, match=reason):
            encode.encode(orjson, result)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.array(["2020"], dtype="M8[Y]"), ["2020-01-01"]),
        (np.array(["2020-05"], dtype="M8[M]"), ["2020-05-01"]),
        (np.array(["2020-01-01T05"], dtype="M8[h]"), ["2020-01-01T05:00"]),
        (np.array([0.5], dtype=np.longdouble), [0.5]),
        (np.clongdouble(1j), [0.0, 1.0]),
        (np.zeros((3, 0)), [[], [], []]),
        (np.zeros(0), []),
        (np.array([1, 2], dtype=">i4"), [1, 2]),
        (np.arange(6).reshape(2, 3)[:, ::2], [[0, 2], [3, 5]]),
        (np.asfortranarray(np.arange(4).reshape(2, 2)), [[0, 1], [2, 3]]),
        (np.array([10**30, None, "a"], dtype=object), [10**30, None, "a"]),
    ],
)
def test_every_layout_is_written_alike(value: object, written: object) -> None:
    """Byte order, strides and units are no part of the values."""
    document = encode.encode(orjson, value)

    if document[:1] == encode.BIG:
        assert str(10**30).encode() in document
    else:
        assert written == orjson.loads(document[1:])


def test_the_class_counts() -> None:
    """An object that says it is an array is none."""
    liar = type("Liar", (), {"__class__": np.ndarray})()

    assert not arrays.checker(np.ndarray, np.ndarray).accepts(liar)
