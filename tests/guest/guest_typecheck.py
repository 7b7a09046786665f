"""The checker's own forms, on a bare interpreter: what is accepted, and where a mismatch is."""

import collections
import dataclasses
import enum
import typing
import unittest
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Sequence, Set, Tuple, Union

from orq_sandbox import hints, typecheck


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    next: Optional["Point"] = None


class Pair(typing.NamedTuple):
    left: int
    right: str


class Movie(typing.TypedDict):
    title: str
    year: int


class Loose(typing.TypedDict, total=False):
    note: str


WRONG: Any = "a"

ACCEPTED = [
    (int, 1),
    (int, 1 << 80),
    (float, 1.5),
    (float, 1),
    (complex, 1),
    (bool, True),
    (str, "a"),
    (bytes, b"a"),
    (None, None),
    (Any, object()),
    (object, 1),
    (List[int], []),
    (List[int], [1, 2]),
    (List[float], [1, 2.5]),
    (list, [1, "a"]),
    (List, ["a"]),
    (Dict[str, int], {"a": 1}),
    (Dict[str, List[int]], {"a": [1]}),
    (Tuple[int, str], (1, "a")),
    (Tuple[int, ...], (1, 2, 3)),
    (Tuple[()], ()),
    (Set[int], {1}),
    (FrozenSet[str], frozenset("a")),
    (Sequence[int], (1, 2)),
    (Iterable[int], [1]),
    (typing.Deque[int], collections.deque([1])),
    (Optional[int], None),
    (Union[int, str], "a"),
    (Union[List[int], Dict[str, int]], {"a": 1}),
    (typing.NewType("UserId", int), 1),
    (typing.TypeVar("T"), "a"),
    (typing.TypeVar("B", bound=int), 1),
    (typing.TypeVar("C", int, str), "a"),
    (Color, Color.RED),
    (Point, Point(1)),
    (Point, Point(1, 2.0, Point(3))),
    (Pair, Pair(1, "a")),
    (Movie, {"title": "a", "year": 1}),
    (Loose, {}),
    (typing.Counter[str], collections.Counter("aab")),
    (typing.DefaultDict[str, int], collections.defaultdict(int, a=1)),
    (typing.Literal[1, "a"], 1),
]

REFUSED = [
    (int, True, "x"),
    (int, 1.0, "x"),
    (int, "1", "x"),
    (float, True, "x"),
    (float, "1", "x"),
    (complex, True, "x"),
    (bool, 1, "x"),
    (str, b"a", "x"),
    (str, None, "x"),
    (bytes, bytearray(b"a"), "x"),
    (None, 0, "x"),
    (List[int], (1,), "x"),
    (List[int], [1, "a"], "x[1]"),
    (List[int], [1, True], "x[1]"),
    (List[List[int]], [[1], [2, None]], "x[1][1]"),
    (Dict[str, int], {"a": "b"}, "x['a']"),
    (Dict[str, int], {1: 1}, "x.keys()[1]"),
    (Dict[str, int], [], "x"),
    (Tuple[int, str], (1, 2), "x[1]"),
    (Tuple[int, str], (1,), "x"),
    (Tuple[int, ...], (1, "a"), "x[1]"),
    (Tuple[()], (1,), "x"),
    (Set[int], [1], "x"),
    (Iterable[int], ["a"], "x[0]"),
    (typing.Collection[int], ["a"], "x[0]"),
    (typing.Deque[int], collections.deque(["a"]), "x[0]"),
    (Optional[int], "None", "x"),
    (Union[int, str], 1.5, "x"),
    (Union[List[int], str], ["a"], "x[0]"),
    (Color, "red", "x"),
    (Point, Point(WRONG), "x.x"),
    (Point, Point(1, 2.0, Point(WRONG)), "x.next.x"),
    (Point, {"x": 1, "z": 2}, "x.z"),
    (Point, {"y": 1.0}, "x.x"),
    (Pair, Pair(WRONG, "b"), "x.left"),
    (Movie, {"title": "a"}, "x.year"),
    (Movie, {"title": "a", "year": 1, "more": 2}, "x.more"),
    (Movie, {"title": "a", "year": "b"}, "x.year"),
    (Loose, {"other": 1}, "x.other"),
    (typing.Literal[1, "a"], True, "x"),
    (typing.Literal[1, "a"], 1.0, "x"),
    (typing.TypeVar("B", bound=int), "a", "x"),
]


def checker_of(annotation: Any, most: int = 0) -> Any:
    return typecheck.compile(annotation, hints.Scope(globals(), most))


class Checks(unittest.TestCase):
    def test_what_is_of_the_type_is_accepted(self) -> None:
        for annotation, value in ACCEPTED:
            with self.subTest(annotation=annotation, value=value):
                checker = checker_of(annotation)
                self.assertTrue(checker.accepts(value))
                self.assertEqual([], checker.explain(value, "x"))

    def test_what_is_not_is_refused_at_its_place(self) -> None:
        for annotation, value, path in REFUSED:
            with self.subTest(annotation=annotation, value=value):
                checker = checker_of(annotation)
                self.assertFalse(checker.accepts(value))
                self.assertEqual(path, checker.explain(value, "x")[0].path)

    def test_an_annotation_without_meaning_is_an_error(self) -> None:
        for annotation in ("Undefined", List[typing.ForwardRef("Undefined")]):
            with self.assertRaises(NameError):
                checker_of(annotation)

    def test_every_element_counts(self) -> None:
        values = [0] * 10_000 + ["a"]
        mismatches = checker_of(List[int]).explain(values, "x")
        self.assertEqual([("x[10000]", "int", "str")], [one[:3] for one in mismatches])

    def test_the_number_of_mismatches_is_bounded(self) -> None:
        found = checker_of(List[int]).explain(["a"] * 10_000, "x")
        self.assertLess(len(found), 50)

    def test_an_iterator_is_not_used_up(self) -> None:
        items = iter([1, 2])
        self.assertTrue(checker_of(Iterable[int]).accepts(items))
        self.assertEqual([1, 2], list(items))


if __name__ == "__main__":
    unittest.main()
