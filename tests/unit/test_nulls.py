"""NaN in disguise: a null of orjson's that was none is found by both sides, wherever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime._run import nulls as host
from orq_sandbox import nulls as guest

_BOTH = [host.may_hold_nan, guest.may_hold_nan]
_SINGLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.floats(allow_nan=True)
)
_VALUES = st.recursive(
    _SINGLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=4),
    ),
    max_leaves=30,
)


def _holds(value: Any) -> bool:
    if isinstance(value, float):
        return value - value != 0
    if isinstance(value, dict):
        return any(map(_holds, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds, value))


@pytest.mark.parametrize("may_hold_nan", _BOTH, ids=["host", "guest"])
@given(value=_VALUES)
def test_it_is_found_and_nothing_else_is(
    may_hold_nan: Callable[[object], bool], value: object
) -> None:
    """In values of JSON's own, and tuples, the answer is exact."""
    assert _holds(value) == may_hold_nan(value)


@pytest.mark.parametrize("may_hold_nan", _BOTH, ids=["host", "guest"])
@pytest.mark.parametrize("value", [{1.0}, [b"x"], {"a": range(3)}, object()])
def test_what_is_not_known_may_hold_one(
    may_hold_nan: Callable[[object], bool], value: object
) -> None:
    """Anybody's class may become a NaN on its way."""
    assert may_hold_nan(value)


@pytest.mark.parametrize("may_hold_nan", _BOTH, ids=["host", "guest"])
def test_one_among_millions_is_found(may_hold_nan: Callable[[object], bool]) -> None:
    """In the last corner of large lists, many lists and deep ones."""
    nan = float("nan")
    deep: object = nan
    for _ in range(200):
        deep = [1.0, {"a": (deep, None)}]
    wide = [[1.0, None, {"x": 2.0}] for _ in range(100_000)]
    for value in ([1.0] * 2_000_000, wide, [[0.5] * 1_500_000] * 2):
        assert not may_hold_nan(value)
        assert may_hold_nan([*value, nan])
        assert may_hold_nan([[{"a": nan}], *value])
    assert may_hold_nan(deep)


@given(value=_VALUES)
def test_the_guest_believes_a_text_only_if_it_is_true(value: object) -> None:
    """What orjson wrote is taken for the value exactly where no NaN became null."""
    try:
        text = orjson.dumps(value)
    except TypeError:  # half of a surrogate pair, or an integer beyond 64 bits
        return

    assert _holds(value) != guest.are_true(orjson, text, value)
