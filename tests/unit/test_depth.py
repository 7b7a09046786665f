"""Documents that nest too deep are told from those that do not, whatever stands in their texts."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime._run.depth import MOST_LEVELS, is_too_deep

_JSON = st.recursive(
    st.none() | st.integers(0, 9) | st.text('[]{}"\\,:x\n'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('[]{}"\\'), inner),
    max_leaves=40,
)


def _nested(levels: int, inner: object, *, objects: bool) -> object:
    for _ in range(levels):
        inner = {"a[": inner, "]": "}"} if objects else [inner, '"[', ["]\\"]]
    return inner


@pytest.mark.parametrize("objects", [False, True])
@pytest.mark.parametrize(("levels", "is_deep"), [(MOST_LEVELS - 2, False), (MOST_LEVELS + 1, True)])
@given(inner=_JSON)
def test_levels_are_counted_whatever_the_texts_hold(
    *, levels: int, is_deep: bool, objects: bool, inner: object
) -> None:
    """Brackets, quotes and backslashes in texts and keys neither hide levels nor add any."""
    value = _nested(levels, 0 if is_deep else [], objects=objects)
    document = [inner, value] if is_deep else {"a": value}
    text = json.dumps(document).encode()

    assert is_deep == is_too_deep(orjson.loads(text), text)


@given(inner=_JSON)
def test_what_is_wide_is_not_deep(*, inner: object) -> None:
    """Thousands of brackets beside each other, with anything in them."""
    text = json.dumps([[[inner], {}, {"x": [1]}]] * 300).encode()

    assert not is_too_deep(orjson.loads(text), text)


def test_levels_hidden_in_texts_are_found() -> None:
    """Brackets in texts that close what is open, so that brackets alone would look shallow."""
    text = ('["]",' * 400 + '"["' + "]" * 400).encode()

    assert is_too_deep(orjson.loads(text), text)
