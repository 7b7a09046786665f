"""How callers use the public names, for the type checkers: this file is checked and never run."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import assert_type

import orq_runtime as orq
from orq_runtime import errors
from orq_runtime.model.engine import StepRunner

__all__ = ["use_a_runtime", "use_an_async_runtime", "use_values"]


def use_values() -> None:
    """Values are made by keyword and read by attribute."""
    step = orq.Step("steps/hello.py", "greet")
    assert_type(step, orq.Step)
    assert_type(orq.Step(file=Path("steps/hello.py"), function="greet"), orq.Step)
    assert_type(orq.Step(source="def f(): ...", function="f", requirements=["numpy"]), orq.Step)
    assert_type(orq.Step.from_json(step.to_json()), orq.Step)
    assert_type(orq.Step("steps/hello.py", "greet", outputs=["greeting", "plots/"]), orq.Step)
    assert_type(orq.Step("steps/hello.py", "greet", outputs={"plots": "plots"}), orq.Step)
    assert_type(orq.Artifact("circuit.json").path, Path)
    assert_type(orq.Limits(wall_seconds=1.5).result_bytes, int)


def use_a_runtime(step: orq.Step, inputs: Iterable[dict[str, object]]) -> StepRunner:
    """The blocking facade."""
    with orq.Runtime() as runtime:
        assert_type(runtime.supply(step), orq.Environment)
        outcome = runtime.run(step, {"name": "Ada"}, limits=orq.Limits(wall_seconds=1), check=False)
        assert_type(outcome, orq.Outcome)
        assert_type(outcome.value, object)
        assert_type(outcome.error(), errors.OrqRuntimeError | None)
        assert_type(runtime.submit(step, {"name": "Ada"}), Future[orq.Outcome])
        lenient = runtime.run(step, {"n": "1"}, typecheck="sample", coerce=True, nan="allow")
        assert_type([change.path for change in lenient.coerced], list[str])
        for each in runtime.map(step, inputs):
            assert_type(each, orq.Outcome)
        assert_type(runtime.check(step, {"name": "Ada"}), orq.Outcome)
        assert_type(runtime.schema(step), dict[str, object])
        made = runtime.run(step, outputs=["circuit"], outputs_dir="out", keep_files=True)
        assert_type(made.outputs["circuit"], orq.Artifact)
        runtime.run(step, {"circuit": made.outputs["circuit"]}, show_locals=True)
        return runtime


async def use_an_async_runtime(step: orq.Step, inputs: Iterable[dict[str, object]]) -> None:
    """The same, awaited."""
    async with orq.AsyncRuntime() as runtime:
        assert_type(await runtime.supply(step), orq.Environment)
        assert_type(await runtime.run(step, {"name": "Ada"}), orq.Outcome)
        assert_type(await runtime.check(step, {"name": "Ada"}), orq.Outcome)
        assert_type(await runtime.schema(step), dict[str, object])
        async for each in runtime.map(step, inputs):
            assert_type(each, orq.Outcome)


def use_errors(step: orq.Step, runtime: orq.Runtime) -> errors.Fault | None:
    """One class for everything, and what it tells."""
    try:
        runtime.run(step)
    except errors.RunError as error:
        assert_type(error.outcome, orq.Outcome | None)
        assert_type(error.hint, str | None)
    except errors.OrqRuntimeError as error:
        assert_type(error.retryable, bool)
        return error.fault
    return None
