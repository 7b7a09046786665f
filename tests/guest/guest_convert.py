"""Conversion from JSON on a bare interpreter: what becomes what, and what is left alone."""

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import typing
import unittest
import uuid
from typing import Dict, List, Optional, Set, Tuple

from orq_sandbox import convert, forms, hints
from orq_sandbox.mismatch import Unmade


class Level(enum.IntEnum):
    LOW = 1


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    at: Tuple[int, int] = (0, 0)


@dataclasses.dataclass
class Picky:
    x: int

    def __post_init__(self) -> None:
        if self.x < 2:
            raise ValueError("too small")


class Plain(typing.TypedDict):
    x: int
    more: Optional[List[int]]


class Pair(typing.NamedTuple):
    left: int
    right: Tuple[int, ...] = ()


class Movie(typing.TypedDict):
    when: dt.date


LEFT_ALONE = [
    (Tuple[int, int], "ab"),
    (Set[int], "ab"),
    (Dict[int, str], {"01": "a"}),
    (Dict[int, str], {"1.0": "a"}),
    (Dict[int, str], {"\u0661": "a"}),
    (Dict[int, str], {"-0": "a"}),
    (Dict[int, str], {" 1": "a"}),
    (Dict[int, str], {"1_0": "a"}),
    (Dict[float, str], {"nan": "a"}),
    (Dict[Color, str], {"RED": "a"}),
    (bytes, "aGk"),
    (bytes, "aG k="),
    (bytes, "aGl="),
    (dt.date, "2022-7-1"),
    (dt.date, "20220701"),
    (dt.date, "2022-02-30"),
    (dt.date, "2022-07-01T00:00:00"),
    (dt.date, "\u0662022-07-01"),
    (dt.datetime, "2022-07-01"),
    (dt.datetime, "2022-07-01T25:00:00"),
    (dt.datetime, "2022-07-01T10:00:00.1234567"),
    (dt.datetime, 1656669600),
    (dt.time, "10"),
    (dt.timedelta, "P1M"),
    (dt.timedelta, "P999999999999D"),
    (decimal.Decimal, "1_0"),
    (decimal.Decimal, " 1"),
    (decimal.Decimal, "NaN"),
    (decimal.Decimal, "Infinity"),
    (decimal.Decimal, True),
    (uuid.UUID, "{12345678-1234-5678-1234-567812345678}"),
    (uuid.UUID, "1-2345678123456781234567812345678"),
    (pathlib.Path, 1),
    (pathlib.Path, ["a"]),
    (complex, "1+2j"),
    (complex, [1, 2, 3]),
    (Color, ["red"]),
    (Color, None),
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

UNMADE = [
    (Set[List[int]], [[1]], "an item cannot be in a set"),
    (Picky, {"x": 1}, "ValueError: too small"),
]

NOT_NEEDED = [
    int,
    str,
    float,
    bool,
    None,
    List[int],
    Dict[str, int],
    Optional[int],
    typing.Any,
    Plain,
]


def converter(annotation: typing.Any) -> typing.Any:
    return convert.compile(annotation, hints.Scope(globals()))


class Conversions(unittest.TestCase):
    def test_what_does_not_fit_is_left_as_it_came(self) -> None:
        for annotation, value in LEFT_ALONE:
            with self.subTest(annotation=annotation, value=value):
                made = converter(annotation)(value)
                self.assertEqual(value, list(made) if isinstance(made, tuple) else made)

    def test_what_a_class_refuses_says_why(self) -> None:
        for annotation, value, reason in UNMADE:
            with self.subTest(annotation=annotation, value=value):
                made = converter(annotation)(value)
                self.assertIsInstance(made, Unmade)
                self.assertEqual((value, reason), (made.value, made.reason))

    def test_plain_json_types_have_no_converter(self) -> None:
        for annotation in NOT_NEEDED:
            with self.subTest(annotation=annotation):
                self.assertIsNone(converter(annotation))

    def test_what_surrounds_a_type_is_no_matter(self) -> None:
        annotated = typing.NewType("A", typing.NewType("B", Tuple[int, int]))
        self.assertEqual((1, 2), converter(annotated)([1, 2]))
        self.assertEqual("B", forms.shown_type(typing.NewType("B", int)))


if __name__ == "__main__":
    unittest.main()
