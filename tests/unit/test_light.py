"""Our data classes, held against the standard library's of the same body."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import orjson
import pytest

from orq_runtime import _light

_BODY = """
class Point:
    x: int
    name: str = "p"
    hidden: int = field(default=3, repr=False)
    origin: str = field(default="hit", compare=False)
    loose: dict = field(default_factory=dict, hash=False)
    more: tuple = ()

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("negative")

    @property
    def twice(self) -> int:
        return self.x * 2
"""
_WAYS = ("frozen=True, slots=True, kw_only=True", "slots=True, kw_only=True")


def _class(library: Any, way: str) -> Any:
    body = _BODY.replace("\nclass", f"\n@dataclass({way})\nclass")
    space: dict[str, Any] = {"dataclass": library.dataclass, "field": library.field}
    space["__name__"] = __name__
    exec("from __future__ import annotations\n" + body, space)
    return space["Point"]


@pytest.fixture(params=_WAYS, ids=["frozen", "changeable"])
def both(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Ours and the library's."""
    return _class(_light, request.param), _class(dataclasses, request.param)


def test_values_show_compare_and_hash_as_the_librarys_do(both: tuple[Any, Any]) -> None:
    """What tells two values apart, and what does not, is the same for both."""
    told = []
    for one in both:
        first, second = one(x=1, more=(2,)), one(x=1, more=(2,), origin="built")
        is_hashable = one.__hash__ is not None
        told.append(
            (
                repr(first),
                first == second,
                first == one(x=2),
                first.__eq__("other"),
                is_hashable and hash(first) == hash(second),
                first.twice,
                one(x=1).loose is one(x=1).loose,
                hasattr(first, "__dict__"),
                [item.name for item in dataclasses.fields(one)],
                dataclasses.asdict(first),
                str(inspect.signature(one)),
                one.__match_args__,
            )
        )

    assert told[1] == told[0]


@pytest.mark.parametrize("given", [{}, {"x": 1, "unknown": 2}, {"x": 1, "name": "", "unknown": 2}])
def test_wrong_fields_are_refused_as_the_library_does(
    both: tuple[Any, Any], given: dict[str, object]
) -> None:
    """A missing and an unknown field are a TypeError that names the field."""
    for one in both:
        with pytest.raises(TypeError, match="unknown" if "unknown" in given else "'x'"):
            one(**given)
        with pytest.raises(ValueError, match="negative"):
            one(x=-1)


def test_a_frozen_value_stays_what_it_is() -> None:
    """Assigning and deleting raise the library's own error."""
    one = _class(_light, _WAYS[0])(x=1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        one.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.x


def test_a_changeable_value_takes_a_field_and_nothing_else() -> None:
    """Slots: a name that is no field is an AttributeError."""
    one = _class(_light, _WAYS[1])(x=1)
    one.x = 5

    assert 5 == one.x
    with pytest.raises(AttributeError):
        one.other = 1


def test_the_librarys_functions_take_our_values(both: tuple[Any, Any]) -> None:
    """`dataclasses.replace`, `asdict` and `is_dataclass`, orjson and `copy` know them."""
    ours = both[0](x=1, more=(2,))

    assert [True] == [dataclasses.is_dataclass(one) for one in (ours,)]
    assert both[0](x=3, more=(2,)) == dataclasses.replace(ours, x=3) == _light.replace(ours, x=3)
    assert dataclasses.asdict(ours) == _light.asdict(ours)
    assert _light.asdict(ours) == {**orjson.loads(orjson.dumps(ours)), "more": (2,)}
    assert ours == copy.copy(ours) == copy.deepcopy(ours)


def test_values_inside_of_values_are_told_too() -> None:
    """`asdict` goes through lists, tuples and dicts."""
    kind = _class(_light, _WAYS[0])
    inner = _light.asdict(kind(x=1))

    assert (inner, {"a": [inner]}) == _light.asdict(
        kind(x=2, more=(kind(x=1), {"a": [kind(x=1)]}))
    )["more"]


def test_public_values_survive_pickling() -> None:
    """The values of the interface can be sent to another process."""
    from orq_runtime import Limits, Policy

    for value in (Limits(wall_seconds=3), Policy(network="full")):
        assert value == pickle.loads(pickle.dumps(value))
