"""Modules in the command's own process, without what they load for uses that no command has.

Rules of this file:

1. Only for a process that is all ours: whoever shares it may have such a use.
2. What is left out is stood in for while the module is imported, and no longer: whoever asks for it
   afterwards gets the real one.
3. What was imported before, the one or the other, stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from typing import Final

__all__ = ["load_argparse", "load_orjson", "load_pathlib"]

_TRIED: Final = tuple(f"orjson-3.{minor}." for minor in (10, 11, 12, 13))


def load_pathlib() -> None:
    """Import pathlib. For what it writes as a URL, `as_uri`, it takes a name of urllib: 2 ms."""
    _load("pathlib", {"urllib.parse": {"quote_from_bytes": _quote_from_bytes}})


def load_argparse() -> None:
    """Import argparse. Its words are in no catalogue of translations, which it looks for: 2 ms."""
    _load("argparse", {"gettext": {"gettext": _as_it_is, "ngettext": _of_number}})


def load_orjson() -> None:
    """Import orjson, if it is of a version for which this was tried.

    It takes a name from each of `dataclasses` and `uuid`, to write such values by itself: 7 ms.
    What a command writes is JSON's own types, and inputs of any other go through `_run.plain`.
    """
    if _is_tried():
        marker: type = type("UUID", (), {})
        uuid = {"UUID": marker, "NAMESPACE_DNS": marker()}
        _load("orjson", {"dataclasses": {"_FIELD": object()}, "uuid": uuid})


def _load(name: str, stand_ins: Mapping[str, Mapping[str, object]]) -> None:
    if name in sys.modules or any(other in sys.modules for other in stand_ins):
        return
    for other, inside in stand_ins.items():
        sys.modules[other] = type(sys)(other)
        vars(sys.modules[other]).update(inside)
    try:
        __import__(name)
    finally:
        for other in stand_ins:
            del sys.modules[other]


def _is_tried() -> bool:
    from pathlib import Path  # start-up budget: it is loaded lean itself

    for folder in map(Path, sys.path):
        if (folder / "orjson").is_dir():
            return any(one.name.startswith(_TRIED) for one in folder.glob("orjson-*"))
    return False


def _quote_from_bytes(path: bytes) -> str:
    from urllib.parse import quote_from_bytes  # start-up budget, as above

    return quote_from_bytes(path)


def _as_it_is(text: str) -> str:
    return text


def _of_number(one: str, many: str, number: int) -> str:
    return one if number == 1 else many
