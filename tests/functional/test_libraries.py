"""Values of libraries that a step's environment has: models, tables, arrays, bounds."""

from __future__ import annotations

import pytest

import guest_matrix
from orq_runtime import Runtime, Step

pytestmark = [pytest.mark.network, pytest.mark.slow]

_SECOND = """
import datetime as dt
from typing import Annotated, Generic, List, Optional, TypeVar
import pydantic
from annotated_types import Gt
T = TypeVar("T")
class Item(pydantic.BaseModel):
    n: int
    when: Optional[dt.date] = None
class Order(pydantic.BaseModel):
    items: List[Item]
    total: float = pydantic.Field(0.0, alias="Total")
    tags: List[str] = []
    @pydantic.field_validator("tags", mode="before")
    @classmethod
    def split(cls, value):
        return value.split(",") if isinstance(value, str) else value
class Box(pydantic.BaseModel, Generic[T]):
    item: T
def order(x: Order) -> Order: return x
def box(x: Box[int]) -> Box[int]: return x
def either(x: "Order | int | None" = None): return type(x).__name__
def positive(x: Annotated[int, Gt(0)]) -> pydantic.PositiveInt: return x
class Loose(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    n: int
    any: object = None
def past_validation() -> Item: return Item.model_construct(n="x")
def assigned() -> Item:
    item = Item(n=1)
    item.n = "x"
    return item
def incomplete() -> Item: return Item.model_construct()
def infinite() -> Loose: return Loose(n=1, any=[None, {"a": float("inf")}])
def extra() -> Loose: return Loose(n=1, more=float("nan"))
"""
_FIRST = """
import datetime as dt
from typing import List, Optional
import attr, pydantic
class Item(pydantic.BaseModel):
    n: int
    when: Optional[dt.date] = None
class Order(pydantic.BaseModel):
    items: List[Item]
    total: float = pydantic.Field(0.0, alias="Total")
    tags: List[str] = []
    @pydantic.validator("tags", pre=True)
    def split(cls, value):
        return value.split(",") if isinstance(value, str) else value
@attr.s(auto_attribs=True)
class Attrs:
    x: int
    _y: List[int] = attr.Factory(list)
    z: int = attr.ib(default=0, converter=int)
def order(x: Order) -> Order: return x
def attrs(x: Attrs) -> Attrs: return x
"""
_TABLES = """
import datetime as dt
from typing import Dict, Literal, Optional
import numpy as np, numpy.typing as npt, pandas as pd, pyarrow as pa
def frame(x: pd.DataFrame) -> pd.DataFrame: return x
def series(x: pd.Series) -> pd.Series: return x
def table(x: pa.Table) -> pa.Table: return x
def floats(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]: return x
def small(x: npt.NDArray[np.int8]): return str(x.dtype)
def square(x: np.ndarray[tuple[Literal[2], int], np.dtype[np.float64]]): return list(x.shape)
def scalar(x: np.float32) -> np.float32: return x
def by_name(x: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]: return x
def wrong() -> npt.NDArray[np.int64]: return np.array([1.5])
def indexed(): return pd.DataFrame({"a": [1]}, index=["i"])
def missing(): return pd.Series([1.0, None])
def moment() -> dt.datetime: return pd.NaT
def fine(): return pd.DataFrame({"a": pd.to_timedelta([1], unit="ns")})
def lasting(x: pd.Timedelta) -> pd.Timedelta: return x
def index() -> pd.Index: return pd.Index([1, 2])
"""
_REQUIREMENTS = {
    _SECOND: ["pydantic>=2.5", "annotated-types"],
    _FIRST: ["pydantic<2", "attrs<22"],
    _TABLES: ["numpy", "pandas", "pyarrow"],
}
_ORDER = {"items": [{"n": 1, "when": "2022-07-01"}], "Total": 2.5, "tags": ["a"]}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """One store for the environments of all tests."""
    return Runtime(cache_dir=tmp_path_factory.mktemp("cache"), isolation="process")


def _step(source: str, function: str) -> Step:
    return Step(source=source, function=function, requirements=_REQUIREMENTS[source])


@pytest.mark.parametrize(
    ("source", "function", "value", "back"),
    [
        (_SECOND, "order", _ORDER, _ORDER),
        (_SECOND, "order", {"items": [], "tags": "a,b"}, None),
        (_SECOND, "box", {"item": 1}, {"item": 1}),
        (_SECOND, "either", {"items": []}, "Order"),
        (_SECOND, "either", 5, "int"),
        (_SECOND, "positive", 1, 1),
        (_FIRST, "order", _ORDER, _ORDER),
        (_FIRST, "order", {"items": [], "tags": "a,b"}, None),
        (_FIRST, "attrs", {"x": 1, "y": [2], "z": "3"}, {"x": 1, "y": [2], "z": 3}),
        (_TABLES, "frame", {"a": [1, 2], "b": ["x", None]}, {"a": [1, 2], "b": ["x", None]}),
        (_TABLES, "frame", {"a": [1, None]}, {"a": [1, None]}),
        (_TABLES, "series", [1.5, 2], [1.5, 2.0]),
        (_TABLES, "table", {"a": [1, None]}, {"a": [1, None]}),
        (_TABLES, "floats", [[1, 2.5], [3, 4]], [[1.0, 2.5], [3.0, 4.0]]),
        (_TABLES, "small", [1, 127], "int8"),
        (_TABLES, "square", [[1], [2]], [2, 1]),
        (_TABLES, "scalar", 0.5, 0.5),
        (_TABLES, "lasting", "P1DT0.5S", "P1DT0.5S"),
        (_TABLES, "by_name", {"a": [1], "b": [[True]]}, {"a": [1], "b": [[True]]}),
    ],
)
def test_values_of_a_library_go_in_and_come_out(
    runtime: Runtime, source: str, function: str, value: object, back: object
) -> None:
    """Each becomes what it is annotated with, and JSON again."""
    outcome = runtime.run(_step(source, function), {"x": value}, check=False)

    assert outcome.verdict == "ok", outcome.failure
    assert back is None or back == outcome.value


@pytest.mark.parametrize(
    ("source", "function", "value", "path"),
    [
        (_SECOND, "order", {"items": [{"n": "1"}]}, "x.items[0].n"),
        (_SECOND, "order", {}, "x.items"),
        (_SECOND, "box", {"item": "1"}, "x.item"),
        (_SECOND, "positive", 0, "x"),
        (_FIRST, "order", {"items": [{"n": "1"}]}, "x.items[0].n"),
        (_FIRST, "attrs", {"x": "1"}, "x.x"),
        (_FIRST, "attrs", {"x": 1, "q": 1}, "x.q"),
        (_TABLES, "frame", {"a": [1], "b": []}, "x"),
        (_TABLES, "frame", [{"a": 1}], "x"),
        (_TABLES, "frame", {"a": [9007199254740993, 0.5]}, "x"),
        (_TABLES, "series", [9007199254740993, 0.5, None], "x"),
        (_TABLES, "lasting", "1 day", "x"),
        (_TABLES, "floats", ["1"], "x"),
        (_TABLES, "floats", [True], "x"),
        (_TABLES, "floats", [[1], [2, 3]], "x"),
        (_TABLES, "small", [128], "x"),
        (_TABLES, "small", [1.5], "x"),
        (_TABLES, "square", [[1], [2], [3]], "x"),
        (_TABLES, "by_name", {"a": [1, "b"]}, "x['a']"),
    ],
)
def test_nothing_is_coerced_by_a_library(
    runtime: Runtime, source: str, function: str, value: object, path: str
) -> None:
    """What a library would take for something else is refused, at its place."""
    outcome = runtime.run(_step(source, function), {"x": value}, check=False)

    assert outcome.failure is not None
    assert ("wrong_type", path) == (outcome.verdict, outcome.failure.problems[0].path)


@pytest.mark.parametrize(
    ("source", "function", "verdict", "words"),
    [
        (_TABLES, "wrong", "wrong_result", "an array of float64"),
        (_TABLES, "indexed", "not_encodable", "an index of its own"),
        (_TABLES, "missing", "not_encodable", "is not finite"),
        (_TABLES, "moment", "wrong_result", "expected dt.datetime"),
        (_TABLES, "fine", "not_encodable", "parts of a microsecond"),
        (_SECOND, "past_validation", "not_encodable", "field_name='n'"),
        (_SECOND, "assigned", "not_encodable", "field_name='n'"),
        (_SECOND, "incomplete", "not_encodable", "no value for its field `n`"),
        (_SECOND, "infinite", "not_encodable", "`return['any'][1]['a']` is not finite"),
        (_SECOND, "extra", "not_encodable", "`return['more']` is not finite"),
    ],
)
def test_what_json_would_drop_is_refused(
    runtime: Runtime, source: str, function: str, verdict: str, words: str
) -> None:
    """An index, a dtype, NaN and what no validation has seen are not lost in silence."""
    outcome = runtime.run(_step(source, function), check=False)

    assert verdict == outcome.verdict
    assert outcome.failure is not None
    assert words in outcome.failure.message


def test_an_index_is_a_list(runtime: Runtime) -> None:
    """As one that a caller gives."""
    assert [1, 2] == runtime.run(_step(_TABLES, "index")).value


_TYPEGUARDED = """
from typing import List
import typeguard
@typeguard.typechecked
def f(n: int, xs: List[int] = []) -> int:
    return n
"""


@pytest.mark.parametrize("pin", ["typeguard==2.13.3", "typeguard>=4"])
def test_a_function_that_typeguard_decorates_keeps_its_signature(
    runtime: Runtime, pin: str
) -> None:
    """By the step's own copy, whatever its version, beside the one that we check with."""
    step = Step(source=_TYPEGUARDED, function="f", requirements=[pin])

    assert 1 == runtime.run(step, {"n": 1}).value
    wrong = runtime.run(step, {"n": 1, "xs": ["a"]}, check=False)
    assert wrong.failure is not None
    assert ("wrong_type", "xs[0]") == (wrong.verdict, wrong.failure.problems[0].path)


_FORMS = """
import sys
from typing import List
import typing_extensions as te
class Movie(te.TypedDict, total=False):
    title: str
    years: "List[int]"
class Named(te.Protocol):
    def __len__(self) -> int: ...
def movie(x: Movie) -> Movie: return x
def one(x: te.Literal["a", 1]) -> te.Literal["a", 1]: return x
def noted(x: te.Annotated[int, "note"]) -> te.Annotated[int, "note"]: return x
def named(x: Named) -> Named: return x
def required(x): return x
if hasattr(te, "NotRequired"):
    class Film(te.TypedDict):
        title: te.Required[str]
        year: te.NotRequired[int]
    def required(x: Film) -> Film: return x
"""


@pytest.mark.parametrize("pin", ["typing_extensions==3.10.0.2", "typing_extensions>=4.8"])
def test_forms_of_any_copy_of_typing_extensions_are_known(runtime: Runtime, pin: str) -> None:
    """An old and a new copy in the step's environment, beside the one that we check with."""
    oldest = guest_matrix.find_interpreters()[0]

    def verdict(function: str, value: object) -> str:
        step = Step(source=_FORMS, function=function, requirements=[pin], python=str(oldest.path))
        return runtime.run(step, {"x": value}, check=False).verdict

    rows = {
        "movie": ({"title": "a", "years": [1]}, {"years": ["a"]}),
        "one": ("a", True),
        "noted": (1, "a"),
        "named": ("abc", 1),
        "required": ({"title": "a"}, {"year": 1} if ">=" in pin else None),
    }
    expected = dict.fromkeys(rows, ("ok", "wrong_type"))
    if "==" in pin:
        expected["required"] = ("ok", "ok")
    assert expected == {
        name: (verdict(name, right), verdict(name, wrong)) for name, (right, wrong) in rows.items()
    }
