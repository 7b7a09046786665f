"""Any value of any type of the table, out as JSON and in again: it is what it was."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from pathlib import PurePosixPath
from typing import Any, Generic, NamedTuple, Optional, TypedDict, TypeVar, Union

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st

from orq_sandbox import encode
from orq_sandbox.bind import Call
from orq_sandbox.failure import Refusal

T = TypeVar("T")
# an annotation with values of it; what an annotation is cannot be said in types
Typed = tuple[Any, st.SearchStrategy[Any]]


class Color(enum.Enum):
    """Values of several types."""

    RED = "red"
    ONE = 1
    PAIR = (1, 2)


class Access(enum.Flag):
    """Bits."""

    READ = 1
    WRITE = 2


@dataclasses.dataclass(frozen=True)
class Box(Generic[T]):
    """A generic class with fields."""

    item: T
    note: str | None = None


class Pair(NamedTuple):
    """A tuple with names."""

    left: dt.date
    right: int = 0


class Movie(TypedDict, total=False):
    """Keys that may be missing."""

    when: dt.date
    by: bytes


def _unfolded(moment: Any) -> Any:
    return moment.replace(fold=0)


_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
_ZONES = st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)).map(dt.timezone)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_HASHABLE: list[Typed] = [
    (int, st.integers()),
    (str, _TEXT),
    (bool, st.booleans()),
    (bytes, st.binary(max_size=8)),
    (dt.date, st.dates()),
    # a fold says something only where a zone has one, and without a zone it is refused
    (dt.datetime, st.datetimes().map(_unfolded) | st.datetimes(timezones=_ZONES)),
    (dt.time, st.times().map(_unfolded)),
    (dt.timedelta, st.timedeltas()),
    (Color, st.sampled_from(Color)),
    (Access, st.sampled_from([Access(0), *Access, Access.READ | Access.WRITE])),
    (PurePosixPath, _TEXT.map(PurePosixPath)),
]
_SINGLE: list[Typed] = [
    *_HASHABLE,
    (float, _FINITE),
    (complex, st.complex_numbers(allow_nan=False, allow_infinity=False)),
    (type(None), st.none()),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (Pair, st.builds(Pair, st.dates(), st.integers())),
    (Movie, st.fixed_dictionaries({}, optional={"when": st.dates(), "by": st.binary(max_size=4)})),
]
_KEYS: list[Typed] = [_HASHABLE[0], _HASHABLE[1], _HASHABLE[4], (float, _FINITE)]
_LIST: Any = list
_TUPLE: Any = tuple
_DICT: Any = dict
_BOX: Any = Box
_OPTIONAL: Any = Optional


def _set_of(typed: Typed) -> Typed:
    annotation, values = typed
    form: Any = frozenset
    return form[annotation], st.frozensets(values, max_size=4)


def _compound(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    key = st.sampled_from(_KEYS)
    return st.one_of(
        inner.map(lambda one: (_LIST[one[0]], st.lists(one[1], max_size=3))),
        inner.map(lambda one: (_TUPLE[one[0], ...], st.lists(one[1], max_size=3).map(tuple))),
        inner.map(lambda one: (_OPTIONAL[one[0]], st.none() | one[1])),
        inner.map(lambda one: (_BOX[one[0]], st.builds(Box, one[1], st.none() | _TEXT))),
        st.tuples(inner, inner).map(
            lambda two: (_TUPLE[two[0][0], two[1][0]], st.tuples(two[0][1], two[1][1]))
        ),
        st.tuples(key, inner).map(
            lambda two: (
                _DICT[two[0][0], two[1][0]],
                st.dictionaries(two[0][1], two[1][1], max_size=3),
            )
        ),
    )


_TYPED = st.recursive(
    st.sampled_from(_SINGLE) | st.sampled_from(_HASHABLE).map(_set_of), _compound, max_leaves=4
)


def _step(annotation: object) -> Any:
    def step(value: object) -> object:
        return value

    step.__annotations__ = {"value": annotation, "return": annotation}
    return step


def _out(value: object) -> Any:
    document = encode.encode(orjson, value)
    return encode.decode(orjson, document)


def _in(annotation: object, value: object) -> Any:
    call = Call(_step(annotation))
    _, named = call.bind({"value": value})
    call.check_result(named["value"])
    return named["value"]


def _made(annotation: object, document: object) -> list[object]:
    """What one type makes of a document, as a document again; nothing where it refuses."""
    try:
        return [_out(_in(annotation, document))]
    except Refusal:
        return []


@given(_TYPED.flatmap(lambda typed: st.tuples(st.just(typed[0]), typed[1])))
def test_a_value_is_what_it_was(typed: tuple[Any, Any]) -> None:
    """Out and in again: equal, of the same types, and the same JSON once more."""
    annotation, value = typed

    document = _out(value)
    arrived = _in(annotation, document)

    assert value == arrived
    assert type(value) is type(arrived)
    assert document == _out(arrived)


@given(
    st.tuples(_TYPED, _TYPED).flatmap(
        lambda two: st.tuples(st.just((two[0][0], two[1][0])), two[0][1] | two[1][1])
    )
)
def test_a_union_changes_nothing_in_either_order(case: tuple[tuple[Any, Any], Any]) -> None:
    """It is what a member that takes it makes of it: where one alone does, in either order."""
    (left, right), value = case
    # a path is written in its normal form, which a text that it takes may not have
    assume("PurePosixPath" not in f"{left} {right}")
    union: Any = Union
    document = _out(value)
    made = [*_made(left, document), *_made(right, document)]

    assert document in made
    assert _out(_in(union[left, right], document)) in made
    assert _out(_in(union[right, left], document)) in made
