"""orjson in the command's own process, without what it loads for values that no command has.

It takes a name from each of `dataclasses` and `uuid`, to write such values by itself: 7 ms of
imports. What a command writes is JSON's own types, and inputs of any other go through `_run.plain`.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Final

__all__ = ["load_orjson"]

_TRIED: Final = tuple(f"orjson-3.{minor}." for minor in (10, 11, 12, 13))


def load_orjson() -> None:
    """Import orjson, if it is of a version for which this was tried.

    Only for a process that is all ours: whoever shares it may have orjson write such values.
    """
    names = ("dataclasses", "uuid")
    if "orjson" in sys.modules or any(name in sys.modules for name in names) or not _is_known():
        return
    marker: type = type("UUID", (), {})
    held: tuple[dict[str, object], ...] = (
        {"_FIELD": object()},
        {"UUID": marker, "NAMESPACE_DNS": marker()},
    )
    for name, inside in zip(names, held, strict=True):
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(inside)
    try:
        importlib.import_module("orjson")
    finally:
        for name in names:
            del sys.modules[name]


def _is_known() -> bool:
    for folder in map(Path, sys.path):
        if (folder / "orjson").is_dir():
            return any(one.name.startswith(_TRIED) for one in folder.glob("orjson-*"))
    return False
