"""What a caller gives that is no JSON: keys, moments and arrays that must not lose anything."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import uuid
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from orq_runtime import Limits
from orq_runtime._run import codec, exact
from orq_runtime._run.packing import Packing
from orq_runtime.errors import BadCall
from orq_runtime.model.checks import Checks

_SEAL = b"the seal of one!"


class Color(enum.Enum):
    """Members of two kinds."""

    RED = 1
    BLUE = "b"


def _sent(inputs: Mapping[Any, object]) -> object:
    packing = Packing(Limits(), Checks(), str)
    request = codec.encode_request(b"{}", inputs, seal=_SEAL, packing=packing)
    return json.loads(b"{" + b"".join(request.rest))["inputs"]


@pytest.mark.parametrize(
    ("key", "written"),
    [
        (1, "1"),
        (-(1 << 70), str(-(1 << 70))),
        (1.5, "1.5"),
        (Color.RED, "1"),
        (Color.BLUE, "b"),
        (dt.date(2020, 1, 2), "2020-01-02"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=5), str(uuid.UUID(int=5))),
    ],
)
def test_keys_are_written_as_the_guest_reads_them(key: object, written: str) -> None:
    """Numbers, members and what else is text in JSON, at any depth."""
    assert {"x": {"y": {written: 1}}} == _sent({"x": {"y": {key: 1}}})


@pytest.mark.parametrize("key", [True, None, (1, 2), float("nan"), 1j, frozenset(), object()])
def test_other_keys_are_refused(key: object) -> None:
    """With their place."""
    with pytest.raises(BadCall, match=r"`x\['y'\]` has a key that is neither"):
        _sent({"x": {"y": {key: 1}}})


@pytest.mark.parametrize("keys", [(1, "1"), (Color.BLUE, "b"), (Color.RED, 1), (1.5, "1.5")])
def test_no_key_takes_anothers_place(keys: tuple[object, object]) -> None:
    """Two that would be one in JSON are an error, not the last of them."""
    with pytest.raises(BadCall, match="has a second key that is written"):
        _sent({"x": {keys[0]: 1, keys[1]: 2}})


@pytest.mark.parametrize("name", [1, None, b"x"])
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
    """It names no parameter."""
    with pytest.raises(BadCall, match="name is no text"):
        _sent({name: 1})


@pytest.mark.parametrize(
    "moment",
    [
        dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30, seconds=15))),
        dt.datetime(2020, 1, 1, 1, 2, 3, 4, tzinfo=dt.timezone(-dt.timedelta(seconds=1))),
        dt.datetime(1, 1, 1, fold=0),
        dt.time(10, tzinfo=dt.UTC),
    ],
)
def test_a_moment_keeps_its_offset(moment: dt.datetime | dt.time) -> None:
    """To the second, which orjson rounds away."""
    assert {"x": moment.isoformat()} == _sent({"x": moment})


@pytest.mark.parametrize("moment", [dt.datetime(2020, 10, 25, 2, 30, fold=1), dt.time(2, fold=1)])
def test_a_fold_without_a_zone_is_refused(moment: object) -> None:
    """ISO 8601 cannot say it, and without it the moment would be another."""
    with pytest.raises(BadCall, match="`x` has a fold"):
        _sent({"x": moment})
    zone = dt.timezone(dt.timedelta(hours=1))
    at = dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=zone)
    assert {"x": "2020-10-25T02:30:00+01:00"} == _sent({"x": at})


def test_an_array_beside_null_is_sent() -> None:
    """What compares with an array is an array, and no answer."""
    np = pytest.importorskip("numpy")

    given = {"x": np.arange(3), "y": None, "z": np.array([[1.5]])}

    assert {"x": [0, 1, 2], "y": None, "z": [[1.5]]} == _sent(given)


def test_times_of_numpys_are_text() -> None:
    """Of any unit: nanoseconds are no integers."""
    np = pytest.importorskip("numpy")

    given = {
        "one": np.datetime64("2020-01-01T00:00:00", "ns"),
        "days": np.array(["2020-01-01"], dtype="M8[D]"),
        "length": np.timedelta64(1500, "ms"),
        "lengths": np.array([1], dtype="m8[ns]") * 1000,
    }

    assert {
        "one": "2020-01-01T00:00:00.000000000",
        "days": ["2020-01-01"],
        "length": "P0DT1.5S",
        "lengths": ["P0DT0.000001S"],
    } == _sent(given)


def test_what_json_would_drop_of_an_array_is_refused() -> None:
    """With the place and the reason: a mask, a structure, NaT, digits."""
    np = pytest.importorskip("numpy")
    refused: dict[str, object] = {
        "mask": np.ma.masked_array([1, 2], mask=[0, 1]),
        "structured": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "NaT": np.array(["NaT"], dtype="M8[s]"),
        "microsecond": np.array([1], dtype="m8[ns]"),
    }
    for reason, value in refused.items():
        with pytest.raises(BadCall, match=rf"`x\[0\]` .*{reason}"):
            _sent({"x": [value]})
    assert {"x": [1, 2]} == _sent({"x": np.ma.masked_array([1, 2])})


@pytest.mark.parametrize("text", ["NaN", "sNaN", "-Infinity"])
def test_a_decimal_that_is_no_number_is_refused(text: str) -> None:
    """As a float is, unless the caller lets it pass."""
    for inputs in ({"x": decimal.Decimal(text)}, {"x": {"a": [decimal.Decimal(text)]}}):
        with pytest.raises(BadCall, match="is not finite"):
            _sent(inputs)
    packing = Packing(Limits(), Checks(nan="allow"), str)
    request = codec.encode_request(
        b"{}", {"x": decimal.Decimal(text)}, seal=_SEAL, packing=packing, allow_nan=True
    )

    assert {"x": text} == json.loads(b"{" + b"".join(request.rest))["inputs"]


_NO_OFFSET: Any = type("NoOffset", (dt.tzinfo,), {"utcoffset": lambda _self, _moment: None})()


@pytest.mark.parametrize("moment", [dt.time(1), dt.datetime(2020, 1, 1)])
def test_a_zone_without_an_offset_is_refused(moment: Any) -> None:
    """ISO 8601 would drop it."""
    with pytest.raises(BadCall, match="without an offset"):
        _sent({"x": moment.replace(tzinfo=_NO_OFFSET)})


def test_an_integer_of_a_hundred_thousand_digits_is_sent() -> None:
    """And none that is longer, nor a key that the guest would not read."""
    assert 10**99_998 == _exactly({"x": 10**99_998})["x"]
    for inputs in ({"x": 10**100_000}, {"x": {10**5000: 1}}):
        with pytest.raises(BadCall, match="digits"):
            _sent(inputs)


def _exactly(inputs: Mapping[Any, object]) -> Any:
    packing = Packing(Limits(), Checks(), str)
    request = codec.encode_request(b"{}", inputs, seal=_SEAL, packing=packing)
    found: Any = exact.loads((b"{" + b"".join(request.rest)).decode())
    return found["inputs"]


def test_a_value_that_is_too_deep_is_told_in_short() -> None:
    """The place says it; a frame for each level does not."""
    deep: object = 1
    for _ in range(2000):
        deep = [deep]

    with pytest.raises(BadCall, match="nested too deeply") as caught:
        _sent({"x": deep})
    assert len(caught.traceback) < 10


def test_an_object_of_attrs_is_its_fields() -> None:
    """By the names that its class is made with."""
    names = [SimpleNamespace(name="a", alias=None), SimpleNamespace(name="_b", alias="c")]
    kind = type("Attrs", (), {"__attrs_attrs__": names, "a": 1, "_b": 2})

    assert {"x": {"a": 1, "c": 2}} == _sent({"x": kind()})
