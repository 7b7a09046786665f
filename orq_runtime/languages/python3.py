"""The python3 language: one function of one file, or of code given as text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orq_runtime.model.environment import Component, Environment, SupplyRequest
from orq_runtime.model.plan import RunPlan
from orq_runtime.model.step import Step

__all__ = ["Python3"]

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([\w. ,]+))", re.MULTILINE
)
_MOST_PRELOADS = 64


class Python3:
    """Describes python3 steps. Holds no state and does no I/O."""

    name = "python3"

    def supply_request(
        self, step: Step, components: tuple[Component, ...], python: str | None
    ) -> SupplyRequest:
        """What a step's environment is made from. The step's own `python` comes before `python`."""
        return SupplyRequest(
            components=components,
            scripts=() if step.file is None else (step.file,),
            requirements=step.requirements,
            python=step.python or python,
        )

    def plan(
        self, step: Step, components: tuple[Component, ...], environment: Environment, code: str
    ) -> RunPlan:
        """How the step is run in its environment. `code` is the text of its file or source."""
        roots = tuple(dict.fromkeys(root for part in components for root in part.roots))
        return RunPlan(
            environment=environment,
            function=step.function,
            file=step.file,
            source=step.source,
            import_roots=roots,
            components=components,
            preload=tuple(_preloads(code, environment)),
            command=step.command,
        )


def _preloads(code: str, environment: Environment) -> list[str]:
    """The registry modules that the code names in its imports: a zygote has them ready.

    Found by their look, not parsed: the code is not ours. A wrong guess costs a failed import in
    the zygote. Modules of local packages are left out, because their files may change.
    """
    provided = set(environment.modules) - set(environment.local_modules)
    found = dict.fromkeys(name for name in _imported(code) if name.partition(".")[0] in provided)
    return list(found)[:_MOST_PRELOADS]


def _imported(code: str) -> Iterator[str]:
    for match in _IMPORT.finditer(code):
        source, plain = match.groups()
        if source:
            yield source
        else:
            for part in plain.split(","):
                words = part.split()
                if words:
                    yield words[0]
