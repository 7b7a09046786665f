"""The conversion table of docs/types.md on a bare interpreter: one test per cell, both directions.

Each cell calls a function whose parameter and result have the annotation: the JSON value arrives as
the Python value, and goes back as JSON.
"""

import collections
import datetime as dt
import decimal
import enum
import json
import pathlib
import sys
import typing
import unittest
import uuid
from typing import (
    AbstractSet,
    Any,
    Collection,
    Counter,
    DefaultDict,
    Deque,
    Dict,
    FrozenSet,
    Iterable,
    List,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    NewType,
    Optional,
    OrderedDict,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)

from orq_sandbox import encode, scalars
from orq_sandbox.bind import Call

T = TypeVar("T")


class NoOrjson:
    """In place of orjson, which a bare interpreter has not: all is left to the exact way."""

    OPT_PASSTHROUGH_DATETIME = OPT_PASSTHROUGH_DATACLASS = 0

    @staticmethod
    def dumps(value: Any, default: Any = None, option: int = 0) -> bytes:
        if default is not None:
            raise TypeError("not by me")
        return json.dumps(value).encode()


def there_and_back(annotation: Any, value: Any, **options: Any) -> tuple:
    """What arrives of a JSON value, and what goes back as JSON."""

    def step(x):
        return x

    step.__annotations__ = {"x": annotation, "return": annotation}
    call = Call(step, **options)
    _, named = call.bind({"x": json.loads(json.dumps(value))})
    call.check_result(named["x"])
    nan = options.get("nan") == "allow"
    return named["x"], json.loads(encode.encode(NoOrjson, named["x"], allow_nan=nan)[1:].decode())


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(str, enum.Enum):
    HI = "hi"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Shape(enum.Enum):
    FLAT = (1, 2)
    DEEP = (1, 2, 3)


class Weight(enum.Enum):
    HALF = 0.5
    WHOLE = 1.0


class Cased(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls.A if value == "A" else None


Json = Union[Dict[str, "Json"], List["Json"], str, int, float, bool, None]
UserId = NewType("UserId", int)
When = NewType("When", dt.date)
Bound = TypeVar("Bound", bound=dt.date)
Choice = TypeVar("Choice", int, Tuple[int, int])
UTC = dt.timezone.utc
BIG = 1 << 70

CELLS = [
    # JSON's own
    (None, None, None),
    (bool, True, True),
    (int, 1, 1),
    (int, BIG, BIG),
    (int, -(10**5000), -(10**5000)),
    (float, 1.5, 1.5),
    (float, 1, 1),
    (float, -0.0, -0.0),
    (str, "\u00e9\u2028\U0001f600", "\u00e9\u2028\U0001f600"),
    (list, [1, "a"], [1, "a"]),
    (List[int], [1, BIG], [1, BIG]),
    (dict, {"a": 1}, {"a": 1}),
    (Dict[str, List[float]], {"a": [1, 2.5]}, {"a": [1, 2.5]}),
    (Any, {"a": [None]}, {"a": [None]}),
    (object, 1, 1),
    # single values
    (bytes, "aGk=", b"hi"),
    (bytes, "", b""),
    (bytearray, "aGk=", bytearray(b"hi")),
    (dt.datetime, "2022-07-01T10:00:00", dt.datetime(2022, 7, 1, 10)),
    (
        dt.datetime,
        "2022-07-01T10:00:00.250000+02:00",
        dt.datetime(2022, 7, 1, 10, 0, 0, 250000, dt.timezone(dt.timedelta(hours=2))),
    ),
    (dt.datetime, "2022-07-01T10:00:00+00:00", dt.datetime(2022, 7, 1, 10, tzinfo=UTC)),
    (dt.date, "2022-07-01", dt.date(2022, 7, 1)),
    (dt.time, "10:30:00", dt.time(10, 30)),
    (dt.time, "10:30:00.000001", dt.time(10, 30, 0, 1)),
    (dt.timedelta, "P1DT2.5S", dt.timedelta(days=1, seconds=2.5)),
    (dt.timedelta, "-P0DT3600S", -dt.timedelta(hours=1)),
    (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
    (decimal.Decimal, "1E+5", decimal.Decimal("1E+5")),
    (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("1234567812345678" * 2)),
    (complex, [1.0, 2.5], complex(1, 2.5)),
    (pathlib.Path, "a/b", pathlib.Path("a/b")),
    (pathlib.PurePosixPath, "/a", pathlib.PurePosixPath("/a")),
    # collections
    (Tuple[int, str], [1, "a"], (1, "a")),
    (Tuple[int, ...], [1, 2], (1, 2)),
    (Tuple[()], [], ()),
    (tuple, [1, "a"], (1, "a")),
    (Set[int], [1, 2, 10], {1, 2, 10}),
    (set, ["a", "b"], {"a", "b"}),
    (FrozenSet[str], ["a", "b"], frozenset("ab")),
    (Set[Color], ["blue", "red"], {Color.RED, Color.BLUE}),
    (Set[FrozenSet[int]], [[1], [2, 3]], {frozenset([1]), frozenset([2, 3])}),
    (Set[Tuple[int, str]], [[1, "b"], [2, "a"]], {(1, "b"), (2, "a")}),
    (AbstractSet[int], [1], frozenset([1])),
    (MutableSet[int], [1], {1}),
    (Deque[int], [1, 2], collections.deque([1, 2])),
    (Sequence[int], [1], [1]),
    (MutableSequence[Tuple[int, int]], [[1, 2]], [(1, 2)]),
    (Iterable[dt.date], ["2022-07-01"], [dt.date(2022, 7, 1)]),
    (Collection[int], [1], [1]),
    (Mapping[str, Set[int]], {"a": [1]}, {"a": {1}}),
    (MutableMapping[str, int], {"a": 1}, {"a": 1}),
    (DefaultDict[str, int], {"a": 1}, collections.defaultdict(None, a=1)),
    (OrderedDict[str, int], {"b": 1, "a": 2}, collections.OrderedDict([("b", 1), ("a", 2)])),
    (Counter[str], {"a": 2}, collections.Counter("aa")),
    (Dict[int, str], {"1": "a", "-2": "b"}, {1: "a", -2: "b"}),
    (Dict[float, int], {"0.5": 1}, {0.5: 1}),
    (Dict[Color, int], {"red": 1}, {Color.RED: 1}),
    (Dict[Level, int], {"1": 1}, {Level.LOW: 1}),
    (Dict[dt.date, int], {"2022-07-01": 1}, {dt.date(2022, 7, 1): 1}),
    (Dict[Union[int, str], int], {"1": 1, "a": 2}, {"1": 1, "a": 2}),
    # choices
    (Optional[int], None, None),
    (Optional[Tuple[int, int]], [1, 2], (1, 2)),
    (Optional[dt.date], "2022-07-01", dt.date(2022, 7, 1)),
    (Union[int, str], "a", "a"),
    (Union[str, int], 1, 1),
    (Union[bool, int], 1, 1),
    (Union[int, bool], True, True),
    (Union[int, float], 1.5, 1.5),
    (Union[int, Set[int]], [1], {1}),
    (Union[dt.date, dt.datetime], "2022-07-01T10:00:00", dt.datetime(2022, 7, 1, 10)),
    (Union[dt.datetime, dt.date], "2022-07-01", dt.date(2022, 7, 1)),
    (Union[dt.date, str], "2022-07-01", "2022-07-01"),
    (Union[Tuple[int, int], Tuple[int, int, int]], [1, 2, 3], (1, 2, 3)),
    (Union[Dict[int, int], Dict[str, str]], {"1": 1}, {1: 1}),
    (Union[List[dt.date], List[int]], ["2022-07-01"], [dt.date(2022, 7, 1)]),
    (typing.Literal[1, "a", None], "a", "a"),
    (typing.Literal[1, "a", None], None, None),
    (typing.Literal[Color.RED], "red", Color.RED),
    (typing.Literal[b"hi"], "aGk=", b"hi"),
    (Color, "red", Color.RED),
    (Level, 1, Level.LOW),
    (Word, "hi", Word.HI),
    (Access, 3, Access.READ | Access.WRITE),
    (Access, 0, Access(0)),
    (Bits, 3, Bits.ONE | Bits.TWO),
    (Shape, [1, 2], Shape.FLAT),
    (Weight, 0.5, Weight.HALF),
    (Json, {"a": [1, "b", None, {"c": 1.5}]}, {"a": [1, "b", None, {"c": 1.5}]}),
    # names for types
    (UserId, 1, 1),
    (When, "2022-07-01", dt.date(2022, 7, 1)),
    (T, "a", "a"),
    (Bound, "2022-07-01", dt.date(2022, 7, 1)),
    (Choice, [1, 2], (1, 2)),
]

ONE_WAY = [
    # what may be given in more than one form, and goes back in one
    (dt.datetime, "2022-07-01T10:00Z", dt.datetime(2022, 7, 1, 10, tzinfo=UTC)),
    (dt.datetime, "2022-07-01 10:00:00", dt.datetime(2022, 7, 1, 10)),
    (dt.time, "10:30", dt.time(10, 30)),
    (dt.timedelta, "-PT1H", -dt.timedelta(hours=1)),
    (dt.timedelta, "P1W", dt.timedelta(days=7)),
    (decimal.Decimal, 5, decimal.Decimal(5)),
    (uuid.UUID, "1234567812345678" * 2, uuid.UUID("1234567812345678" * 2)),
    (complex, 1.5, 1.5),
    (Set[int], [2, 1, 1], {1, 2}),
    (Weight, 1, Weight.WHOLE),
    (Cased, "A", Cased.A),
]


class Table(unittest.TestCase):
    def test_values_arrive_as_their_type_and_go_back(self):
        for annotation, value, expected in CELLS:
            with self.subTest(annotation=annotation, value=str(value)[:80]):
                arrived, back = there_and_back(annotation, value)
                expected = value if expected is None and value is not None else expected
                self.assertEqual((type(expected), expected), (type(arrived), arrived))
                self.assertEqual(repr(value)[:4000], repr(back)[:4000])

    def test_other_forms_arrive_too(self):
        for annotation, value, expected in ONE_WAY:
            with self.subTest(annotation=annotation, value=value):
                arrived, _ = there_and_back(annotation, value)
                self.assertEqual((type(expected), expected), (type(arrived), arrived))

    def test_a_new_default_dict_makes_nothing_up(self):
        arrived, _ = there_and_back(DefaultDict[str, int], {})
        self.assertIsNone(arrived.default_factory)

    def test_a_fold_without_a_zone_is_refused(self):
        for moment in (dt.datetime(2020, 10, 25, 2, fold=1), dt.time(2, fold=1)):
            with self.assertRaisesRegex(ValueError, "fold"):
                scalars.plain(moment)
        moment = dt.datetime(2020, 10, 25, 2, fold=1, tzinfo=UTC)
        self.assertEqual("2020-10-25T02:00:00+00:00", scalars.plain(moment))

    def test_what_is_not_finite_passes_where_it_is_allowed(self):
        for annotation, value in ((float, 1e999), (decimal.Decimal, "NaN"), (complex, [1e999, 0])):
            _, back = there_and_back(annotation, value, nan="allow")
            self.assertEqual(repr(value).replace("0]", "0.0]"), repr(back))


@unittest.skipIf(sys.version_info < (3, 9), "written so since 3.9")
class Since39(unittest.TestCase):
    def test_builtin_classes_take_their_items_types(self):
        for annotation, value, expected in [
            ("list[tuple[int, ...]]", [[1]], [(1,)]),
            ("dict[int, set[str]]", {"1": ["a"]}, {1: {"a"}}),
            ("frozenset[int]", [1], frozenset([1])),
            ("collections.abc.Sequence[int]", [1], [1]),
            ("collections.deque[int]", [1], collections.deque([1])),
            ("collections.abc.Mapping[str, int]", {"a": 1}, {"a": 1}),
            ("typing.Annotated[set[int], 'note']", [1], {1}),
        ]:
            with self.subTest(annotation=annotation):
                arrived, back = there_and_back(eval(annotation), value)
                self.assertEqual((expected, value), (arrived, back))


if __name__ == "__main__":
    unittest.main()
