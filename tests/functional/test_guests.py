"""Every interpreter as a guest, and the private support layer beside a component's own pins."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import guest_matrix
import orq_runtime as orq
from orq_runtime import errors
from orq_runtime._run.bundle import clean, latest, stage
from orq_runtime._run.guest import Guests
from orq_runtime.model.environment import Interpreter
from orq_runtime.model.plan import StartMode

_INTERPRETERS = guest_matrix.find_interpreters()
_TYPED = (
    "import sys\nfrom dataclasses import dataclass\nfrom typing import *\n"
    "@dataclass\nclass Point:\n    x: int\n    ys: Tuple[float, ...] = ()\n"
    "def f(points: List[Point], call: Callable[[int], str] = str) -> Dict[str, Any]:\n"
    "    return {'x': points[0].x, 'ys': points[0].ys, 'v': list(sys.version_info[:2]),\n"
    "            'prefix': sys.prefix, 'executable': sys.executable}\n"
)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("interpreter", _INTERPRETERS, ids=lambda one: one.name)
def test_a_typed_call_on_every_interpreter(
    cache_dir: Path, interpreter: guest_matrix.GuestInterpreter, start: StartMode
) -> None:
    """Conversion, checks (typeguard's too) and errors are the same on every supported CPython."""
    step = orq.Step(source=_TYPED, function="f", python=str(interpreter.path))
    with orq.Runtime(cache_dir=cache_dir, start=start) as runtime:
        environment = runtime.supply(step)
        value = runtime.run(step, {"points": [{"x": 1, "ys": [1, 2.5]}]}).value
        wrong = runtime.run(step, {"points": [{"x": "1"}], "call": 3}, check=False)

    assert value == {
        "x": 1,
        "ys": [1, 2.5],
        "v": list(interpreter.version[:2]),
        "prefix": str(environment.path),
        "executable": str(environment.path / "bin" / "python"),
    }
    assert wrong.failure is not None
    assert ["points[0].x", "call"] == [problem.path for problem in wrong.failure.problems]


@pytest.mark.network
@pytest.mark.slow
def test_a_components_own_pins_are_what_it_imports(cache_dir: Path, start: StartMode) -> None:
    """typeguard, orjson and typing_extensions of the step are its own, and it is still checked."""
    pins = ["typeguard==2.13.3", "orjson==3.8.3", "typing_extensions==3.10.0.2"]
    step = orq.Step(
        source=(
            "import importlib.metadata as m, typeguard, orjson\n"
            "from typing import Callable, List\nfrom typing_extensions import Literal, TypedDict\n"
            "class Row(TypedDict):\n    kind: Literal['a', 'b']\n    n: int\n"
            "@typeguard.typechecked\n"
            "def f(rows: List[Row], key: Callable[[int], int] = abs) -> List[str]:\n"
            "    orjson.dumps(rows)\n"
            "    return [m.version(n) for n in ('typeguard', 'orjson', 'typing_extensions')]\n"
        ),
        function="f",
        requirements=pins,
    )
    with orq.Runtime(cache_dir=cache_dir, start=start) as runtime:
        versions = runtime.run(step, {"rows": [{"kind": "a", "n": 1}]}).value
        wrong = runtime.run(step, {"rows": [{"kind": "c", "n": True}], "key": 1}, check=False)

    assert [pin.partition("==")[2] for pin in pins] == versions
    assert wrong.failure is not None
    assert ["rows[0].kind", "rows[0].n", "key"] == [one.path for one in wrong.failure.problems]


def test_a_step_without_the_support_packages_cannot_import_them(
    cache_dir: Path, start: StartMode
) -> None:
    """Our private packages are not there for a step that did not declare them."""
    step = orq.Step(source="def f(name: str):\n    __import__(name)\n", function="f")
    with orq.Runtime(cache_dir=cache_dir, start=start) as runtime:
        verdicts = [
            runtime.run(step, {"name": name}, check=False).verdict
            for name in ("typeguard", "orjson", "typing_extensions", "orq_sandbox", "orq_runtime")
        ]

    assert ["import_failed"] * 5 == verdicts


@pytest.mark.parametrize("version", ["3.6", "3.7", "2.7"])
def test_old_interpreters_are_refused_by_name(cache_dir: Path, version: str) -> None:
    """An interpreter that is too old is refused with its version and what is supported."""
    step = orq.Step(source="def f(): pass", function="f", python=version)
    with (
        orq.Runtime(cache_dir=cache_dir) as runtime,
        pytest.raises(errors.InterpreterNotFound) as caught,
    ):
        runtime.run(step)

    assert version in caught.value.message
    assert "3.8" in f"{caught.value.message} {caught.value.hint}"


def test_from_the_second_zygote_on_the_next_guest_waits(cache_dir: Path, tmp_path: Path) -> None:
    """It is good for any environment of its interpreter, and gone when the runtime is closed."""
    interpreter = _interpreter(cache_dir)
    bundle = stage(tmp_path, interpreter)
    guests = Guests()
    told = []
    for _ in range(2):
        guests.follow_up(interpreter.path, bundle)
        for thread in threading.enumerate():
            if thread.name == "orq-guest":
                thread.join()
        told.append(len(_children()))
    guests.close()
    guests.start_ahead(interpreter.path, bundle)

    assert [0, 1] == told
    assert [] == _children()


def test_the_last_bundle_is_known_without_reading_the_guest(
    cache_dir: Path, tmp_path: Path
) -> None:
    """Until it is removed: then there is none."""
    interpreter = _interpreter(cache_dir)
    bundle = stage(tmp_path, interpreter)
    found = latest(tmp_path, interpreter.cache_tag, interpreter.version)
    clean(tmp_path)

    assert bundle == found
    assert latest(tmp_path, interpreter.cache_tag, interpreter.version) is None


def _interpreter(cache_dir: Path) -> Interpreter:
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        return runtime.supply(orq.Step(source="def f(): pass", function="f")).interpreter


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split() + [
        pid
        for task in Path("/proc/self/task").iterdir()
        if task.name != str(os.getpid())
        for pid in (task / "children").read_text("ascii").split()
    ]
