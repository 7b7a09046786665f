"""`orq-runtime supply`: the joint environment of components and step files."""

from __future__ import annotations

import os
from pathlib import Path

from orq_runtime._supply import Supplier
from orq_runtime._workshop import supplying
from orq_runtime.cli import jsontext
from orq_runtime.cli.chosen import settings_of
from orq_runtime.cli.options import Options
from orq_runtime.cli.progress import Progress
from orq_runtime.cli.terminal import put
from orq_runtime.errors import NotFound
from orq_runtime.model.environment import Component, Environment, SupplyRequest

__all__ = ["supply"]


def supply(options: Options) -> int:
    """Make or find the environment and print where it is; the exit code."""
    with (
        Progress(is_drawn=not options.no_progress, is_quiet=options.quiet) as progress,
        supplying(settings_of(options), sink=progress, isolation=options.isolation) as supplier,
    ):
        environment = supplier.supply(_request(supplier, options))
    if options.output_format == "json":
        put(jsontext.dump(_document(environment)))
    else:
        put(os.fsencode(environment.path) + b"\n")
    return 0


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
    )


def _path(target: str) -> Path:
    """The folder or file of a target; a function that is named with the file is of no matter."""
    file, colon, _ = target.rpartition(":")
    for text in (target, file) if colon else (target,):
        if text and (path := Path(text).absolute()).exists():
            return path
    raise NotFound(f"no such file or folder: `{target}`")


def _document(environment: Environment) -> dict[str, object]:
    interpreter = environment.interpreter
    return {
        "key": environment.key,
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
