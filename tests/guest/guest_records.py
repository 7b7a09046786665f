"""The conversion table's classes with fields, and the syntax of newer interpreters."""

import dataclasses
import datetime as dt
import sys
import types
import typing
import unittest
from typing import Any, Generic, List, Optional, Set, Tuple, TypeVar, Union

from guest_table import there_and_back

from orq_sandbox.bind import Call

T = TypeVar("T")


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2


@dataclasses.dataclass(frozen=True)
class Line:
    start: Point
    ends: Tuple[Point, ...] = ()
    tags: Set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class Secret:
    _x: int
    kind: typing.ClassVar[str] = "s"
    made: int = dataclasses.field(default=5, init=False)


@dataclasses.dataclass
class Seeded:
    total: int = dataclasses.field(init=False)
    seed: dataclasses.InitVar[int] = 0

    def __post_init__(self, seed: int) -> None:
        self.total = seed + 1


@dataclasses.dataclass
class Maybe:
    n: int = None


@dataclasses.dataclass
class Box(Generic[T]):
    item: T
    more: List[T] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class DateBox(Box[dt.date]):
    note: str = ""


@dataclasses.dataclass
class Tree:
    value: int
    below: "List[Tree]" = dataclasses.field(default_factory=list)
    when: Optional[dt.date] = None


class Pair(typing.NamedTuple):
    left: int
    right: Tuple[int, ...] = ()


class Movie(typing.TypedDict):
    title: str
    when: dt.date


class Loose(typing.TypedDict, total=False):
    note: str
    pair: Tuple[int, int]


class Node(typing.TypedDict):
    name: str
    below: "List[Node]"


CELLS = [
    # classes with fields
    (Point, {"x": 1, "y": 2}, Point(1)),
    (
        Line,
        {"start": {"x": 1, "y": 2}, "ends": [{"x": 3, "y": 4}], "tags": ["a", "b"]},
        Line(Point(1), (Point(3, 4),), {"a", "b"}),
    ),
    (Maybe, {"n": None}, Maybe(None)),
    (Box[int], {"item": 1, "more": [2]}, Box(1, [2])),
    (
        Box[dt.date],
        {"item": "2022-07-01", "more": []},
        Box(dt.date(2022, 7, 1)),
    ),
    (
        DateBox,
        {"item": "2022-07-01", "more": [], "note": "n"},
        DateBox(dt.date(2022, 7, 1), note="n"),
    ),
    (
        Tree,
        {"value": 1, "below": [{"value": 2, "below": [], "when": "2022-07-01"}], "when": None},
        Tree(1, [Tree(2, [], dt.date(2022, 7, 1))]),
    ),
    (Pair, [1, [2]], Pair(1, (2,))),
    (Movie, {"title": "a", "when": "2022-07-01"}, {"title": "a", "when": dt.date(2022, 7, 1)}),
    (Loose, {}, {}),
    (Loose, {"pair": [1, 2]}, {"pair": (1, 2)}),
    (Node, {"name": "a", "below": [{"name": "b", "below": []}]}, None),
    (Union[Point, Line], {"x": 1, "y": 1}, Point(1, 1)),
    (Union[Line, Point], {"x": 1, "y": 1}, Point(1, 1)),
]

ONE_WAY = [
    # defaults are filled in, and go back
    (Point, {"x": 1}, Point(1)),
    (Secret, {"_x": 1}, Secret(1)),
    (Pair, {"left": 1}, Pair(1)),
    (Pair, [1], Pair(1)),
]


class Records(unittest.TestCase):
    def test_objects_arrive_as_their_class_and_go_back(self):
        for annotation, value, expected in CELLS:
            with self.subTest(annotation=annotation, value=value):
                arrived, back = there_and_back(annotation, value)
                expected = value if expected is None else expected
                self.assertEqual((type(expected), expected), (type(arrived), arrived))
                self.assertEqual(value, back)

    def test_what_is_left_out_has_its_default(self):
        for annotation, value, expected in ONE_WAY:
            with self.subTest(annotation=annotation, value=value):
                self.assertEqual(expected, there_and_back(annotation, value)[0])

    def test_an_init_only_field_is_taken_and_not_kept(self):
        arrived, back = there_and_back(Seeded, {"seed": 4})
        self.assertEqual((5, {"total": 5}), (arrived.total, back))


SINCE_310 = """
import dataclasses, datetime as dt
@dataclasses.dataclass(kw_only=True, slots=True)
class Point:
    x: int
    y: int | None = None
    next: "Point | None" = None
Mixed = int | dt.date | None
"""
SINCE_311 = """
import dataclasses, enum, typing
@dataclasses.dataclass
class Link:
    value: int
    next: typing.Optional[typing.Self] = None
Open = tuple[int, *tuple[str, ...], bool]
class Word(enum.StrEnum):
    HI = "hi"
class Film(typing.TypedDict):
    title: typing.Required[str]
    year: typing.NotRequired[int]
T = typing.TypeVar("T")
class Held(typing.TypedDict, typing.Generic[T]):
    item: T
class Both(typing.NamedTuple, typing.Generic[T]):
    one: T
class Me(typing.NamedTuple):
    name: typing.LiteralString
"""
SINCE_312 = """
import dataclasses, datetime as dt
type Ids = set[int]
type Nested[T] = T | list[Nested[T]]
type Tree = dict[str, Tree] | list[Tree] | int
@dataclasses.dataclass
class Box[T]:
    item: T
def first[T: dt.date](x: T) -> T:
    return x
"""


def module_of(source: str) -> Any:
    """A module that is importable by its name while the tests run, as a step's is."""
    module = types.ModuleType("sample_%d" % len(source))
    sys.modules[module.__name__] = module
    exec(source, vars(module))
    return module


class NewerSyntax(unittest.TestCase):
    def check(self, source: str, rows: list) -> None:
        module = module_of(source)
        for text, value, expected in rows:
            with self.subTest(annotation=text):
                annotation = eval(text, vars(module))
                expected = eval(expected, vars(module))
                self.assertEqual((expected, value), there_and_back(annotation, value))

    @unittest.skipIf(sys.version_info < (3, 10), "written so since 3.10")
    def test_since_310(self):
        rows = [
            ("Mixed", 1, "1"),
            ("Mixed", "2022-07-01", "dt.date(2022, 7, 1)"),
            (
                "Point",
                {"x": 1, "y": None, "next": {"x": 2, "y": 3, "next": None}},
                "Point(x=1, next=Point(x=2, y=3))",
            ),
        ]
        self.check(SINCE_310, rows)

    @unittest.skipIf(sys.version_info < (3, 11), "written so since 3.11")
    def test_since_311(self):
        rows = [
            ("Word", "hi", "Word.HI"),
            (
                "Link",
                {"value": 1, "next": {"value": 2, "next": None}},
                "Link(1, Link(2))",
            ),
            ("Open", [1, "a", "b", True], "(1, 'a', 'b', True)"),
            ("Open", [1, True], "(1, True)"),
            ("Film", {"title": "a"}, "{'title': 'a'}"),
            ("Held[set[int]]", {"item": [1]}, "{'item': {1}}"),
            ("Both[set[int]]", [[1]], "Both({1})"),
            ("Me", ["a"], "Me('a')"),
        ]
        self.check(SINCE_311, rows)

    @unittest.skipIf(sys.version_info < (3, 12), "written so since 3.12")
    def test_since_312(self):
        rows = [
            ("Ids", [1], "{1}"),
            ("Nested[int]", [1, [2, [3]]], "[1, [2, [3]]]"),
            ("Tree", {"a": [1, {"b": 2}]}, "{'a': [1, {'b': 2}]}"),
            ("Box[set[int]]", {"item": [1]}, "Box({1})"),
            ("first.__annotations__['x']", "2022-07-01", "dt.date(2022, 7, 1)"),
        ]
        self.check(SINCE_312, rows)

    def test_future_annotations_in_newer_syntax_on_any_interpreter(self):
        source = (
            "from __future__ import annotations\n"
            "import dataclasses, datetime as dt, collections.abc as abc\n"
            "@dataclasses.dataclass\n"
            "class Point:\n"
            "    x: int | None\n"
            "    tags: set[str] = dataclasses.field(default_factory=set)\n"
            "    next: Point | None = None\n"
            "def f(p: Point | None, days: list[dt.date] | None = None,\n"
            "      by: abc.Mapping[str, tuple[int, ...]] | int = 0) -> dict[str, Point] | None:\n"
            "    return {'p': p}\n"
        )
        module = module_of(source)
        call = Call(module.f)
        given = {
            "p": {"x": None, "tags": ["a"], "next": {"x": 1}},
            "days": ["2022-07-01"],
            "by": {"a": [1, 2]},
        }
        _, named = call.bind(given)
        self.assertEqual(module.Point(None, {"a"}, module.Point(1)), named["p"])
        self.assertEqual([dt.date(2022, 7, 1)], named["days"])
        self.assertEqual({"a": (1, 2)}, named["by"])
        call.check_result(module.f(**named))


if __name__ == "__main__":
    unittest.main()
