"""pandas and pyarrow on the caller's side: what goes in, and what is refused, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orq_runtime import Blob, Outcome, Runtime, Step
from orq_runtime.errors import BadCall

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
np = pytest.importorskip("numpy")

pytestmark = [pytest.mark.network, pytest.mark.slow]

_LARGE = 30_000
_SOURCE = """
import datetime as dt
from typing import Any, List
import numpy as np, pandas as pd, pyarrow as pa

def frame(x: pd.DataFrame) -> pd.DataFrame: return x
def types(x: pd.DataFrame) -> list: return [str(one) for one in x.dtypes]
def series(x: pd.Series) -> pd.Series: return x
def kind(x: pd.Series) -> str: return str(x.dtype)
def table(x: pa.Table) -> pa.Table: return x
def numbers(x: List[int]) -> int: return sum(x)
def whole(x: int) -> int: return x
def moment(x: dt.datetime) -> dt.datetime: return x
def stamp(x: pd.Timestamp) -> pd.Timestamp: return x
def anything(x): return x
def named(n: int): return pd.DataFrame({"a": range(n)}).set_index("a")
def infinite(n: int): return pd.DataFrame({"a": [1.0] * n + [float("inf")]})
def missing(n: int): return pa.table({"a": [1.0] * n + [None]})
def not_a_number(n: int): return pa.table({"a": [1.0] * n + [float("nan")]})
def nested(n: int): return pa.table({"a": [[1.0, 2.0]] * n + [[float("inf")]]})
def deep(n: int): return pa.table({"a": [{"x": [1.0]}] * n + [{"x": [float("nan")]}]})
def mixed(n: int): return pd.DataFrame({"a": ["x"] * n + [float("nan")]}, dtype=object)
def nan_row(n: int): return pd.Series([1.0] * n + [float("nan")])
"""


@pytest.fixture(scope="module")
def runtime(cache_dir: Path) -> Iterator[Runtime]:
    """Behind the strongest wall."""
    with Runtime(cache_dir=cache_dir, isolation="namespaces") as made:
        yield made


def _run(runtime: Runtime, function: str, **inputs: object) -> Outcome:
    wanted = ["numpy", "pandas", "pyarrow"]
    step = Step(source=_SOURCE, function=function, requirements=wanted)
    return runtime.run(step, inputs, check=False)


def _columns(value: Any) -> Any:
    """As an object of columns, large or small."""
    if isinstance(value, Blob):
        return pa.ipc.open_stream(value.memoryview()).read_all().to_pydict()
    return value


@pytest.mark.parametrize("n", [3, _LARGE])
def test_a_frame_is_a_frame_whatever_its_size(runtime: Runtime, n: int) -> None:
    """For either library's parameter, from either library's table, with the types it had."""
    frame = pd.DataFrame({"a": np.arange(n), "b": ["x"] * n})
    frame["t"] = pd.to_datetime(["2020-01-01"] * n)
    expected = {"a": list(range(n)), "b": ["x"] * n}

    for function in ("frame", "table"):
        for given in (frame[["a", "b"]], pa.table(expected)):
            outcome = _run(runtime, function, x=given)
            assert expected == _columns(outcome.value), outcome.failure
    assert [str(one) for one in frame.dtypes] == _run(runtime, "types", x=frame).value


@pytest.mark.parametrize("n", [3, _LARGE])
def test_a_series_is_a_series_whatever_its_size(runtime: Runtime, n: int) -> None:
    """A list in JSON, an array beside it; for a list it is one."""
    series = pd.Series(np.arange(n, dtype="i4"))

    assert series.tolist() == list(_as_any(_run(runtime, "series", x=series).value))
    assert ("int32" if n == _LARGE else "int64") == _run(runtime, "kind", x=series).value
    assert sum(range(n)) == _run(runtime, "numbers", x=series).value
    assert ["a", None] * n == _run(runtime, "series", x=pd.Series(["a", None] * n)).value


def _as_any(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        ("whole", lambda: np.int64(5), 5),
        ("numbers", lambda: pd.Index([1, 2]), 3),
        ("moment", lambda: np.datetime64("2020-01-01", "ns"), "2020-01-01T00:00:00"),
        ("moment", lambda: pd.Timestamp("2020-01-01", tz="UTC"), "2020-01-01T00:00:00+00:00"),
        ("stamp", lambda: pd.Timestamp("2020-01-01T00:00:00.5"), "2020-01-01T00:00:00.500000"),
        (
            "anything",
            lambda: [pd.NA, pd.NaT, np.float32(0.5), np.bool_(True)],
            [None, None, 0.5, 1],
        ),
        ("anything", lambda: {np.int64(1): pd.Series([pd.NaT, pd.NaT])}, {"1": [None, None]}),
    ],
)
def test_single_values_are_what_they_were(
    runtime: Runtime, function: str, given: Any, expected: object
) -> None:
    """Numpy's numbers and pandas's moments; what is missing is null."""
    assert expected == _run(runtime, function, x=given()).value


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (lambda: pd.Series([1], index=[5]), "index of its own"),
        (lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), "Duplicate column"),
        (lambda: pd.Series([1.0, np.nan]), "not finite"),
        (lambda: pd.Series([1.0] * _LARGE + [np.nan]), "NaN"),
        (lambda: pd.DataFrame({"a": [1.0, np.nan]}), "NaN"),
        (lambda: pd.DataFrame({"a": [1.0] * _LARGE + [np.inf]}), "NaN or inf"),
        (lambda: pa.table({"a": [1.0, float("nan")]}), "NaN"),
        (lambda: pd.Timedelta(1, "ns"), "microsecond"),
    ],
)
def test_what_would_be_lost_is_refused(runtime: Runtime, given: Any, reason: str) -> None:
    """Before anything runs, whatever the size."""
    with pytest.raises(BadCall, match=reason):
        _run(runtime, "anything", x=given())


def test_what_is_missing_is_no_nan(runtime: Runtime) -> None:
    """Null in a column of floats passes, both ways."""
    for given in (pa.table({"a": [1.0, None]}), pd.DataFrame({"a": pd.array([1.0, None])})):
        assert {"a": [1.0, None]} == _columns(_run(runtime, "table", x=given).value)
    for n in (1, _LARGE):
        assert [1.0] * n + [None] == _columns(_run(runtime, "missing", n=n).value)["a"]


@pytest.mark.parametrize("n", [2, _LARGE])
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("named", "index of its own"),
        ("infinite", "not finite"),
        ("not_a_number", "not finite"),
        ("nan_row", "not finite"),
        ("nested", "not finite"),
        ("deep", "not finite"),
        ("mixed", "not finite"),
    ],
)
def test_a_result_is_refused_whatever_its_size(
    runtime: Runtime, function: str, reason: str, n: int
) -> None:
    """An index with a name, a number that is none: in JSON and beside it."""
    outcome = _run(runtime, function, n=n)

    assert ("not_encodable", True) == (
        outcome.verdict,
        reason in (outcome.failure.message if outcome.failure else ""),
    )
