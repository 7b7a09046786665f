"""Modules of the guest that only rare calls need: loaded on demand, out of the step's sight."""

from __future__ import annotations

import importlib
import sys
import types
import typing

import orq_sandbox

__all__ = ["part"]


def part(name: str) -> typing.Any:
    """The guest's own module of that name. Cheap when it is loaded already.

    `boot` took the guest out of `sys.modules`; it is there again while the part is imported.
    """
    loaded = vars(orq_sandbox).get(name)
    if loaded is not None:
        return loaded
    shadowed = {key: sys.modules.pop(key) for key in list(sys.modules) if _is_ours(key)}
    sys.modules.update(_package())
    try:
        return importlib.import_module("orq_sandbox." + name)
    finally:
        for key in [key for key in sys.modules if _is_ours(key)]:
            del sys.modules[key]
        sys.modules.update(shadowed)
        for folder in orq_sandbox.__path__:
            sys.path_importer_cache.pop(folder, None)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "orq_sandbox"


def _package() -> typing.Dict[str, types.ModuleType]:
    """The package and what is loaded of it, by the names they were imported under."""
    found = {"orq_sandbox": typing.cast("types.ModuleType", orq_sandbox)}
    for module in vars(orq_sandbox).values():
        if isinstance(module, types.ModuleType) and module.__name__.startswith("orq_sandbox."):
            found[module.__name__] = module
    return found
