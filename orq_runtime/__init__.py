"""Runs other people's Python functions: their own environment, a fresh process, typed JSON.

`Runtime` and `AsyncRuntime` supply environments and run steps; see `docs/library.md`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # start-up budget: as `typing` has it, whose import costs more than all this
if TYPE_CHECKING:
    from orq_runtime import errors
    from orq_runtime._aruntime import AsyncRuntime
    from orq_runtime._runtime import Runtime
    from orq_runtime.model.artifact import Artifact
    from orq_runtime.model.blob import Blob
    from orq_runtime.model.environment import Environment
    from orq_runtime.model.limits import Limits
    from orq_runtime.model.outcome import Outcome
    from orq_runtime.model.policy import Policy
    from orq_runtime.model.step import Step

__all__ = [
    "Artifact",
    "AsyncRuntime",
    "Blob",
    "Environment",
    "Limits",
    "Outcome",
    "Policy",
    "Runtime",
    "Step",
    "errors",
]

__version__ = "0.1.0"

_HOMES = {
    "Artifact": "orq_runtime.model.artifact",
    "AsyncRuntime": "orq_runtime._aruntime",
    "Blob": "orq_runtime.model.blob",
    "Environment": "orq_runtime.model.environment",
    "Limits": "orq_runtime.model.limits",
    "Outcome": "orq_runtime.model.outcome",
    "Policy": "orq_runtime.model.policy",
    "Runtime": "orq_runtime._runtime",
    "Step": "orq_runtime.model.step",
    "errors": "orq_runtime.errors",
}


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if home := _HOMES.get(name):
            # start-up budget: importing the package imports nothing that a caller may not need
            import importlib

            module = importlib.import_module(home)
            return module if name == "errors" else getattr(module, name)
        raise AttributeError(f"module `orq_runtime` has no attribute `{name}`")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
