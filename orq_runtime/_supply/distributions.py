"""What is installed in a folder of packages, by what each distribution recorded."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from orq_runtime._dataclass import dataclass

__all__ = ["Distribution", "distributions", "module_names"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One installed distribution: its top-level modules and its Python files."""

    name: str
    modules: tuple[str, ...]
    files: tuple[Path, ...]


def module_names(found: Sequence[Distribution]) -> list[str]:
    """The importable top-level names of distributions, sorted."""
    return sorted({name for item in found for name in item.modules})


def distributions(site: Path) -> list[Distribution]:
    """Every distribution that has a RECORD there, in a fixed order."""
    found: list[Distribution] = []
    for folder in sorted(site.glob("*.dist-info")):
        record = folder / "RECORD"
        if not record.is_file():
            continue
        with open(record, encoding="utf-8", newline="") as file:
            names = [row[0] for row in csv.reader(file) if row]
        stem = folder.name.removesuffix(".dist-info").rpartition("-")[0]
        found.append(
            Distribution(
                name=canonicalize_name(stem),
                modules=_top_level(names),
                files=tuple(
                    site / name for name in names if name.endswith(".py") and ".." not in name
                ),
            )
        )
    return found


def _top_level(names: Sequence[str]) -> tuple[str, ...]:
    """The importable top-level names among the paths of a RECORD."""
    found: set[str] = set()
    for name in names:
        first, slash, rest = name.partition("/")
        if slash:
            if rest.endswith((".py", ".so", ".pyi")) and not first.endswith(
                (".dist-info", ".data")
            ):
                found.add(first)
        elif first.endswith((".py", ".so")):
            found.add(first.partition(".")[0])
    return tuple(sorted(n for n in found if n.isidentifier() and n != "__pycache__"))
