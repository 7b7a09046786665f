"""A function described and inputs checked, both without a line of the function run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # a schema is JSON, and is walked as such

import pytest
from jsonschema import Draft202012Validator

import guest_matrix
from orq_runtime import AsyncRuntime, Outcome, Runtime, Step
from orq_runtime.errors import BadCall, FunctionRaised, ImportFailed, NotFound, WrongArgument
from orq_runtime.model.plan import StartMode

_HEAD = """
import collections, datetime, decimal, enum, pathlib, uuid
from dataclasses import dataclass, field
from typing import *
class Color(enum.Enum):
    RED = "r"
    BLUE = 2
class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2
@dataclass
class Node:
    "A node."
    value: int
    kids: List["Node"] = field(default_factory=list)
    name: str = "x"
class Pair(NamedTuple):
    left: int
    right: float = 1.5
class Half(TypedDict, total=False):
    a: int
class Movie(TypedDict):
    title: str
T = TypeVar("T")
@dataclass
class Box(Generic[T]):
    it: T
Age = NewType("Age", int)
"""

_ANNOTATIONS = """
int|float|str|bool|None|bytes|complex|Any|Age|List[int]|Sequence[str]|Set[int]|FrozenSet[str]
Tuple[int, str]|Tuple[int, ...]|Tuple[()]|Dict[str, int]|Dict[int, float]|Dict[Color, int]
Mapping[str, Any]|collections.Counter|Optional[int]|Union[int, str]|Union[str, List[int]]
Literal[1, "a", None]|Color|Level|Node|Pair|Movie|Half|Box[int]|List[Optional[Node]]
datetime.datetime|datetime.date|datetime.timedelta|decimal.Decimal|uuid.UUID|pathlib.Path
"""
_NAMES = [one for line in _ANNOTATIONS.split("\n") for one in line.split("|") if one]

_VALUES: list[object] = [
    None,
    True,
    0,
    2,
    3,
    1.5,
    "",
    "a",
    "r",
    "aGk=",
    "2022-07-01",
    "2022-07-01T10:00:00+00:00",
    "P1D",
    "6f1c1c1e-0000-4000-8000-000000000000",
    [],
    [1],
    [1, "a"],
    [1.0, 2.0],
    ["a", "b"],
    [None],
    {},
    {"a": 1},
    {"1": 1.5},
    {"r": 1},
    {"title": "x"},
    {"title": "x", "more": 1},
    {"value": 1},
    {"value": 1, "kids": [{"value": 2}]},
    {"value": "1"},
    {"left": 1},
    {"it": 1},
    {"it": "a"},
]


@pytest.fixture(scope="module")
def runtime(cache_dir: Path) -> Iterator[Runtime]:
    """One runtime for many small calls."""
    with Runtime(cache_dir=cache_dir, isolation="namespaces") as made:
        yield made


def _step(code: str, function: str = "f") -> Step:
    return Step(source=_HEAD + code, function=function)


def _described(runtime: Runtime, code: str) -> dict[str, Any]:
    document = runtime.schema(_step(code))
    for name in ("inputs", "output"):
        part = document[name]
        assert isinstance(part, dict)
        Draft202012Validator.check_schema(part)
    return document


def test_a_function_is_described(cache_dir: Path, start: StartMode) -> None:
    """Its docstring, its parameters with defaults and their own words, its result; no call."""
    code = (
        "def f(n: int, xs: List[float], *rest: str, to=None, deep: Node = Node(1), **more: int)"
        " -> Dict[str, Node]:\n"
        '    """Does it.\n\n    Args:\n        n: how many\n    """\n    raise SystemExit(9)\n'
    )
    with Runtime(cache_dir=cache_dir, start=start) as runtime:
        document = _described(runtime, code)

    inputs, output = document["inputs"], document["output"]
    assert ("f", "Does it.") == (document["name"], document["description"])
    assert ["n", "xs"] == inputs["required"]
    assert {"type": "integer"} == inputs["additionalProperties"]
    assert {
        "n": {"type": "integer", "description": "how many"},
        "xs": {"type": "array", "items": {"type": "number"}},
        "rest": {"type": "array", "items": {"type": "string"}},
        "to": {"default": None},
        "deep": {"$ref": "#/$defs/Node", "default": {"value": 1, "kids": [], "name": "x"}},
    } == inputs["properties"]
    assert ["value"] == inputs["$defs"]["Node"]["required"]
    assert "A node." == inputs["$defs"]["Node"]["description"]
    assert {"$ref": "#/$defs/Node"} == output["additionalProperties"]
    assert ["value", "kids", "name"] == output["$defs"]["Node"]["required"]


@pytest.mark.slow
@pytest.mark.parametrize("annotation", _NAMES)
def test_what_the_schema_refuses_the_call_refuses(runtime: Runtime, annotation: str) -> None:
    """And what comes back is what the schema of the output says."""
    code = f"def f(value: {annotation}) -> {annotation}: return value\n"
    document = _described(runtime, code)
    taken, given = (Draft202012Validator(document[name]) for name in ("inputs", "output"))

    lies = []
    for value in _VALUES:
        outcome = runtime.run(_step(code), {"value": value}, check=False)
        assert outcome.verdict in ("ok", "wrong_type"), outcome.failure
        if outcome.ok and not taken.is_valid({"value": value}):
            lies.append((value, "is taken"))
        if outcome.ok and not given.is_valid(outcome.value):
            lies.append((outcome.value, "is given"))
    assert [] == lies


@pytest.mark.parametrize(
    ("annotation", "refused"),
    [
        ("int", ["1", 1.5, True, None]),
        ("Optional[int]", ["1"]),
        ("Tuple[int, str]", [[1], ["a", 1], [1, "a", 2]]),
        ("Literal[1, 'a']", [2, "b"]),
        ("Color", ["RED", 1]),
        ("Node", [{}, {"value": 1, "more": 2}, {"value": 1, "kids": [1]}]),
        ("Movie", [{}, {"title": "x", "b": 1}]),
        ("Dict[int, str]", [{"a": "b"}, {"1": 2}]),
        ("Box[int]", [{"it": "a"}]),
    ],
)
def test_the_schema_refuses_what_it_can(
    runtime: Runtime, annotation: str, refused: list[object]
) -> None:
    """It is no empty promise: wrong values are told by the schema alone."""
    schema = _described(runtime, f"def f(value: {annotation}): pass\n")["inputs"]

    valid = [one for one in refused if Draft202012Validator(schema).is_valid({"value": one})]
    assert [] == valid


def test_bounds_of_annotated_are_in_the_schema(runtime: Runtime) -> None:
    """By their attributes, whatever library they are of."""
    code = (
        "class Note:\n    def __init__(self, **said): self.__dict__.update(said)\n"
        "def f(n: Annotated[int, Note(ge=1, lt=9)], s: Annotated[str, Note(max_length=3)],"
        " xs: Annotated[List[int], Note(min_length=1, documentation='some')]): pass\n"
    )

    properties = _described(runtime, code)["inputs"]["properties"]

    assert {"type": "integer", "minimum": 1, "exclusiveMaximum": 9} == properties["n"]
    assert {"type": "string", "maxLength": 3} == properties["s"]
    assert ("some", 1) == (properties["xs"]["description"], properties["xs"]["minItems"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "python", [str(one.path) for one in guest_matrix.find_interpreters()], ids=lambda path: path
)
def test_every_interpreter_says_the_same(cache_dir: Path, runtime: Runtime, python: str) -> None:
    """The same function has the same schema on 3.8 and on the newest."""
    listed = ", ".join(f"p{n}: {one}" for n, one in enumerate(_NAMES))
    code = f"def f({listed}): pass\n"

    with Runtime(cache_dir=cache_dir, python=python, isolation="namespaces") as other:
        assert runtime.schema(_step(code)) == other.schema(_step(code))


def test_inputs_are_checked_without_a_call(cache_dir: Path, start: StartMode) -> None:
    """What would be refused is refused by the same errors; what fits has not begun."""
    step = _step("def f(n: int, xs: List[int] = []): open('/nowhere')\n")

    with Runtime(cache_dir=cache_dir, start=start) as runtime:
        fine = runtime.check(step, {"n": 1})
        wrong = runtime.check(step, {"n": "1", "xs": [1, "a"]}, check=False)
        with pytest.raises(BadCall, match="missing parameter `n`"):
            runtime.check(step)
        with pytest.raises(WrongArgument):
            runtime.check(step, {"n": None})

    assert ("ok", None, "no") == (fine.verdict, fine.value, fine.began)
    assert ("wrong_type", 3, "no") == (wrong.verdict, wrong.exit_code, wrong.began)
    assert wrong.failure is not None
    assert ["n", "xs[1]"] == [problem.path for problem in wrong.failure.problems]


@pytest.mark.parametrize(
    ("code", "function", "error"),
    [
        ("import no_such_module\n", "f", ImportFailed),
        ("1 / 0\n", "f", FunctionRaised),
        ("def g(): pass\n", "f", NotFound),
        ("def f(n: 'Missing'): pass\n", "f", FunctionRaised),
    ],
)
def test_a_step_that_cannot_be_loaded_raises(
    runtime: Runtime, code: str, function: str, error: type[Exception]
) -> None:
    """As a run of it would, for a description and for a check."""
    with pytest.raises(error):
        runtime.schema(_step(code, function))
    with pytest.raises(error):
        runtime.check(_step(code, function))


def test_the_other_facade_describes_and_checks(cache_dir: Path) -> None:
    """`AsyncRuntime` has both."""
    step = _step("def f(n: int) -> str: return ''\n")

    async def both() -> tuple[dict[str, object], Outcome]:
        async with AsyncRuntime(cache_dir=cache_dir, isolation="namespaces") as runtime:
            return await runtime.schema(step), await runtime.check(step, {"n": 1})

    document, outcome = asyncio.run(both())

    assert {"name", "description", "inputs", "output"} == document.keys()
    assert "no" == outcome.began


def test_a_guest_that_describes_by_itself_is_found_out(runtime: Runtime) -> None:
    """A module that answers in the guest's place has no seal to do it with."""
    code = "import os, struct\nos.write(4, struct.pack('!BI', 3, 6) + b'J\"hi\"')\ndef f(): pass\n"

    outcome = runtime.check(_step(code), {}, check=False)

    assert "protocol_violation" == outcome.verdict
