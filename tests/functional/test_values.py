"""Values across the boundary through both facades: how strictly they are taken, and old habits."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import math
import uuid
from pathlib import Path
from typing import Any

import pytest

from orq_runtime import Runtime, Step
from orq_runtime.errors import BadCall, RequestError
from orq_runtime.model.checks import Coercion
from orq_runtime.model.outcome import Outcome
from tests.functional.conftest import Call

_ECHO = Step(source="def f(x): return x", function="f")


def _echo(annotation: str) -> Step:
    return Step(
        source=(
            "import datetime as dt, dataclasses, decimal, pathlib, uuid\nfrom typing import *\n"
            "@dataclasses.dataclass\n"
            "class Order:\n    price: float\n    note: Optional[str] = None\n"
            "class P(Protocol):\n    def __int__(self) -> int: ...\n"
            f"def f(x: {annotation}) -> {annotation}: return x\n"
        ),
        function="f",
    )


@pytest.mark.parametrize(
    ("annotation", "value", "back"),
    [
        ("List[Order]", [{"price": 1.5}], [{"price": 1.5, "note": None}]),
        ("List[Order]", [{"price": n} for n in range(1000)], None),
        ("SupportsInt", 1, 1),
        ("P", 1, 1),
        ("'int | None'", None, None),
        ("Set[FrozenSet[str]]", [["b", "a"], ["c"]], [["a", "b"], ["c"]]),
    ],
)
def test_parts_that_few_steps_need_are_there_when_they_are(
    call: Call, annotation: str, value: object, back: object
) -> None:
    """Behind every wall: what is loaded late, typeguard among it, and integers of any length."""
    outcome = call(_echo(annotation), {"x": value})

    assert outcome.verdict == "ok", outcome.failure
    assert back is None or outcome.value == back


def test_integers_of_any_length_cross(call: Call) -> None:
    """Also those that the interpreter itself would not write, and those beside smaller ones."""
    given = [-(10**20_000), 1, 10**5000, 1 << 64]

    outcome = call(_echo("List[int]"), {"x": given})

    assert outcome.verdict == "ok"
    assert (outcome.value == given) is True  # the numbers are too long to be shown


def test_async_and_generator_functions_give_values(call: Call) -> None:
    """A coroutine is run and a generator read to its end, on the step's own clock."""
    source = (
        "import asyncio\nfrom typing import *\n"
        "async def a(n: int) -> int:\n    await asyncio.sleep(0)\n    return n\n"
        "def g(n: int) -> Iterator[int]:\n    yield from range(n)\n"
        "def w() -> Iterator[int]:\n    yield 'a'\n"
    )

    assert 3 == call(Step(source=source, function="a"), {"n": 3}).value
    assert [0, 1, 2] == call(Step(source=source, function="g"), {"n": 3}).value
    wrong = call(Step(source=source, function="w"))
    assert ("wrong_result", "yes") == (wrong.verdict, wrong.began)


@dataclasses.dataclass
class _Order:
    """A value of the caller's own."""

    price: float
    _note: str = "n"


@pytest.fixture(scope="module")
def runtime(cache_dir: Path) -> Runtime:
    """One runtime for what does not differ by facade."""
    return Runtime(cache_dir=cache_dir, isolation="process", start="exec")


@pytest.mark.parametrize(
    ("annotation", "value", "back"),
    [
        ("Set[int]", {2, 1}, [1, 2]),
        ("bytes", b"hi", "aGk="),
        ("dt.datetime", dt.datetime(2022, 7, 1, 10), "2022-07-01T10:00:00"),
        ("dt.timedelta", dt.timedelta(days=1, seconds=2.5), "P1DT2.5S"),
        ("decimal.Decimal", decimal.Decimal("1.10"), "1.10"),
        ("uuid.UUID", uuid.UUID(int=5), str(uuid.UUID(int=5))),
        ("pathlib.Path", Path("a/b"), "a/b"),
        ("complex", 1 + 2j, [1.0, 2.0]),
        ("Tuple[int, str]", (1, "a"), [1, "a"]),
        ("Dict[str, Any]", _Order(1.5), {"price": 1.5, "_note": "n"}),
        ("Dict[str, Set[int]]", {"a": {1, 1 << 70}}, {"a": [1, 1 << 70]}),
    ],
)
def test_a_caller_may_give_pythons_own_values(
    runtime: Runtime, annotation: str, value: object, back: object
) -> None:
    """What the table knows is written as the table says, and arrives as what it was."""
    assert back == runtime.run(_echo(annotation), {"x": value}).value


def test_what_has_no_form_is_refused_by_name(runtime: Runtime) -> None:
    """A value that JSON has no form for never starts a run."""
    with pytest.raises(BadCall) as caught:
        runtime.run(_ECHO, {"x": [1, object()]})

    assert "`x[1]`" in caught.value.message
    assert "object" in caught.value.message


class TestNan:
    """NaN and infinities are an error unless the caller chose otherwise."""

    def test_they_are_refused_in_inputs(self, runtime: Runtime) -> None:
        """With the place and the way to let them pass."""
        with pytest.raises(BadCall) as caught:
            runtime.run(_ECHO, {"x": {"a": [1.0, math.nan]}})

        assert "`x['a'][1]` is not finite" in caught.value.message
        assert 'nan="allow"' in (caught.value.hint or "")

    def test_they_are_refused_in_results(self, runtime: Runtime) -> None:
        """Never null in silence, beside a null that is meant."""
        step = Step(source="def f(): return [None, float('nan')]", function="f")

        outcome = runtime.run(step, check=False)

        assert "not_encodable" == outcome.verdict
        assert outcome.failure is not None
        assert "return[1]" == outcome.failure.problems[0].path

    def test_they_cross_where_allowed(self, runtime: Runtime) -> None:
        """Both ways, with integers of any size beside them."""
        given = [math.nan, math.inf, -math.inf, None, 1 << 70]

        value = runtime.run(_echo("List[Any]"), {"x": given}, nan="allow").value

        assert repr(given) == repr(value)

    def test_an_outcome_with_one_survives(self, runtime: Runtime) -> None:
        """As Python's `json` writes it."""
        outcome = runtime.run(_echo("float"), {"x": math.inf}, nan="allow")

        assert outcome == Outcome.from_json(outcome.to_json())


class TestStrictness:
    """`typecheck` and `coerce`, of a runtime and of one call."""

    def test_old_habits_pass_where_they_are_allowed(self, runtime: Runtime) -> None:
        """The outcome says what was changed, also of a run that then failed."""
        source = (
            "from typing import *\n"
            "def f(specs: Dict[str, int], n: Optional[int], fine: Union[str, Dict]):\n"
            "    return [specs, n, fine]\n"
            "def g(n: int): raise ValueError(n)\n"
        )
        inputs = {"specs": '{"a": 1}', "n": "None", "fine": "{}"}
        step = Step(source=source, function="f")

        assert "wrong_type" == runtime.run(step, inputs, check=False).verdict
        outcome = runtime.run(step, inputs, coerce=True)
        failed = runtime.run(
            Step(source=source, function="g"), {"n": "5"}, coerce=True, check=False
        )

        assert [{"a": 1}, None, "{}"] == outcome.value
        assert (
            Coercion(path="specs", how="JSON text", value="'{\"a\": 1}'", became="{'a': 1}"),
            Coercion(path="n", how="null", value="'None'", became="None"),
        ) == outcome.coerced
        assert outcome == Outcome.from_json(outcome.to_json())
        assert ("raised", ("n",)) == (failed.verdict, tuple(one.path for one in failed.coerced))

    def test_nothing_is_checked_where_nothing_is_asked(self, runtime: Runtime) -> None:
        """`off` lets everything pass, `sample` what it does not see."""
        step = _echo("List[int]")
        late = [0] * 500 + ["a"] + [0] * 500

        assert "wrong_type" == runtime.run(step, {"x": late}, check=False).verdict
        assert late == runtime.run(step, {"x": late}, typecheck="sample").value
        assert (
            "wrong_type"
            == runtime.run(step, {"x": ["a"] * 1000}, typecheck="sample", check=False).verdict
        )
        assert ["a"] == runtime.run(step, {"x": ["a"]}, typecheck="off").value

    def test_a_call_wins_over_its_runtime(self, cache_dir: Path) -> None:
        """What one call asks for is for that call alone."""
        with Runtime(
            cache_dir=cache_dir, isolation="process", start="exec", typecheck="off"
        ) as lenient:
            step = _echo("int")

            assert "a" == lenient.run(step, {"x": "a"}).value
            assert (
                "wrong_type" == lenient.run(step, {"x": "a"}, typecheck="all", check=False).verdict
            )

    def test_unknown_words_are_refused(self, runtime: Runtime) -> None:
        """With the known ones."""
        word: Any = "null"
        with pytest.raises(RequestError) as caught:
            runtime.run(_ECHO, {"x": 1}, nan=word)

        assert "`error`, `allow`" in (caught.value.hint or "")
