"""Values that are not what they say: what is checked and what is written is what is there."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import sys
import unittest
from typing import Any, Callable, Deque, Dict, FrozenSet, List, Set, Tuple
from unittest import mock

from guest_calls import called, refused
from guest_table import NoOrjson

from orq_sandbox import encode, fast, hints, typecheck
from orq_sandbox.failure import Refusal


def liar(kind: type, **more: Any) -> Any:
    """An object that says it is of a class, and has what the class's functions ask it for."""
    return type("Liar", (), dict(more, __class__=property(lambda self: kind)))()


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Whole(int):
    def __int__(self):
        return 99

    __index__ = __int__

    def __repr__(self):
        return "98"


class Fraction(float):
    def __float__(self):
        return 9.5

    def __repr__(self):
        return "8.5"


class Word(str):
    __slots__ = ()

    def __str__(self):
        return "other"


class Listed(list):
    def __iter__(self):
        return iter([9])


class Placed(tuple):
    __slots__ = ()

    def __iter__(self):
        return iter((9,))


class Chosen(set):
    def __iter__(self):
        return iter([9])


class Queued(collections.deque):
    def __iter__(self):
        return iter([9])


class Paired(dict):
    def items(self):
        return [("z", 9)]

    def keys(self):
        return ["z"]

    def values(self):
        return [9]

    def __iter__(self):
        return iter("z")


class NoOffset(dt.tzinfo):
    def utcoffset(self, _moment):
        return None


def result(value: object, annotation: Any = Any) -> Any:
    """What a function that gives the value has as its result, in JSON."""

    def f():
        return value

    f.__annotations__ = {"return": annotation}
    return json.loads(encode.encode(NoOrjson, called(f, {}))[1:])


def why_not(value: object, annotation: Any = Any) -> str:
    """The verdict for such a result."""
    try:
        made = result(value, annotation)
    except Refusal as refusal:
        assert refusal.body["problems"][0]["path"].startswith("return"), refusal.body
        return refusal.verdict
    except AssertionError:
        return "wrong_result"
    raise AssertionError("not refused: %r" % (made,))


LIARS = [
    (int, liar(int, __int__=lambda self: 7, __index__=lambda self: 7)),
    (float, liar(float, __float__=lambda self: 7.5)),
    (bool, liar(bool)),
    (str, liar(str, __str__=lambda self: "lie")),
    (type(None), liar(type(None))),
    (dict, liar(dict, keys=lambda self: ["a"], __getitem__=lambda self, key: 1)),
    (list, liar(list, __iter__=lambda self: iter([1]), __len__=lambda self: 1)),
    (Point, liar(Point, x=1, y=2)),
    (dt.date, liar(dt.date, isoformat=lambda self: "2020-01-01")),
]
SUBCLASSES = [
    (int, Whole(3), 3),
    (float, Fraction(1.5), 1.5),
    (str, Word("abc"), "abc"),
    (List[int], Listed([1, 2]), [1, 2]),
    (Tuple[int, ...], Placed((1, 2)), [1, 2]),
    (Tuple[int, int], Placed((1, 2)), [1, 2]),
    (Set[int], Chosen([1, 2]), [1, 2]),
    (Deque[int], Queued([1, 2]), [1, 2]),
    (Dict[str, int], Paired(a=1), {"a": 1}),
    (Dict[int, int], {Whole(3): Whole(4)}, {"3": 4}),
    (Dict[str, str], {Word("k"): Word("v")}, {"k": "v"}),
    (Dict[float, int], {Fraction(1.5): 1}, {"1.5": 1}),
]


class Liars(unittest.TestCase):
    def test_what_a_class_says_of_itself_does_not_count(self):
        for kind, value in LIARS:
            with self.subTest(kind=kind):
                wanted = ("wrong_result", "not_encodable")
                self.assertEqual(wanted, (why_not(value, kind), why_not(value)))
                self.assertEqual(wanted, (why_not([value], List[kind]), why_not([value])))

    def test_a_mock_is_nothing(self):
        for value in (
            mock.Mock(),
            mock.MagicMock(),
            mock.Mock(spec=int),
            mock.MagicMock(spec=list),
        ):
            for annotation in (int, List[int], Dict[str, int]):
                self.assertEqual("wrong_result", why_not(value, annotation))
            self.assertEqual("not_encodable", why_not(value))

    def test_a_class_that_decides_by_itself_is_asked(self):
        class Meta(type):
            def __instancecheck__(cls, value):
                return value == 5

        five = Meta("Five", (), {})

        def f(x):
            return x

        f.__annotations__ = {"x": five}
        self.assertEqual(5, called(f, {"x": 5}))
        self.assertEqual("wrong_type", refused(f, {"x": 6})["verdict"])

    def test_what_a_subclass_holds_is_checked_and_written(self):
        for annotation, value, written in SUBCLASSES:
            with self.subTest(annotation=annotation):
                self.assertEqual([written, 1 << 70], result([value, 1 << 70]))
                self.assertEqual(written, result(value, annotation))
        self.assertEqual("wrong_result", why_not(Listed(["a"]), List[int]))
        self.assertEqual("wrong_result", why_not(Paired(a="a"), Dict[str, int]))

    def test_an_attribute_that_is_gone_is_missed(self):
        gone = Point(1)
        del gone.x
        self.assertEqual("wrong_result", why_not(gone, Point))
        full = typecheck.compile(Point, hints.Scope({}))
        self.assertFalse(fast.checker(full)(gone))
        self.assertTrue(fast.checker(full)(Point(1)))


class Sets(unittest.TestCase):
    def test_a_truth_value_does_not_hide_behind_a_number(self):
        for annotation, value in (
            (Set[int], [1, True]),
            (Set[Any], [0, False]),
            (Set[bool], [True, 1]),
            (FrozenSet[Tuple[int, int]], [[1, 2], [True, 2]]),
        ):

            def f(x):
                return 1

            f.__annotations__ = {"x": annotation}
            self.assertEqual("wrong_type", refused(f, {"x": value})["verdict"])
            self.assertEqual(1, called(f, {"x": value[:1] * 2}))

    def test_the_order_is_stable(self):
        frozen = dataclasses.make_dataclass("Frozen", ["x"], frozen=True)
        for members, written in (
            ([2.5, 1, 2], [1, 2, 2.5]),
            ([frozen(2), frozen(1)], [{"x": 1}, {"x": 2}]),
            ([frozen(frozenset("ba")), frozen(frozenset("c"))], [{"x": ["a", "b"]}, {"x": ["c"]}]),
        ):
            self.assertEqual(written, result(set(members)))
            self.assertEqual(written, result(frozenset(members)))

    def test_views_keep_the_order_of_their_mapping(self):
        pairs = {"b": 1, "a": 2}
        self.assertEqual(["b", "a"], result(pairs.keys()))
        self.assertEqual([["b", 1], ["a", 2]], result(pairs.items()))
        self.assertEqual([1, 2], result(pairs.values()))


class Color(enum.Enum):
    ONE = 1
    TEXT = "1"
    HALF = 0.5


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Keys(unittest.TestCase):
    def there(self, annotation: Any, value: Any) -> Any:
        def f(x):
            return x

        f.__annotations__ = {"x": annotation}
        return called(f, {"x": value})

    def test_keys_come_back_as_they_were(self):
        for annotation, value in (
            (Dict[Access, int], {Access.READ: 1, Access.READ | Access.WRITE: 2}),
            (Dict[Color, int], {Color.HALF: 1}),
            (Dict[int, int], {-(10**30): 1, 0: 2}),
            (Dict[decimal.Decimal, int], {decimal.Decimal("1E+2"): 1}),
        ):
            with self.subTest(annotation=annotation):
                self.assertEqual(value, self.there(annotation, result(value)))

    def test_a_key_that_two_members_share_is_neither(self):
        self.assertEqual("wrong_type", refused_key(Dict[Color, int], "1"))
        self.assertEqual("wrong_type", refused_key(Dict[Access, int], "4"))
        self.assertEqual("wrong_type", refused_key(Dict[float, int], "1e999"))

    def test_a_key_that_nobody_could_read_is_not_written(self):
        self.assertEqual("not_encodable", why_not({10**5000: 1}))
        self.assertEqual({"1" + "0" * 3900: 1}, result({10**3900: 1}))


def refused_key(annotation: Any, key: str) -> str:
    def f(x):
        return x

    f.__annotations__ = {"x": annotation}
    return refused(f, {"x": {key: 1}})["verdict"]


class Moments(unittest.TestCase):
    def test_a_zone_without_an_offset_is_refused(self):
        for value in (dt.datetime(2020, 1, 1, tzinfo=NoOffset()), dt.time(1, tzinfo=NoOffset())):
            self.assertEqual("not_encodable", why_not(value))

    def test_parts_of_a_microsecond_are_refused(self):
        class Fine(dt.timedelta):
            nanoseconds = 1

        self.assertEqual("not_encodable", why_not(Fine(seconds=1)))

    def test_a_moment_that_is_none_is_refused(self):
        class Nowhen(dt.datetime):  # as pandas' NaT
            def __eq__(self, _other):
                return False

            __hash__ = None

        self.assertEqual("wrong_result", why_not(Nowhen(2020, 1, 1), dt.datetime))

    def test_what_is_not_finite_comes_back_where_it_is_allowed(self):
        for text in ("NaN", "-sNaN12", "Infinity"):

            def f(x: decimal.Decimal):
                return str(x)

            self.assertEqual(text, called(f, {"x": text}, nan="allow"))
            self.assertEqual("wrong_type", refused(f, {"x": text})["verdict"])

    def test_an_integer_that_no_complex_number_is(self):
        def f(x: complex):
            return x

        self.assertEqual(complex(2**53, 0), called(f, {"x": [2**53, 0]}))
        self.assertEqual("wrong_type", refused(f, {"x": [2**53 + 1, 0]})["verdict"])


class Others(unittest.TestCase):
    def test_a_user_string_is_a_text(self):
        self.assertEqual("abc", result(collections.UserString("abc")))

    def test_a_function_is_no_value(self):
        self.assertEqual("not_encodable", why_not(len, Callable))

    @unittest.skipIf(sys.version_info < (3, 9), "named so since 3.9")
    def test_a_deep_path_is_named(self):
        with self.assertRaisesRegex(Refusal, r"return\[0\]\['a'\]\[1\]\[0\]"):
            result([{"a": (1, {float("nan")})}])


if __name__ == "__main__":
    unittest.main()
