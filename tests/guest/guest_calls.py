"""How a call is made: every kind of parameter, decorated functions, results that are collected."""

import asyncio
import dataclasses
import functools
import sys
import types
import unittest
from typing import (
    Any,
    AsyncIterator,
    Awaitable,
    Dict,
    Generator,
    Iterable,
    Iterator,
    List,
    Optional,
    Tuple,
    TypedDict,
    Union,
)

from orq_sandbox import collect
from orq_sandbox.bind import Call
from orq_sandbox.failure import Refusal


def called(function: Any, inputs: dict, **options: Any) -> Any:
    """What the function gives for the inputs, as the harness would have it."""
    call = Call(function, **options)
    positional, named = call.bind(inputs)
    value = collect.collected(function(*positional, **named))
    call.check_result(value)
    return value


def refused(function: Any, inputs: dict, **options: Any) -> dict:
    """Why the call is refused."""
    try:
        value = called(function, inputs, **options)
    except Refusal as refusal:
        return dict(refusal.body, verdict=refusal.verdict)
    raise AssertionError("not refused: %r" % (value,))


def keeping(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def losing(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def renaming(function):
    @functools.wraps(function)
    def wrapper(first, second=2):
        return function(first, second)

    return wrapper


class Things:
    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, m: int) -> int:
        return self.n + m

    @staticmethod
    def static(n: int) -> int:
        return n

    @classmethod
    def of_class(cls, n: int) -> str:
        return cls.__name__

    def of_object(self, n: int) -> int:
        return self.n + n


@dataclasses.dataclass
class Adder:
    n: str = "a field is no parameter"

    def __call__(self, m: int) -> int:
        return m


class Unpack:
    _name = "Unpack"


class Unpacked:
    """What every `Unpack[...]` looks like, on interpreters that have none."""

    __origin__ = Unpack

    def __init__(self, inner):
        self.__args__ = (inner,)


class Parameters(unittest.TestCase):
    def test_positional_only_ones_are_bound_by_name_too(self):
        names: Dict[str, Any] = {}
        if sys.version_info >= (3, 8):
            exec("def f(a, b=2, c=3, /, *, d): return [a, b, c, d]", names)
        self.assertEqual([1, 2, 5, 4], called(names["f"], {"a": 1, "c": 5, "d": 4}))

    def test_open_ones_take_any_name(self):
        def f(a: int, **rest: int):
            return rest

        self.assertEqual(
            {"not-a-name": 2, "rest": 3}, called(f, {"a": 1, "not-a-name": 2, "rest": 3})
        )
        problem = refused(f, {"a": 1, "not-a-name": "x"})["problems"][0]
        self.assertEqual(("not-a-name", "int"), (problem["path"], problem["expected"]))

    def test_open_ones_with_names_of_their_own(self):
        class Named(TypedDict):
            a: int
            b: List[int]

        def f(**rest):
            return rest

        f.__annotations__["rest"] = Unpacked(Named)
        self.assertEqual({"a": 1, "b": [2]}, called(f, {"a": 1, "b": [2]}))
        problem = refused(f, {"a": "1", "b": [2]})["problems"][0]
        self.assertEqual(("a", "int"), (problem["path"], problem["expected"]))
        found = refused(f, {"a": 1, "q": 1})["problems"]
        self.assertEqual(["q", "b"], [one["path"] for one in found])

    def test_a_name_that_is_taken_already_is_no_input(self):
        class Thing:
            def __init__(self, **others):
                self.others = others

            def __call__(self, **others):
                return others

        def f(a, **others):
            return [a, others]

        for function, name in ((Thing, "self"), (Thing(), "self"), (functools.partial(f, 1), "a")):
            found = refused(function, {name: 1, "b": 2})
            self.assertEqual(("bad_call", name), (found["verdict"], found["problems"][0]["path"]))
        self.assertEqual([1, {"self": 2}], called(f, {"a": 1, "self": 2}))

    def test_args_may_be_one_tuple(self):
        def f(*args):
            return list(args)

        f.__annotations__ = {"args": Unpacked(Tuple[int, str])}
        self.assertEqual([1, "a"], called(f, {"args": [1, "a"]}))
        for wrong in ([1], ["a", 1], [1, "a", 2]):
            self.assertEqual("wrong_type", refused(f, {"args": wrong})["verdict"])
        self.assertEqual("args", refused(f, {})["problems"][0]["path"])
        f.__annotations__ = {"args": Unpacked(Tuple[Tuple[int, int], ...])}
        self.assertEqual([(1, 2)], called(f, {"args": [[1, 2]]}))
        self.assertEqual([], called(f, {}))

    def test_a_list_is_spread_over_args(self):
        def f(a, b=7, *args: int, c=3):
            return [a, b, args, c]

        self.assertEqual([1, 7, (4, 5), 3], called(f, {"a": 1, "args": [4, 5]}))
        self.assertEqual("args[1]", refused(f, {"a": 1, "args": [4, "x"]})["problems"][0]["path"])
        self.assertEqual("bad_call", refused(f, {"a": 1, "args": 5})["verdict"])

    def test_all_that_does_not_fit_by_name_at_once(self):
        def f(alpha, beta):
            return alpha

        found = refused(f, {"alhpa": 1, "gamma": 2})
        self.assertEqual("bad_call", found["verdict"])
        self.assertEqual(
            ["alhpa", "gamma", "alpha", "beta"], [one["path"] for one in found["problems"]]
        )
        self.assertIn("did you mean `alpha`?", found["message"])

    def test_a_default_of_none_is_a_value_of_it(self):
        def f(n: int = None, xs: "List[int]" = None):
            return [n, xs]

        self.assertEqual([None, None], called(f, {}))
        self.assertEqual([None, [1]], called(f, {"n": None, "xs": [1]}))

    def test_a_wrong_default_is_refused_where_it_is_used(self):
        def f(n: int = "a", m: List[int] = ()):
            return n

        found = refused(f, {})
        self.assertEqual("wrong_type", found["verdict"])
        self.assertEqual(["n", "m"], [one["path"] for one in found["problems"]])
        self.assertIn("its default is wrong", found["message"])
        self.assertEqual(1, called(f, {"n": 1, "m": []}))

    def test_old_specifications_are_what_came(self):
        def f(specs: Union[str, Dict], name: str):
            return [specs, name]

        for specs in ('{"a": 1}', {"a": 1}):
            for options in ({}, {"coerce": True}):
                found = called(f, {"specs": specs, "name": "/etc/hostname"}, **options)
                self.assertEqual([specs, "/etc/hostname"], found)


class Callables(unittest.TestCase):
    def test_a_decorator_that_keeps_the_signature(self):
        @keeping
        def f(n: int) -> int:
            return n

        self.assertEqual(1, called(f, {"n": 1}))
        self.assertEqual("wrong_type", refused(f, {"n": "a"})["verdict"])

    def test_a_decorator_that_loses_it(self):
        @losing
        def f(n: int) -> int:
            return n

        self.assertEqual("a", called(f, {"n": "a"}))

    def test_a_decorator_with_names_of_its_own(self):
        @renaming
        def f(a: int, b: int = 5):
            return [a, b]

        self.assertEqual([1, 5], called(f, {"a": 1, "b": 5}))

    def test_functools(self):
        def f(a: int, b: int, c: Tuple[int, ...] = ()):
            return [a, b, c]

        @functools.singledispatch
        def g(n: int):
            return n

        self.assertEqual([1, 2, (3,)], called(functools.partial(f, 1), {"b": 2, "c": [3]}))
        self.assertEqual([1, 3, ()], called(functools.partial(f, b=2), {"a": 1, "b": 3}))
        self.assertEqual("wrong_type", refused(functools.partial(f, 1), {"b": "x"})["verdict"])
        self.assertEqual(4, called(functools.lru_cache(None)(g), {"n": 4}))
        self.assertEqual(4, called(g, {"n": 4}))
        kept = functools.lru_cache(None)(f)
        self.assertEqual([1, 2, ()], called(kept, {"a": 1, "b": 2}))
        self.assertEqual("wrong_type", refused(kept, {"a": 1, "b": "x"})["verdict"])

    def test_methods_instances_and_classes(self):
        self.assertEqual(1, called(Things.static, {"n": 1}))
        self.assertEqual("Things", called(Things.of_class, {"n": 1}))
        self.assertEqual(3, called(Things(1).of_object, {"n": 2}))
        self.assertEqual(3, called(Things(1), {"m": 2}))
        self.assertEqual(2, called(Adder(), {"m": 2}))
        self.assertEqual(2, called(Things, {"n": 2}).n)
        self.assertEqual("wrong_type", refused(Things, {"n": "a"})["verdict"])
        self.assertIn("a method of an object", refused(Things.of_object, {"n": 1})["message"])

    def test_a_name_of_an_enclosing_function(self):
        def made():
            @dataclasses.dataclass
            class Inner:
                x: int

            def f(p: "Inner", q: "Optional[Inner]" = None):
                return p, Inner

            return f

        value, kind = called(made(), {"p": {"x": 1}})
        self.assertEqual(kind(1), value)


class Results(unittest.TestCase):
    def test_async_functions_are_awaited(self):
        async def f(n: int) -> Tuple[int, ...]:
            await asyncio.sleep(0)
            return (n,)

        async def g() -> int:
            return "a"

        def h() -> Awaitable[int]:
            return f.__wrapped__() if hasattr(f, "__wrapped__") else later()

        async def later() -> int:
            return 3

        self.assertEqual((1,), called(f, {"n": 1}))
        self.assertEqual("wrong_result", refused(g, {})["verdict"])
        self.assertEqual(3, called(h, {}))

    def test_generators_are_collected_and_checked(self):
        def f(n: int) -> Iterator[int]:
            yield from range(n)

        def g() -> Generator[int, None, str]:
            yield "a"

        async def h() -> AsyncIterator[int]:
            yield 1

        def k() -> Iterable[int]:
            return (x for x in ["a"])

        self.assertEqual([0, 1, 2], called(f, {"n": 3}))
        self.assertEqual("return[0]", refused(g, {})["problems"][0]["path"])
        self.assertEqual([1], called(h, {}))
        self.assertEqual("return[0]", refused(k, {})["problems"][0]["path"])
        self.assertEqual(["1", "2"], called(lambda: map(str, [1, 2]), {}))

    def test_a_generator_without_an_end_is_refused(self):
        def f():
            while True:
                yield 1

        self.assertEqual("not_encodable", refused(f, {})["verdict"])


class Strictness(unittest.TestCase):
    def test_off_checks_nothing_and_still_converts(self):
        def f(a: Tuple[int, int], b: int, c: "Undefined") -> str:
            return [a, b, c]

        self.assertEqual(
            [(1, "x"), "y", 1], called(f, {"a": [1, "x"], "b": "y", "c": 1}, typecheck="off")
        )

    def test_a_sample_finds_what_is_everywhere(self):
        def f(xs: List[int], by: Dict[str, int]):
            return len(xs)

        wrong = {str(n): "x" for n in range(1000)}
        self.assertEqual(
            ["xs[0]", "by['0']"],
            [
                one["path"]
                for one in refused(f, {"xs": ["a"] * 1000, "by": wrong}, typecheck="sample")[
                    "problems"
                ]
                if one["path"].endswith(("[0]", "['0']"))
            ],
        )
        once = [0] * 500 + ["a"] + [0] * 500
        self.assertEqual(1001, called(f, {"xs": once, "by": {}}, typecheck="sample"))


class Unresolved(unittest.TestCase):
    def test_the_error_names_the_annotation(self):
        def f(a: int, b: "Undefined" = 1):
            return a

        def g(b: List["Undefined"]):
            return b

        @dataclasses.dataclass
        class Held:
            x: "Nowhere"

        def h(held: Held):
            return held

        for function, words in (
            (f, ["`b`", "`Undefined`"]),
            (g, ["`b`", "Undefined"]),
            (h, ["x", "Nowhere"]),
        ):
            found = refused(function, {})
            self.assertEqual("raised", found["verdict"])
            for word in words:
                self.assertIn(word, found["message"])

    def test_what_is_no_type_is_an_error_and_what_is_a_note_is_none(self):
        def f(x: [int]):
            return x

        def g(x: any):
            return x

        self.assertIn("`[int]`: it is no type", refused(f, {"x": 1})["message"])
        self.assertEqual("a", called(g, {"x": "a"}))

    def test_a_module_that_does_not_exist_any_more(self):
        function = types.FunctionType((lambda x: x).__code__, {})
        function.__annotations__ = {"x": "int"}
        self.assertEqual(1, called(function, {"x": 1}))


if __name__ == "__main__":
    unittest.main()
