"""Sizes and suppressions: no file over 400 lines, no function over 50, no `noqa` more than before.

Rules of this file:

1. Only comments count as suppressions, never the same words in a string.
2. A suppression names its code and says why, on its line.
3. Their number may only fall: `[tool.orq-check] suppressions` in pyproject.toml is the ceiling.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import bootstrap

__all__ = ["long_files", "long_functions", "suppressions", "too_many", "unexplained"]

FILE_LINES = 400
FILE_LINES_WISHED = 250
FUNCTION_LINES = 50
_FOLDERS = ("orq_runtime", "sandbox", "scripts", "tests", "benchmarks")
_SUPPRESSION = re.compile(
    r"#\s*(noqa\b|type:\s*ignore\b|ty:\s*ignore\b|novm\b|novermin\b|(ruff|flake8|mypy):\s|fmt:\s)"
)
_EXPLAINED = re.compile(
    r"#\s*(noqa:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|(type|ty):\s*ignore\[[\w\-, ]+\]|novm)\s*[-#]\s*\w+"
)


def main() -> int:
    """Print what breaks a rule, then the totals; 1 when something does."""
    lengths: dict[str, int] = {}
    problems: list[str] = []
    found: list[str] = []
    for path in python_files():
        name = str(path.relative_to(bootstrap.REPOSITORY))
        source = path.read_text("utf-8")
        lengths[name] = len(source.splitlines())
        problems += long_functions(name, source)
        found += suppressions(name, source)
    ceiling = _ceiling()
    problems += [*long_files(lengths), *unexplained(found), *too_many(found, ceiling)]
    print("\n".join(problems))
    big = [f"{name} {size}" for name, size in lengths.items() if size > FILE_LINES_WISHED]
    print(
        f"{len(lengths)} files; over {FILE_LINES_WISHED} lines: {', '.join(big) or 'none'}; "
        f"{len(found)} of at most {ceiling} suppressions"
    )
    return 1 if problems else 0


def python_files() -> Iterator[Path]:
    """The repository's own Python files."""
    for folder in _FOLDERS:
        for path in sorted((bootstrap.REPOSITORY / folder).rglob("*.py")):
            if "__pycache__" not in path.parts:
                yield path


def long_files(lengths: Mapping[str, int]) -> list[str]:
    """The files over the limit."""
    return [
        f"{name}: {length} lines, over {FILE_LINES}"
        for name, length in lengths.items()
        if length > FILE_LINES
    ]


def long_functions(name: str, source: str) -> list[str]:
    """The functions over the limit, from `def` to the last line, docstring included."""
    problems = []
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                problems.append(
                    f"{name}:{node.lineno}: `{node.name}` has {length} lines, over {FUNCTION_LINES}"
                )
    return problems


def suppressions(name: str, source: str) -> list[str]:
    """Every comment that silences a tool, as `file:line: comment`."""
    return [
        f"{name}:{token.start[0]}: {token.string}"
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and _SUPPRESSION.search(token.string)
    ]


def unexplained(found: Sequence[str]) -> list[str]:
    """Those of `suppressions` that lack a code or a reason."""
    return [
        f"{line}: say `# noqa: CODE - why` or `# type: ignore[code]  # why`"
        for line in found
        if not _EXPLAINED.search(line)
    ]


def too_many(found: Sequence[str], ceiling: int) -> list[str]:
    """All of `suppressions` when they are more than the ceiling, for somebody to choose from."""
    if len(found) <= ceiling:
        return []
    return [*found, f"{len(found)} suppressions, the ceiling is {ceiling}: remove one of these"]


def _ceiling() -> int:
    document = tomllib.loads((bootstrap.REPOSITORY / "pyproject.toml").read_text("utf-8"))
    return int(document["tool"]["orq-check"]["suppressions"])


if __name__ == "__main__":
    sys.exit(main())
