"""What is refused, with the place and the words; bounds; what `coerce` changes."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import typing
import unittest
from typing import (
    Any,
    Callable,
    Collection,
    Deque,
    Dict,
    Iterable,
    List,
    Mapping,
    NewType,
    Optional,
    Reversible,
    Sequence,
    Set,
    Tuple,
    Union,
)

from guest_calls import called, refused

from orq_sandbox.bind import Call


def step(annotation: Any) -> Any:
    def f(x):
        return x

    f.__annotations__ = {"x": annotation}
    return f


SPECS = List[Dict[str, int]]


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    price: float
    when: Optional[dt.date] = None


class Basket(typing.TypedDict):
    orders: List[Order]


class Access(enum.Flag):
    READ = 1


# annotation, value, path, expected, got
REFUSED = [
    # the gaps of typeguard
    (int, True, "x", "int", "bool"),
    (float, True, "x", "float", "bool"),
    (Iterable[int], ["a"], "x[0]", "int", "str"),
    (Collection[int], ["a"], "x[0]", "int", "str"),
    (Reversible[int], ["a"], "x[0]", "int", "str"),
    (typing.Container[int], ["a"], "x[0]", "int", "str"),
    (Deque[int], [1, "a"], "x[1]", "int", "str"),
    (List[int], [1] * 1000 + ["a"], "x[1000]", "int", "str"),
    (Dict[str, int], {"a": 1, "b": "x"}, "x['b']", "int", "str"),
    (Sequence[str], "abc", "x", "Sequence[str]", "str"),
    (Iterable[str], "abc", "x", "Iterable[str]", "str"),
    (List[str], "abc", "x", "List[str]", "str"),
    (typing.NoReturn, 1, "x", "NoReturn", "int"),
    (typing.Literal[1], True, "x", "Literal[1]", "bool"),
    (typing.Literal[1], 1.0, "x", "Literal[1]", "float"),
    # the rest
    (int, "1", "x", "int", "str"),
    (int, 1.0, "x", "int", "float"),
    (int, None, "x", "int", "None"),
    (str, 1, "x", "str", "int"),
    (bool, 1, "x", "bool", "int"),
    (type(None), 0, "x", "None", "int"),
    (Union[int, str], 1.5, "x", "Union[int, str]", "float"),
    (Union[List[int], Dict[str, int]], {"a": "b"}, "x['a']", "int", "str"),
    (Optional[List[int]], ["a"], "x[0]", "int", "str"),
    (Dict[str, Optional[int]], {"a": "x"}, "x['a']", "Optional[int]", "str"),
    (List[Optional[List[int]]], [1], "x[0]", "Optional[List[int]]", "int"),
    (Tuple[int, int], [1, "a"], "x[1]", "int", "str"),
    (Tuple[int, int], [1], "x", "Tuple[int, int]", "tuple"),
    (Set[List[int]], [[1]], "x", "Set[List[int]]", "list"),
    (Dict[int, int], {"01": 1}, "x.keys()['01']", "int", "str"),
    (Color, "blue", "x", "Color", "str"),
    (Access, 2, "x", "Access", "int"),
    (dt.date, "tomorrow", "x", "date", "str"),
    (decimal.Decimal, "NaN", "x", "Decimal", "str"),
    (Order, {"price": "1"}, "x.price", "float", "str"),
    (Order, {"price": 1, "day": 1}, "x.day", "Order", "int"),
    (Order, {}, "x.price", "Order", "dict"),
    (Basket, {"orders": [{"price": 1}, {"price": None}]}, "x.orders[1].price", "float", "None"),
    (Basket, {"orders": [], "more": 1}, "x.more", "Basket", "int"),
]

HINTS = [
    (int, "5", "give a number"),
    (float, "1.5", "give a number"),
    (Optional[int], "None", "give null"),
    (dict, '{"a": 1}', "JSON as text"),
    (Dict[str, int], '{"a": 1}', "JSON as text"),
    (Optional[List[str]], '["a"]', "JSON as text"),
    (bool, "true", "give true"),
    (bool, 1, "give true or false"),
    (str, 5, "give a text"),
    (int, 5.0, "give 5"),
    (List[str], "abc", "give a list"),
    (int, "five", ""),
    (bytes, "aGk", "base64 text"),
    (bytes, "_-8=", "base64 text"),
    (dt.datetime, "2022-07-01", "ISO 8601 text"),
    (Optional[dt.timedelta], 5, "ISO 8601 duration"),
    (decimal.Decimal, 1.5, "text, such as"),
    (complex, "1j", "[real, imaginary]"),
    (Color, "RED", "a member's value: 'red'"),
    (Optional[Color], "x", "a member's value: 'red'"),
    (List[Color], ["x"], "`x[0]` is given as a member's value"),
    (Dict[int, int], {"01": 1}, 'not "01"'),
    (Dict[dt.date, int], {"x": 1}, "a key is given as ISO 8601 text"),
    (float, "nan", ""),
]


class Refusals(unittest.TestCase):
    def test_the_place_and_the_types_are_said(self):
        for annotation, value, path, expected, got in REFUSED:
            with self.subTest(annotation=annotation, value=str(value)[:50]):
                problem = refused(step(annotation), {"x": value})["problems"][0]
                said = (problem["path"], problem["expected"], problem["got"])
                self.assertEqual((path, expected, got), said)

    def test_a_hint_where_one_is_likely(self):
        for annotation, value, words in HINTS:
            with self.subTest(annotation=annotation, value=value):
                hint = refused(step(annotation), {"x": value})["problems"][0]["hint"]
                self.assertTrue(words in hint if words else not hint, hint)

    def test_a_function_cannot_come_and_that_is_the_reason(self):
        for value in ("print", None, {"a": 1}):
            found = refused(step(Callable[[int], str]), {"x": value})
            self.assertIn("which no JSON value can be", found["message"])

        def with_default(f: Callable = len):
            return f([1])

        self.assertEqual(1, called(with_default, {}))

    def test_typeguard_is_not_needed_for_what_is_plain(self):
        def f(kind: Optional[typing.Type[int]] = None, n: Union[typing.Type[int], int] = 1):
            return n

        self.assertEqual(2, called(f, {"n": 2}))  # a bare interpreter has no typeguard

    def test_the_type_is_named_as_its_author_wrote_it(self):
        def f(specs: SPECS, n: "Optional[ int ]" = None):
            return specs

        found = refused(f, {"specs": 5, "n": "a"})["problems"]
        self.assertEqual(
            [("SPECS", "SPECS"), ("Optional[ int ]", "Optional[ int ]")],
            [(one["expected"], one["annotation"]) for one in found],
        )

    def test_all_parameters_at_once_and_long_values_clipped(self):
        def f(a: int, b: List[int], c: str):
            return a

        found = refused(f, {"a": "x" * 10_000, "b": ["y", 1, "z"], "c": "fine"})
        self.assertEqual(["a", "b[0]", "b[2]"], [one["path"] for one in found["problems"]])
        self.assertLess(len(found["message"]), 1000)

    def test_values_nested_beyond_reason(self):
        deep: Any = 1
        for _ in range(5000):
            deep = [deep]

        def f(x: List[Any]):
            return 1

        self.assertEqual(1, called(f, {"x": deep}))

    def test_a_cyclic_result_is_refused(self):
        cyclic: list = []
        cyclic.append(cyclic)

        def f() -> "Tree":
            return cyclic

        f.__globals__["Tree"] = List["Tree"]
        self.assertEqual("wrong_result", refused(f, {})["verdict"])


class Gt:
    gt = 0


class MaxLen:
    max_length = 2


class Predicate:
    def __init__(self, func):
        self.func = func


class Group:
    __is_annotated_types_grouped_metadata__ = True

    def __iter__(self):
        return iter([Gt(), MultipleOf()])


class MultipleOf:
    multiple_of = 3


class FakeAnnotated:
    """What every `Annotated` looks like, on interpreters that have none."""

    def __init__(self, origin, *metadata):
        self.__origin__ = origin
        self.__metadata__ = metadata


class Bounds(unittest.TestCase):
    def test_bounds_are_enforced(self):
        for annotation, good, bad, words in [
            (FakeAnnotated(int, Gt()), 1, 0, "greater than 0"),
            (FakeAnnotated(str, MaxLen()), "ab", "abc", "at most 2 long"),
            (FakeAnnotated(str, Predicate(str.islower)), "a", "A", "accepted by `islower`"),
            (FakeAnnotated(int, Group()), 3, 4, "a multiple of 3"),
            (FakeAnnotated(Set[int], MaxLen()), [1, 1, 1], [1, 2, 3], "at most 2 long"),
            (FakeAnnotated(FakeAnnotated(int, Gt()), "note"), 1, 0, "greater than 0"),
        ]:
            with self.subTest(annotation=annotation.__metadata__):
                called(step(annotation), {"x": good})
                self.assertIn(words, refused(step(annotation), {"x": bad})["message"])

    def test_notes_that_are_no_bounds_say_nothing(self):
        self.assertEqual(-1, called(step(FakeAnnotated(int, ">0", int, 5, object())), {"x": -1}))


Id = NewType("Id", int)

COERCED = [
    (int, "5", 5, ["a number"]),
    (int, 5.0, 5, ["a whole number"]),
    (float, " 1e3", 1000.0, ["a number"]),
    (Id, "5", 5, ["a number"]),
    (bool, "True", True, ["a truth value"]),
    (Optional[int], "None", None, ["null"]),
    (Optional[dt.date], "None", None, ["null"]),
    (Dict, '{"a": 1}', {"a": 1}, ["JSON text"]),
    (List[int], '["1", 2]', [1, 2], ["JSON text", "a number"]),
    (Order, '{"price": "5"}', Order(5.0), ["JSON text", "a number"]),
    (List[Order], [{"price": 1}, {"price": "2"}], [Order(1), Order(2.0)], ["a number"]),
    (Tuple[int, str], '[1, "2"]', (1, "2"), ["JSON text"]),
    (Mapping[str, Any], '{"a": "1"}', {"a": "1"}, ["JSON text"]),
]

NOT_COERCED = [
    (str, 5),
    (int, "5.5"),
    (int, 5.5),
    (int, True),
    (int, "1_0"),
    (bool, 1),
    (float, "nan"),
    (Dict, "[1]"),
    (Dict, '{"a": NaN}'),
    (Dict, '{"a": 1, "a": 2}'),
    (Dict, '{"a": 1e999}'),
    (float, "1e999"),
    (dt.date, "None"),
    (typing.Literal[1], "1"),
    (int, ["5"]),
]

LEFT = [
    (Optional[str], "None"),
    (Union[str, Dict], '{"a": 1}'),
    (Any, "5"),
    (object, "None"),
    (Union[int, str], "5"),
]


class Coercions(unittest.TestCase):
    def test_old_habits_are_understood_and_told(self):
        for annotation, value, expected, how in COERCED:
            with self.subTest(annotation=annotation, value=value):
                self.assertEqual("wrong_type", refused(step(annotation), {"x": value})["verdict"])
                call = Call(step(annotation), coerce=True)
                made = call.bind({"x": value})[1]["x"]
                self.assertEqual((expected, type(expected)), (made, type(made)))
                self.assertEqual(how, [one["how"] for one in call.coerced])

    def test_nothing_else_is_changed(self):
        for annotation, value in NOT_COERCED:
            with self.subTest(annotation=annotation, value=value):
                found = refused(step(annotation), {"x": value}, coerce=True)
                self.assertEqual("wrong_type", found["verdict"])

    def test_what_fits_is_left_alone(self):
        for annotation, value in LEFT:
            call = Call(step(annotation), coerce=True)
            self.assertEqual(value, call.bind({"x": value})[1]["x"])
            self.assertEqual([], call.coerced)

    def test_one_that_cannot_be_helped_is_reported_as_it_came(self):
        problems = refused(step(Dict[str, int]), {"x": {"a": "1", "b": "c"}}, coerce=True)[
            "problems"
        ]
        self.assertEqual(["x['a']", "x['b']"], [one["path"] for one in problems])


class Counting(unittest.TestCase):
    def test_a_counter_counts_in_integers(self):
        found = refused(step(typing.Counter[str]), {"x": {"a": "b"}})["problems"][0]
        self.assertEqual("x['a']", found["path"])
        self.assertEqual(
            collections.Counter("a"), called(step(typing.Counter[str]), {"x": {"a": 1}})
        )


if __name__ == "__main__":
    unittest.main()
