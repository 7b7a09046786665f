"""`orq-runtime supply`: the joint environment of components and step files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orq_runtime._dataclass import dataclass
from orq_runtime._supply import Supplier
from orq_runtime._workshop import supplying
from orq_runtime.cli.chosen import settings_of
from orq_runtime.cli.options import Options
from orq_runtime.cli.stream import ending_a_stream, progress_of, put_document
from orq_runtime.cli.terminal import put, say
from orq_runtime.errors import NotFound
from orq_runtime.model.environment import (
    Component,
    Environment,
    Explanation,
    Freshness,
    SupplyRequest,
)

__all__ = ["supply"]

_LONGEST_SHOWN = 100


def supply(options: Options) -> int:
    """Make or find the environment and print where it is; the exit code."""
    with (
        ending_a_stream(options),
        progress_of(options) as progress,
        supplying(settings_of(options), sink=progress, isolation=options.isolation) as supplier,
    ):
        supplied = _supplied(supplier, options)
    if not options.quiet:
        for text in supplied.notes:
            from orq_runtime.cli.explain import note  # start-up budget: a hit has none

            note(text)
    explanation = supplied.explanation
    if explanation is not None and options.output_format == "text":
        say("\n".join(_explained(explanation)))
    if options.output_format != "text":
        document = _document(supplied.environment)
        if explanation is not None:
            document["explanation"] = _explanation(explanation)
        put_document(options, document)
    else:
        put(os.fsencode(supplied.environment.path) + b"\n")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Supplied:
    environment: Environment
    notes: tuple[str, ...] = ()
    explanation: Explanation | None = None


def _supplied(supplier: Supplier, options: Options) -> _Supplied:
    """What the options ask for: files first, then the lock of them, else the environment alone."""
    request = _request(supplier, options)
    notes: list[str] = []
    environment: Environment | None = None
    if options.vendor:
        made, environment = supplier.vendor(request)
        folder = request.components[0].path / "vendor"
        notes.append(f"{len(made)} new file{'' if len(made) == 1 else 's'} in `{folder}`")
    if options.lock:
        place, environment = supplier.write_lock(request)
        notes.append(f"the lock is `{place}`")
    if options.explain:
        explanation = supplier.explain(request)
        return _Supplied(
            environment=explanation.environment, notes=tuple(notes), explanation=explanation
        )
    return _Supplied(environment=environment or supplier.supply(request), notes=tuple(notes))


def _request(supplier: Supplier, options: Options) -> SupplyRequest:
    components: list[Component] = []
    scripts: list[Path] = []
    for target in options.targets:
        path = _path(target)
        if path.is_dir():
            components.append(supplier.component(path))
            continue
        scripts.append(path)
        if found := supplier.component_of(path):
            components.append(found)
    return SupplyRequest(
        components=tuple(dict.fromkeys(components)),
        scripts=tuple(dict.fromkeys(scripts)),
        requirements=tuple(dict.fromkeys(options.requirements)),
        python=options.python,
        freshness=Freshness(
            upgrade=options.upgrade,
            upgrade_packages=tuple(options.upgrade_packages),
            refresh=options.refresh,
        ),
    )


def _path(target: str) -> Path:
    """The folder or file of a target; a function that is named with the file is of no matter."""
    file, colon, _ = target.rpartition(":")
    for text in (target, file) if colon else (target,):
        if text and (path := Path(text).absolute()).exists():
            return path
    raise NotFound(f"no such file or folder: `{target}`")


def _explained(explanation: Explanation) -> Iterator[str]:
    is_hit = explanation.environment.origin == "hit"
    yield f"{'hit' if is_hit else 'miss'}: {explanation.reason}"
    count = len(explanation.differences)
    if explanation.nearest:
        yield f"nearest: {explanation.nearest}, by {count} field{'' if count == 1 else 's'}"
    for item in explanation.differences:
        yield f"  {item.field}: {_clipped(item.wanted)}, there {_clipped(item.found)}"


def _clipped(text: str) -> str:
    shown = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
    return f"`{shown}`" if text else "nothing"


def _explanation(explanation: Explanation) -> dict[str, object]:
    return {
        "reason": explanation.reason,
        "nearest": explanation.nearest or None,
        "differences": [
            {"field": item.field, "wanted": item.wanted, "found": item.found}
            for item in explanation.differences
        ],
    }


def _document(environment: Environment) -> dict[str, object]:
    interpreter = environment.interpreter
    return {
        "key": environment.key,
        "content_key": environment.content_key,
        "path": str(environment.path),
        "python": str(environment.python),
        "origin": environment.origin,
        "interpreter": {
            "path": str(interpreter.path),
            "implementation": interpreter.implementation,
            "version": ".".join(map(str, interpreter.version)),
        },
        "packages": [
            {"name": item.name, "version": item.version, "local": item.local}
            for item in environment.lock
        ],
    }
