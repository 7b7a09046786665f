"""A component whose backend is hostile, and a supplier that gives its commands little."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from orq_runtime._supply import Supplier
from orq_runtime._workshop import Workshop
from orq_runtime.errors import OrqRuntimeError
from orq_runtime.model.command import Command, CommandEnd, StartedCommand
from orq_runtime.model.environment import Environment, SupplyRequest
from orq_runtime.model.limits import MIB
from tests.supply_fixtures import Recorder, Shop, make_component, source_files, store_names

__all__ = ["evil", "refusal", "supplier_in", "supply_in"]


class Small:
    """A workshop whose commands have little of everything."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    @property
    def isolation(self) -> str:
        return self._workshop.isolation

    def run(self, command: Command) -> CommandEnd:
        return self._workshop.run(_little(command))

    def start(self, command: Command) -> StartedCommand:
        return self._workshop.start(_little(command))


def _little(command: Command) -> Command:
    limits = replace(command.limits, wall_seconds=8.0, memory_bytes=256 * MIB)
    return replace(command, limits=limits, writable_bytes=64 * MIB)


def supplier_in(shop: Shop, heard: Recorder | None = None) -> Supplier:
    settings = shop.settings()
    workshop = Workshop(settings=settings, isolation="auto")
    supplier = Supplier(settings=settings, sink=heard or Recorder(), runner=Small(workshop))
    weakref.finalize(supplier, workshop.close)
    return supplier


def supply_in(shop: Shop, *folders: Path, requirements: tuple[str, ...] = ()) -> Environment:
    supplier = supplier_in(shop)
    components = tuple(supplier.component(folder) for folder in folders)
    return supplier.supply(SupplyRequest(components=components, requirements=requirements))


def refusal(shop: Shop, *folders: Path, requirements: tuple[str, ...] = ()) -> OrqRuntimeError:
    """The error of a supply, after which nothing is half-made."""
    with pytest.raises(OrqRuntimeError) as refused:
        supply_in(shop, *folders, requirements=requirements)
    names = store_names(shop.root / "cache")
    assert [] == [name for name in names if name.startswith(("staging/", "wheels/"))]
    return refused.value


def evil(folder: Path, code: str, *, files: Mapping[str, str] | None = None) -> Path:
    """A component whose backend does this in place of building."""
    content = {**source_files("evil"), **(files or {})}
    indented = "".join(f"    {line}\n" for line in code.strip().splitlines())
    content["backend.py"] += (
        "\n_good = build_wheel\ndef build_wheel(directory, *_):\n"
        "    import json, os, sys, time, zipfile\n"
        f"    SECRET = {str(folder.parent / 'secret')!r}\n"
        "    name = 'evil-1.0-py3-none-any.whl'\n"
        "    path = os.path.join(directory, name)\n"
        "    answer = os.path.join(os.path.dirname(directory), 'answer.json')\n" + indented
    )
    return make_component(folder, content)
