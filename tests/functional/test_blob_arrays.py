"""Arrays and tables beside the JSON, in environments that have numpy, pandas and pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orq_runtime import Blob, Outcome, Runtime, Step

np = pytest.importorskip("numpy")

pytestmark = [pytest.mark.network, pytest.mark.slow]

_SOURCE = """
import numpy as np, pandas as pd, pyarrow as pa

def same(x: np.ndarray) -> np.ndarray: return x
def changed(x: np.ndarray) -> np.ndarray:
    x += 1
    return x
def anything(x): return [type(x).__name__, x]
def numbers(x: list) -> float: return sum(x)
def frame(n: int) -> pd.DataFrame: return pd.DataFrame({"a": np.arange(n), "b": ["x"] * n})
def table(n: int) -> pa.Table: return pa.table({"a": np.arange(n)})
def rows(x: pd.DataFrame) -> int: return int(x["a"].sum())
def height(x: pa.Table) -> int: return x.num_rows
def objects(): return np.array(["x", 1, None] * 9000, dtype=object)
def structure(): return np.zeros(9000, dtype=[("a", "f8"), ("b", "i4")])
def masked(): return np.ma.masked_array(np.zeros(9000), mask=[True] + [False] * 8999)
def holed(): return {"deep": [np.array([1.0, np.nan] * 9000)]}
def indexed(n: int): return pd.DataFrame({"a": np.arange(n)}, index=np.arange(n) + 1)
"""
_ARRAYS = [
    np.arange(70_000, dtype="u1"),
    np.arange(9000, dtype=">f8"),
    np.arange(18_000, dtype="<f4").reshape(3, 50, 120, order="F"),
    np.arange(90_000, dtype="<i8").reshape(300, 300)[::2, ::-3],
    np.arange(9000, dtype="<i8").astype("M8[s]"),
    np.arange(9000).astype("U5"),
    np.arange(19_000).astype("S4"),
    np.arange(9000) * (1 + 2j),
    np.arange(70_000) % 3 == 0,
    np.arange(40_000, dtype="f2"),
]


@pytest.fixture(scope="module", params=["zygote", "exec"])
def runtime(request: pytest.FixtureRequest, cache_dir: Path) -> Iterator[Runtime]:
    """Both starts behind the strongest wall."""
    with Runtime(cache_dir=cache_dir, start=request.param, isolation="namespaces") as made:
        yield made


def _run(runtime: Runtime, function: str, **inputs: object) -> Outcome:
    wanted = ["numpy", "pandas", "pyarrow"]
    step = Step(source=_SOURCE, function=function, requirements=wanted)
    return runtime.run(step, inputs, check=False)


@pytest.mark.parametrize("array", _ARRAYS, ids=lambda array: f"{array.dtype.str}-{array.shape}")
def test_an_array_stays_what_it_was(runtime: Runtime, array: Any) -> None:
    """dtype, byte order, shape and every element; and the host's cannot be written to."""
    outcome = _run(runtime, "same", x=array)

    back: Any = outcome.value
    assert outcome.ok, outcome.failure
    assert (array.dtype, array.shape) == (back.dtype, back.shape)
    assert np.array_equal(array, back)
    assert not back.flags.writeable


@pytest.mark.parametrize("array", [np.array(2.5), np.empty((0, 3)), np.ones((2, 2), order="F")])
def test_a_small_array_travels_as_a_blob_if_asked(runtime: Runtime, array: Any) -> None:
    """Without dimensions, without elements: whatever its size."""
    outcome = _run(runtime, "anything", x=Blob.of(array))

    assert outcome.ok, outcome.failure
    back: Any = outcome.value
    name, inside = back
    assert "ndarray" == name
    assert array.shape == np.shape(inside)
    assert np.array_equal(array, inside)


def test_a_step_may_write_to_its_array(runtime: Runtime) -> None:
    """As to one that came as a list; the caller's own is left alone. (8 MB are mapped.)"""
    mine = np.zeros(1_000_000)

    outcome = _run(runtime, "changed", x=mine)

    assert (1_000_000.0, 0.0) == (float(np.sum(outcome.value)), mine.sum()), outcome.failure


def test_what_is_annotated_otherwise_gets_what_json_has(runtime: Runtime) -> None:
    """A list parameter takes a large array as it takes a small one."""
    outcome = _run(runtime, "numbers", x=np.arange(50_000))

    assert 1_249_975_000 == outcome.value, outcome.failure


def test_tables_are_arrow_streams(runtime: Runtime) -> None:
    """They come as blobs, and go in again for either library's class."""
    frame = _run(runtime, "frame", n=20_000)
    table = _run(runtime, "table", n=20_000)

    assert isinstance(frame.value, Blob), frame.failure
    assert isinstance(table.value, Blob), table.failure
    assert ("arrow", "arrow") == (frame.value.dtype, table.value.dtype)
    total = 20_000 * 19_999 // 2
    assert (total, total) == tuple(
        _run(runtime, "rows", x=one.value).value for one in (frame, table)
    )
    assert (20_000, 20_000) == tuple(
        _run(runtime, "height", x=one.value).value for one in (frame, table)
    )
    kinds = [_run(runtime, "anything", x=one.value) for one in (frame, table)]
    assert [["DataFrame"], ["Table"]] == [k.value[:1] for k in kinds if isinstance(k.value, list)]


@pytest.mark.parametrize(
    ("function", "inputs", "reason"),
    [
        ("structure", {}, "structured"),
        ("masked", {}, "mask"),
        ("holed", {}, "not finite"),
        ("indexed", {"n": 20_000}, "index"),
    ],
)
def test_what_json_would_drop_is_refused(
    runtime: Runtime, function: str, inputs: dict[str, object], reason: str
) -> None:
    """Large or small: a structure, a mask, NaN, an index; with the reason and the place."""
    outcome = _run(runtime, function, **inputs)

    assert "not_encodable" == outcome.verdict
    assert outcome.failure is not None
    assert reason in outcome.failure.message


def test_objects_go_inside_the_json(runtime: Runtime) -> None:
    """An array of objects is never pickled: it is a list, of what JSON has."""
    outcome = _run(runtime, "objects")

    assert ["x", 1, None] * 9000 == outcome.value, outcome.failure


def test_nan_passes_where_it_is_allowed(cache_dir: Path) -> None:
    """Both ways, with `nan="allow"`; without, the call is refused before anything runs."""
    with Runtime(cache_dir=cache_dir, isolation="namespaces", nan="allow") as runtime:
        array = np.array([1.0, np.nan, np.inf] * 9000)

        outcome = _run(runtime, "same", x=array)

    assert np.array_equal(array, outcome.value, equal_nan=True), outcome.failure
