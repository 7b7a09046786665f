"""Conversion from JSON on a bare interpreter: what becomes what, and what is left alone."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import typing
import unittest
import uuid
from typing import Dict, FrozenSet, List, Optional, Set, Tuple, Union

from orq_sandbox import convert


class Level(enum.IntEnum):
    LOW = 1


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    at: Tuple[int, int] = (0, 0)


class Pair(typing.NamedTuple):
    left: int
    right: Tuple[int, ...] = ()


class Movie(typing.TypedDict):
    when: dt.date


CONVERTED = [
    (Tuple[int, str], [1, "a"], (1, "a")),
    (Tuple[int, ...], [1, 2], (1, 2)),
    (Tuple[Tuple[int, int], ...], [[1, 2]], ((1, 2),)),
    (Set[int], [1, 1, 2], {1, 2}),
    (FrozenSet[int], [1], frozenset([1])),
    (typing.AbstractSet[int], [1], frozenset([1])),
    (typing.Deque[int], [1], collections.deque([1])),
    (List[Tuple[int, int]], [[1, 2]], [(1, 2)]),
    (Dict[int, str], {"1": "a", "-2": "b"}, {1: "a", -2: "b"}),
    (Dict[str, Set[int]], {"a": [1]}, {"a": {1}}),
    (Dict[Color, int], {"red": 1}, {Color.RED: 1}),
    (bytes, "aGk=", b"hi"),
    (
        dt.datetime,
        "2022-07-01T10:00:00Z",
        dt.datetime(2022, 7, 1, 10, tzinfo=dt.timezone.utc),
    ),
    (dt.date, "2022-07-01", dt.date(2022, 7, 1)),
    (dt.time, "10:30:00", dt.time(10, 30)),
    (dt.timedelta, "P1DT2.5S", dt.timedelta(days=1, seconds=2.5)),
    (dt.timedelta, "-PT1H", -dt.timedelta(hours=1)),
    (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
    (
        uuid.UUID,
        "12345678123456781234567812345678",
        uuid.UUID(int=0x12345678123456781234567812345678),
    ),
    (pathlib.Path, "a/b", pathlib.Path("a/b")),
    (complex, [1, 2.5], complex(1, 2.5)),
    (Color, "red", Color.RED),
    (Level, 1, Level.LOW),
    (Point, {"x": 1, "at": [2, 3]}, Point(1, (2, 3))),
    (Pair, [1, [2]], Pair(1, (2,))),
    (Pair, {"left": 1}, Pair(1)),
    (Movie, {"when": "2022-07-01"}, {"when": dt.date(2022, 7, 1)}),
    (Optional[Tuple[int, int]], [1, 2], (1, 2)),
    (Optional[dt.date], "2022-07-01", dt.date(2022, 7, 1)),
    (Union[int, Set[int]], [1], {1}),
    (Union[dt.date, str], "2022-07-01", "2022-07-01"),
]

LEFT_ALONE = [
    (Tuple[int, int], "ab"),
    (Set[int], "ab"),
    (Set[List[int]], [[1]]),
    (Dict[int, str], {"01": "a"}),
    (Dict[int, str], {"1.0": "a"}),
    (Dict[int, str], {"\u0661": "a"}),
    (bytes, "not base64!"),
    (dt.date, "tomorrow"),
    (dt.timedelta, "P"),
    (dt.timedelta, 5),
    (decimal.Decimal, 1.5),
    (decimal.Decimal, "x"),
    (uuid.UUID, "x"),
    (complex, [1]),
    (complex, [True, 1]),
    (Color, "blue"),
    (Level, True),
    (Level, "1"),
    (Point, {"x": 1, "z": 2}),
    (Point, {}),
    (Point, [1]),
    (Pair, [1, [2], 3]),
    (Optional[Tuple[int, int]], ["a", "b"]),
]

NOT_NEEDED = [int, str, float, bool, None, List[int], Dict[str, int], Optional[int], typing.Any]


class Conversions(unittest.TestCase):
    def test_json_becomes_the_annotated_type(self) -> None:
        for annotation, value, expected in CONVERTED:
            with self.subTest(annotation=annotation, value=value):
                made = convert.compile(annotation)(value)
                self.assertEqual((type(expected), expected), (type(made), made))

    def test_what_does_not_fit_is_left_as_it_came(self) -> None:
        for annotation, value in LEFT_ALONE:
            with self.subTest(annotation=annotation, value=value):
                made = convert.compile(annotation)(value)
                if annotation == Tuple[int, int]:
                    self.assertEqual(value, made)
                else:
                    self.assertEqual(value, list(made) if isinstance(made, tuple) else made)

    def test_plain_json_types_have_no_converter(self) -> None:
        for annotation in NOT_NEEDED:
            with self.subTest(annotation=annotation):
                self.assertIsNone(convert.compile(annotation))


if __name__ == "__main__":
    unittest.main()
