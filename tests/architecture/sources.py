"""The repository's own text, read once for the tests that judge it."""

from __future__ import annotations

import ast
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GUEST", "HOST", "REPOSITORY", "Module", "modules", "text_files", "tree_environment"]

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = REPOSITORY / "orq_runtime"
GUEST = REPOSITORY / "sandbox" / "orq_sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module: its dotted name, its syntax tree, and whether it is a package."""

    name: str
    tree: ast.Module
    is_package: bool = False


def modules(package: Path) -> list[Module]:
    """Every module of a package that lies in `package`."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        tree = ast.parse(path.read_text("utf-8"), str(path))
        found.append(Module(name=name, tree=tree, is_package=is_package))
    assert found, f"no module in {package}"
    return found


def text_files() -> list[Path]:
    """Every text file that is or would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    ).stdout.decode("utf-8")
    paths = [REPOSITORY / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()]


def tree_environment(root: Path = REPOSITORY) -> dict[str, str]:
    """Environment variables with which a process imports both packages from a tree."""
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'sandbox'}"}
