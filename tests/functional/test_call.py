"""The typed call: values in and out, and every way a call can be wrong, through every facade."""

from __future__ import annotations

from pathlib import Path

import pytest

from orq_runtime import Step
from tests.functional.conftest import Call


def _code(body: str, function: str = "f") -> Step:
    return Step(source=body, function=function)


@pytest.mark.parametrize(
    ("annotation", "value", "back"),
    [
        ("int", 1, 1),
        ("int", 1 << 100, 1 << 100),
        ("float", 1, 1),
        ("float", 1.5, 1.5),
        ("str", "é\u2028\U0001f600", "é\u2028\U0001f600"),
        ("Optional[int]", None, None),
        ("List[int]", [1, -(1 << 70)], [1, -(1 << 70)]),
        ("Dict[str, List[float]]", {"a": [1, 2.5]}, {"a": [1, 2.5]}),
        ("Tuple[int, str]", [1, "a"], [1, "a"]),
        ("Set[int]", [3, 1, 2], [1, 2, 3]),
        ("bytes", "aGk=", "aGk="),
        ("Dict[int, str]", {"1": "a"}, {"1": "a"}),
        ("datetime.datetime", "2022-07-01T10:00:00+00:00", "2022-07-01T10:00:00+00:00"),
        ("datetime.timedelta", "P1DT2.5S", "P1DT2.5S"),
        ("Decimal", "1.10", "1.10"),
        ("Path", "a/b", "a/b"),
        ("complex", [1.0, 2.0], [1.0, 2.0]),
        ("Point", {"x": 1}, {"x": 1, "y": 2}),
        ("Callable[[int], str]", None, None),
    ],
)
def test_values_go_in_and_come_out(
    call: Call, annotation: str, value: object, back: object
) -> None:
    """A value of its annotated type crosses both ways and stays what it was."""
    default = " = None" if value is None else ""
    step = _code(
        "import datetime\nfrom dataclasses import dataclass\nfrom decimal import Decimal\n"
        "from pathlib import Path\nfrom typing import *\n"
        "@dataclass\nclass Point:\n    x: int\n    y: int = 2\n"
        f"def f(value: {annotation}{default}) -> Optional[{annotation}]:\n    return value\n"
    )

    outcome = call(step, {"value": value})

    assert ("ok", repr(back)) == (outcome.verdict, repr(outcome.value)), outcome.failure


def test_all_wrong_arguments_at_once(call: Call) -> None:
    """Every wrong parameter is reported, with path, types as written and the value."""
    step = _code(
        "from typing import List\n"
        "Specs = List[List[int]]\n"
        "def f(n: int, xs: List[int], deep: Specs, fine: str) -> int:\n    return 1\n"
    )

    outcome = call(step, {"n": True, "xs": [1, 2, "a"], "deep": [[1], [2, None]], "fine": "x"})

    assert ("wrong_type", "no", 3) == (outcome.verdict, outcome.began, outcome.exit_code)
    assert outcome.failure is not None
    assert [
        ("n", "n", "int", "int", "bool", "True"),
        ("xs", "xs[2]", "int", "List[int]", "str", "'a'"),
        ("deep", "deep[1][1]", "int", "Specs", "None", "None"),
    ] == [
        (one.parameter, one.path, one.expected, one.annotation, one.got, one.value)
        for one in outcome.failure.problems
    ]


def test_a_long_value_is_clipped(call: Call) -> None:
    """The report of a wrong value does not carry the value along."""
    outcome = call(_code("def f(n: int): pass"), {"n": "x" * 1_000_000})

    assert outcome.failure is not None
    assert len(outcome.failure.message) < 1000


@pytest.mark.parametrize(
    ("signature", "inputs", "messages"),
    [
        ("a, b", {"a": 1}, ["missing parameter `b`"]),
        ("alpha", {"alpah": 1}, ["unknown parameter `alpah`; did you mean `alpha`?", "missing"]),
        ("", {"x": 1}, ["unknown parameter `x`"]),
    ],
)
def test_inputs_that_do_not_fit_by_name(
    call: Call, signature: str, inputs: dict[str, object], messages: list[str]
) -> None:
    """Unknown and missing parameters are named, all of them, with close names."""
    outcome = call(_code(f"def f({signature}): return 1"), inputs)

    assert ("bad_call", "no", 2) == (outcome.verdict, outcome.began, outcome.exit_code)
    assert outcome.failure is not None
    for message in messages:
        assert message in outcome.failure.message


@pytest.mark.parametrize(
    ("signature", "inputs", "back"),
    [
        ("a, /, b", {"a": 1, "b": 2}, 1),
        ("*, a, b=2", {"a": 1}, 1),
        ("a=1, **rest", {"not-a-name": 2}, 1),
        ("*args, a=1", {}, 1),
        ("a: int = None", {}, None),
        ("a: int = None", {"a": None}, None),
    ],
)
def test_every_kind_of_parameter_is_bound_by_name(
    call: Call, signature: str, inputs: dict[str, object], back: object
) -> None:
    """Positional-only, keyword-only, open and defaulted parameters take inputs by their names."""
    outcome = call(_code(f"def f({signature}):\n    return a"), inputs)

    assert ("ok", back) == (outcome.verdict, outcome.value), outcome.failure


def test_an_annotation_that_cannot_be_resolved_is_an_error(call: Call) -> None:
    """A name in an annotation that means nothing is reported with its parameter; nothing ran."""
    outcome = call(_code("def f(a: int, b: 'Undefined' = 1): return 1"), {"a": 1})

    assert ("raised", "no") == (outcome.verdict, outcome.began)
    assert outcome.failure is not None
    assert "`b`" in outcome.failure.message
    assert "`Undefined`" in outcome.failure.message


def test_future_annotations_are_resolved(call: Call) -> None:
    """Annotations kept as text are resolved in the module's names."""
    step = _code(
        "from __future__ import annotations\nfrom typing import List\n"
        "def f(xs: List[int]) -> int:\n    return sum(xs)\n"
    )

    assert 3 == call(step, {"xs": [1, 2]}).value
    assert "wrong_type" == call(step, {"xs": ["a"]}).verdict


def test_an_exception_has_frames_source_and_cause(call: Call, tmp_path: Path) -> None:
    """What the function raised comes with its lines and its whole chain, none of them ours."""
    file = tmp_path / "steps.py"
    file.write_text(
        "def inner():\n    raise KeyError('k')\n\ndef f():\n    try:\n        inner()\n"
        "    except KeyError as error:\n        raise ValueError('no') from error\n"
    )

    outcome = call(Step(file=file, function="f"))

    failure = outcome.failure
    assert failure is not None
    assert failure.cause is not None
    assert ("raised", "yes", 1) == (outcome.verdict, outcome.began, outcome.exit_code)
    assert ("ValueError", "no") == (failure.type, failure.message)
    assert [(str(file), 8, "f", "raise ValueError('no') from error")] == [
        (frame.file, frame.line, frame.function, frame.source) for frame in failure.frames
    ]
    assert ["f", "inner"] == [frame.function for frame in failure.cause.frames]


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("def f(): return float('nan')", "not_encodable"),
        ("def f(): return {'a': [float('inf')]}", "not_encodable"),
        ("def f(): return object()", "not_encodable"),
        ("def f(): return '\\ud800'", "not_encodable"),
        ("def f(): return {1: 'a', '1': 'b'}", "not_encodable"),
        ("def f():\n    x = []\n    x.append(x)\n    return x", "not_encodable"),
        ("def f() -> int: return 'a'", "wrong_result"),
        ("def f() -> int: return True", "wrong_result"),
        ("from typing import *\ndef f() -> List[int]: return [1, 'a']", "wrong_result"),
    ],
)
def test_results_that_cannot_be_used(call: Call, body: str, verdict: str) -> None:
    """What JSON has no form for, or is not of the return type, is named and not sent."""
    outcome = call(_code(body))

    assert (verdict, "yes", 5) == (outcome.verdict, outcome.began, outcome.exit_code)
    assert outcome.failure is not None
    assert outcome.failure.problems[0].path.startswith("return")


@pytest.mark.parametrize(
    ("body", "back"),
    [
        ("def f(): return {1: 'a', 2: None}", {"1": "a", "2": None}),
        ("def f(): return [None, 1.5]", [None, 1.5]),
        ("def f(): return {3, 1, 2}", [1, 2, 3]),
        ("def f(): return (1, (2,))", [1, [2]]),
        ("def f(): return b'hi'", "aGk="),
        ("def f(): return memoryview(b'h_i_')[::2]", "aGk="),
        ("def f(): return range(2)", [0, 1]),
        ("def f(): return {'a': 1}.keys()", ["a"]),
        ("import array\ndef f(): return array.array('i', [1])", [1]),
        ("class L(list): pass\nclass F(float): pass\ndef f(): return L([F(0.5)])", [0.5]),
        ("def f(): return {0.5: 1}", {"0.5": 1}),
        (
            "import enum\nclass E(enum.Enum):\n  A = 1\ndef f(): return [E.A, {E.A: 1}]",
            [1, {"1": 1}],
        ),
    ],
)
def test_results_in_json(call: Call, body: str, back: object) -> None:
    """Values that JSON has no type for come back in their documented form."""
    assert back == call(_code(body)).value


def test_close_names_of_a_missing_function(call: Call) -> None:
    """A function that is not there is reported with those that are."""
    outcome = call(_code("def greet(): pass", function="great"))

    assert ("not_found", "no", 2) == (outcome.verdict, outcome.began, outcome.exit_code)
    assert outcome.failure is not None
    assert "did you mean `greet`" in outcome.failure.message


def test_a_missing_module_names_the_component(call: Call, tmp_path: Path) -> None:
    """An import that fails names the module and the component that did not declare it."""
    (tmp_path / "requirements.txt").write_text("")
    file = tmp_path / "main.py"
    file.write_text("import not_a_module_of_anybody.part\ndef f(): pass\n")

    outcome = call(Step(file=file, function="f"))

    assert ("import_failed", 1) == (outcome.verdict, outcome.exit_code)
    assert outcome.failure is not None
    assert ("not_a_module_of_anybody", tmp_path.name) == (
        outcome.failure.module,
        outcome.failure.component,
    )


def test_folders_of_the_step_and_its_component_are_importable(call: Call, tmp_path: Path) -> None:
    """The step's own folder, the component's root and its `src` are on the path; relative too."""
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "atroot.py").write_text("A = 1\n")
    package = tmp_path / "src" / "pack" / "steps"
    package.mkdir(parents=True)
    (package / "beside.py").write_text("B = 2\n")
    (package.parent / "deep.py").write_text("C = 3\n")
    (package / "main.py").write_text(
        "import atroot, beside, pack.deep\nfrom ..deep import C\n"
        "def f():\n    return [atroot.A, beside.B, pack.deep.C, C, __name__]\n"
    )

    outcome = call(Step(file=package / "main.py", function="f"))

    assert [1, 2, 3, 3, "pack.steps.main"] == outcome.value, outcome.failure


def test_a_method_of_a_class_is_a_function_too(call: Call) -> None:
    """`Class.method` names a static or class method."""
    step = _code("class A:\n    @staticmethod\n    def m(x: int) -> int:\n        return x", "A.m")

    assert 4 == call(step, {"x": 4}).value


def test_nothing_of_one_run_is_seen_by_the_next(call: Call) -> None:
    """Modules, variables and files that a run changed are as they were for the next."""
    step = _code(
        "import json, os\n"
        "def f():\n"
        "    seen = [hasattr(json, 'mark'), 'MARK' in os.environ, os.listdir('.')]\n"
        "    json.mark = 1; os.environ['MARK'] = '1'; open('mark', 'w').close()\n"
        "    return seen\n"
    )

    assert [[False, False, []]] * 2 == [call(step).value, call(step).value]


def test_random_numbers_differ_from_run_to_run(call: Call) -> None:
    """Children of one zygote do not draw the same numbers."""
    step = _code("import random\ndef f(): return random.random()")

    assert 3 == len({call(step).value for _ in range(3)})


def test_a_step_that_was_refused_the_network_is_told_so(call: Call) -> None:
    """What looks like an error of permission or of names says how to grant the network."""
    source = (
        "import socket, urllib.request\n"
        "def connects() -> str:\n    return urllib.request.urlopen('http://127.0.0.1:1/').read()\n"
        "def resolves() -> object:\n    return socket.getaddrinfo('localhost.invalid', 80)\n"
    )
    for name in ("connects", "resolves"):
        outcome = call(Step(source=source, function=name))

        assert "raised" == outcome.verdict
        assert ("no network" in (outcome.hint or "")) == (outcome.isolation != "process")
