"""Whatever is bound directly is bound the same in full; what is not plain is not bound directly."""

import itertools
import random
import typing
import unittest
from typing import Any, Dict, List, Optional, Sequence, Union

from orq_sandbox import direct
from orq_sandbox.bind import Call
from orq_sandbox.failure import Refusal

ANNOTATIONS = [
    int,
    float,
    str,
    bool,
    None,
    list,
    dict,
    Any,
    object,
    bytes,
    tuple,
    set,
    "int",
    List[int],
    List[float],
    List[Any],
    List[List[int]],
    List[Optional[int]],
    List[str],
    list,
    List,
    Dict[str, int],
    Dict[str, List[float]],
    Dict[int, int],
    Dict[str, Any],
    Dict,
    Optional[int],
    Optional[List[int]],
    Union[int, str],
    Union[float, None],
    Sequence[int],
    typing.TypeVar("T"),
    typing.Callable,
    typing.Tuple[int, ...],
]
VALUES = [
    0,
    1,
    -5,
    1 << 70,
    1.0,
    1.5,
    True,
    False,
    None,
    "",
    "x",
    "1",
    [],
    [1],
    [1, True],
    [1.0],
    [1, 2.0],
    ["a"],
    [None],
    [[1]],
    [[1], [True]],
    {},
    {"a": 1},
    {"a": True},
    {"a": [1.0]},
    {"1": 1},
    {"a": None},
]


def step(annotation, result, default):
    if default is NOTHING:

        def f(x):
            return x
    else:

        def f(x=default):
            return x

    f.__annotations__ = {"x": annotation, "return": result}
    return f


NOTHING = object()


def bound_in_full(function, inputs):
    """The arguments, or None where they are refused."""
    try:
        positional, named = Call(function).bind(dict(inputs))
    except Refusal:
        return None
    return positional, named


class Direct(unittest.TestCase):
    def test_what_fits_is_bound_in_full_and_unchanged(self):
        """The short way never takes what the long one refuses, nor passes on anything else."""
        taken = 0
        for annotation, value in itertools.product(ANNOTATIONS, VALUES):
            function = step(annotation, Any, NOTHING)
            if direct.fits(function, {"x": value}):
                taken += 1
                self.assertEqual(([], {"x": value}), bound_in_full(function, {"x": value}))
        self.assertGreater(taken, 100)

    def test_defaults_are_looked_at(self):
        """As they are in full."""
        for annotation, value in itertools.product(ANNOTATIONS, VALUES):
            function = step(annotation, Any, value)
            if direct.fits(function, {}):
                self.assertEqual(([], {}), bound_in_full(function, {}))

    def test_results_that_are_plain_are_right_in_full(self):
        """The result's check is the same."""
        taken = 0
        for annotation, value in itertools.product(ANNOTATIONS, VALUES):
            function = step(Any, annotation, NOTHING)
            if direct.fits(function, {"x": value}) and direct.is_result(function, value):
                taken += 1
                Call(function).check_result(value)  # raises what it does not accept
        self.assertGreater(taken, 100)

    def test_random_shapes_agree(self):
        """Annotations and values that nobody thought of."""
        draw = random.Random(7)
        taken = 0
        for _ in range(4000):
            annotation, value = an_annotation(draw, 0), a_value(draw, 0)
            function = step(annotation, Any, NOTHING)
            if direct.fits(function, {"x": value}):
                taken += 1
                self.assertEqual(([], {"x": value}), bound_in_full(function, {"x": value}))
        self.assertGreater(taken, 200)

    def test_what_is_no_plain_function_is_bound_in_full(self):
        """Decorated, variadic, positional-only, unknown and missing names."""

        def variadic(*xs: int) -> int: ...
        def keywords(**xs: int) -> int: ...
        def plain(x: int, *, y: int = 1) -> int: ...
        def marked(x: int) -> int: ...

        marked.__wrapped__ = plain

        self.assertTrue(direct.fits(plain, {"x": 1}))
        self.assertTrue(direct.fits(plain, {"x": 1, "y": 2}))
        for function, inputs in [
            (variadic, {"xs": [1]}),
            (keywords, {"a": 1}),
            (marked, {"x": 1}),
            (max, {"x": 1}),
            (plain, {}),
            (plain, {"x": 1, "z": 1}),
            (plain, {"y": 1}),
            (int, {"x": 1}),
        ]:
            self.assertFalse(direct.fits(function, inputs))


def an_annotation(draw, depth):
    kind = draw.choice(["plain", "plain", "plain", "list", "dict", "union"])
    if kind == "plain" or depth > 3:
        return draw.choice([int, float, str, bool, Any, type(None), list, dict])
    inner = an_annotation(draw, depth + 1)
    if kind == "list":
        return List[inner]
    return Dict[str, inner] if kind == "dict" else Union[inner, an_annotation(draw, depth + 1)]


def a_value(draw, depth):
    kind = draw.choice(["plain", "plain", "list", "dict"])
    if kind == "plain" or depth > 3:
        return draw.choice([1, 2.5, "a", True, None])
    inner = [a_value(draw, depth + 1) for _ in range(draw.choice([0, 1, 2]))]
    return inner if kind == "list" else {str(place): one for place, one in enumerate(inner)}


if __name__ == "__main__":
    unittest.main()
