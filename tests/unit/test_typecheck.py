"""The guest's checkers against typeguard, and generated code against the checkers."""

from __future__ import annotations

import collections
import dataclasses
import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Optional, TypedDict, Union

import pytest
import typeguard
from hypothesis import given
from hypothesis import strategies as st

from orq_sandbox import fast, hints, typecheck

# what an annotation is cannot be said in types: it is data here; the guest does not say either
Annotation = Any


class Color(enum.Enum):
    """Two members."""

    RED = "a"
    BLUE = 1


class Movie(TypedDict):
    """Keys that must be there, and one that need not."""

    title: str
    years: list[int]
    note: NotRequired[str | None]


class Loose(TypedDict, total=False):
    """No key that must be there."""

    a: int


class Pair(NamedTuple):
    """A tuple with names."""

    left: int
    right: str


@dataclasses.dataclass
class Point:
    """A class with fields."""

    x: int
    y: float | None = None


_SINGLE: list[Annotation] = [
    *(int, float, bool, str, bytes, complex, type(None), Any),
    *(Color, Movie, Loose, Pair, Point),
    *(Literal["a", "b"], Literal[1, True], Annotated[int, "note"]),
]
# subscripted while the test runs, so not as types
_OF_ONE: list[Annotation] = [list, Sequence, Iterable, Collection, collections.deque, Optional]
_OF_TEXT: list[Annotation] = [dict, Mapping]
_TUPLE: Annotation = tuple
_UNION: Annotation = Union
_ANNOTATIONS: st.SearchStrategy[Annotation] = st.recursive(
    st.sampled_from(_SINGLE),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(_OF_ONE), inner).map(lambda two: two[0][two[1]]),
        st.tuples(st.sampled_from(_OF_TEXT), inner).map(lambda two: two[0][str, two[1]]),
        inner.map(lambda one: _TUPLE[one, ...]),
        st.tuples(inner, inner).map(lambda two: _TUPLE[two]),
        st.tuples(inner, inner).map(lambda two: _UNION[two]),
    ),
    max_leaves=5,
)
_WRONG: Any = "x"
_LEAVES = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 1.0, 0.5, "a", "b", "", b"a", 1j, Color.RED, Color.BLUE),
        *(Pair(1, "a"), Point(1), Point(1, 0.5), Point(_WRONG), Pair(_WRONG, "a")),
        {"title": "a", "years": [1]},
        {"title": "a", "years": [1], "note": None},
        {"title": "a", "years": ["x"]},
        {"title": "a", "years": [1], "more": 1},
        *({}, {"a": 1}, {"a": True}),
    ]
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(collections.deque),
        st.dictionaries(st.sampled_from(["a", "b", "title", 1]), inner, max_size=3),
    ),
    max_leaves=6,
)


def _checker(annotation: Annotation) -> Any:
    return typecheck.compile(annotation, hints.Scope(globals()))


def _typeguard_accepts(value: object, annotation: Annotation) -> bool:
    try:
        typeguard.check_type(
            value,
            annotation,
            collection_check_strategy=typeguard.CollectionCheckStrategy.ALL_ITEMS,
            forward_ref_policy=typeguard.ForwardRefPolicy.ERROR,
        )
    except typeguard.TypeCheckError:
        return False
    return True


@given(_ANNOTATIONS, _VALUES)
def test_what_is_accepted_typeguard_accepts(annotation: Annotation, value: object) -> None:
    """Our checkers are never more lenient than typeguard, whatever they are quicker at."""
    if _checker(annotation).accepts(value):
        assert _typeguard_accepts(value, annotation)


@given(_ANNOTATIONS, _VALUES)
def test_generated_code_accepts_only_what_the_checker_accepts(
    annotation: Annotation, value: object
) -> None:
    """The fast path decides less than the full check and never otherwise."""
    full = _checker(annotation)
    made = fast.expression_of(full)
    if made is not None:
        source, names = made
        exec(f"def quick(v):\n{source}\n    return None\n", names)

        assert names["quick"](value) in (None, full.accepts(value))
    assert fast.checker(full)(value) == full.accepts(value)


@given(_ANNOTATIONS, _VALUES)
def test_a_refusal_is_explained_and_nothing_else_is(annotation: Annotation, value: object) -> None:
    """A value has mismatches exactly when it is refused."""
    checker = _checker(annotation)

    assert checker.accepts(value) == (checker.explain(value, "x") == [])


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (list[Movie], {"title": "a", "years": [1, 2]}),
        (list[Movie], {"title": "a", "years": [1], "note": "b"}),
        (list[Loose], {}),
        (list[Point], Point(1, 0.5)),
        (Sequence[Movie | None], {"title": "a", "years": []}),
    ],
)
def test_many_items_are_looked_at_by_generated_code(annotation: Annotation, value: object) -> None:
    """Long collections of classes with fields: right ones pass and the one wrong item is found."""
    checker = _checker(annotation)
    values = [value] * 1000

    assert checker.accepts(values)
    assert not checker.accepts([*values, {"title": 1}])
    assert ["x[1000]"] == [
        one.path[:7] for one in checker.explain([*values, 5], "x") if one.path.startswith("x[1000]")
    ]
