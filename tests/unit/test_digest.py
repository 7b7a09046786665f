"""Keys: different fields never share one, equal fields always do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orq_runtime._digest import Digest

_FIELDS = st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=6)


def _key(fields: list[tuple[str, str]]) -> str:
    digest = Digest("test", 1)
    for tag, value in fields:
        digest.text(tag, value)
    return digest.key()


@given(_FIELDS, _FIELDS)
def test_keys_are_equal_only_for_equal_fields(
    left: list[tuple[str, str]], right: list[tuple[str, str]]
) -> None:
    """Two sequences of fields share a key when they are the same, and only then."""
    assert (left == right) == (_key(left) == _key(right))


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_joining_never_collides(left: list[str], right: list[str]) -> None:
    """Sequences that read the same when joined have keys of their own."""
    one = Digest("test", 1).texts("a", left).texts("b", right).key()
    other = Digest("test", 1).texts("a", [*left, *right]).texts("b", []).key()

    assert (right == []) == (one == other)


def test_kind_and_version_count() -> None:
    """A recipe of another kind or version has other keys."""
    keys = {Digest(kind, version).key() for kind in ("a", "b") for version in (1, 2)}

    assert 4 == len(keys)
