"""The inline metadata block of a step's file (PEP 723)."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from orq_runtime._dataclass import dataclass
from orq_runtime._supply.files import read_inside, read_toml
from orq_runtime._supply.requirements import Declared, declared
from orq_runtime.errors import BadComponent, BadRequirement

__all__ = ["ScriptBlock", "read_script"]

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptBlock:
    """What the block declares; empty for a file without one."""

    requirements: tuple[Declared, ...] = ()
    requires_python: str | None = None


def read_script(file: Path) -> ScriptBlock:
    """The block of a step's file. Raises `BadRequirement` where it is not what PEP 723 says."""
    real = file.resolve()  # the caller named it: it may be a link
    source = read_inside(real, real.parent).decode("utf-8", "replace").replace("\r\n", "\n")
    if not source.endswith("\n"):
        source += "\n"
    blocks = [found for found in _BLOCK.finditer(source) if found["type"] == "script"]
    if not blocks:
        return ScriptBlock()
    first_line = source.count("\n", 0, blocks[0].start()) + 1
    origin = f"{file}:{first_line}"
    if len(blocks) > 1:
        raise BadRequirement(f"{origin}: more than one `script` block", hint="keep one")
    return _parse(blocks[0]["content"], origin)


def _parse(content: str, origin: str) -> ScriptBlock:
    text = "".join(
        line[2:] if line.startswith("# ") else line[1:]
        for line in content.splitlines(keepends=True)
    )
    try:
        document = read_toml(text)
    except ValueError as error:
        raise BadRequirement(f"{origin}: the `script` block is not TOML: {error}") from error
    lines = document.get("dependencies", [])
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise BadRequirement(f"{origin}: `dependencies` is a list of texts")
    requires_python = document.get("requires-python")
    check_requires_python(requires_python, origin)
    return ScriptBlock(
        requirements=tuple(declared(line, origin) for line in lines),
        requires_python=None if requires_python is None else str(requires_python),
    )


def check_requires_python(value: object, origin: str) -> None:
    """Raise `BadComponent` unless the value is a version specifier or None."""
    try:
        if value is not None:
            SpecifierSet(value if isinstance(value, str) else "?")
    except InvalidSpecifier:
        raise BadComponent(
            f"{origin}: `requires-python` is not a version specifier: `{value}`",
            hint="write for example `>=3.9`",
        ) from None
