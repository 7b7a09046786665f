"""What a command is pointed at: `FILE:FUNCTION`, a document, a component's folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from orq_runtime._dataclass import dataclass
from orq_runtime.errors import RequestError

__all__ = ["Target", "named_components"]

_DOCUMENTS = (".yaml", ".yml", ".zqwl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A file and what is named in it: a function, or in a document a step (or nothing)."""

    path: Path
    name: str = ""

    @property
    def is_document(self) -> bool:
        """Whether the file is a document that describes a step."""
        return self.path.suffix in _DOCUMENTS

    @classmethod
    def parse(cls, text: str) -> Self:
        """The target of `run`. Raises `RequestError` when it names no function."""
        path, colon, name = text.rpartition(":")
        if Path(text).suffix in _DOCUMENTS or not colon:
            path, name = text, ""
        target = cls(path=Path(path), name=name)
        if not path or (not name and not target.is_document):
            raise RequestError(
                f"no function named: `{text}`",
                hint=f"write FILE:FUNCTION: {path or 'step.py'}:main; or a document: step.yaml",
            )
        return target


def named_components(folders: Iterable[str]) -> dict[str, Path]:
    """The folders of `--component [NAME=]DIR` by name; without one, by the folder's own."""
    found: dict[str, Path] = {}
    for text in folders:
        name, equals, folder = text.partition("=")
        if not equals or "/" in name:  # a path may hold `=`
            name, folder = "", text
        path = Path(folder).absolute()
        found[name or path.name] = path
    return found
