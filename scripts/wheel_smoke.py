#!/usr/bin/env python3
"""Builds the distribution in all three forms and checks that each is what a user should get.

Rules of this file:

1. Everything happens in a copy of the repository: the tree is never written.
2. The wheel built from the tree and the one built from the sdist are equal, file by file.
3. `--build-only` needs no network; the rest installs from the caller's package index.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import bootstrap

__all__ = ["check_wheel", "compare_wheels"]

_PACKAGES = ("orq_runtime", "orq_sandbox")
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "build", "dist", "*.egg-info"
)
_IMPORT_ALL = """
import importlib, pkgutil, orq_runtime, orq_sandbox
for package in (orq_runtime, orq_sandbox):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


class BrokenError(Exception):
    """A form of the distribution is not what it must be."""


def main(arguments: Sequence[str]) -> int:
    """Check all forms; 1, and what is wrong, at the first that is broken."""
    parser = argparse.ArgumentParser(description="Checks wheel, sdist and editable install.")
    parser.add_argument("--build-only", action="store_true", help="build and compare, no installs")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wheel-smoke-") as name:
        folder = Path(name)
        tree = folder / "tree"
        shutil.copytree(bootstrap.REPOSITORY, tree, ignore=_LEFT_OUT, symlinks=True)
        try:
            wheel = _check_builds(tree, folder / "dist")
            if not options.build_only:
                _check_wheel_install(wheel, folder / "installed")
                _check_editable_install(tree, folder / "editable")
        except BrokenError as error:
            print(f"broken: {error}")
            return 1
    return 0


def check_wheel(members: Mapping[str, bytes]) -> list[str]:
    """What is wrong with a wheel's members: both packages, their markers, and nothing else."""
    problems = []
    tops = {name.split("/")[0] for name in members}
    strange = sorted(top for top in tops if top not in _PACKAGES and not top.endswith(".dist-info"))
    problems += [f"`{top}` is at the top level of the wheel" for top in strange]
    wanted = [f"{package}/__init__.py" for package in _PACKAGES] + ["orq_runtime/py.typed"]
    problems += [f"`{name}` is not in the wheel" for name in wanted if name not in members]
    stray = sorted(name for name in members if name.endswith(".pyc") or "/tests/" in name)
    problems += [f"`{name}` is in the wheel" for name in stray]
    if not any(".dist-info/" in name and "LICENSE" in name for name in members):
        problems.append("the licence is not in the wheel")
    return problems


def compare_wheels(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> list[str]:
    """The members in which two wheels differ."""
    one_sided = [f"`{name}` is in one wheel only" for name in sorted(first.keys() ^ second.keys())]
    shared = sorted(first.keys() & second.keys())
    return one_sided + [f"`{name}` differs" for name in shared if first[name] != second[name]]


def _check_builds(tree: Path, dist: Path) -> Path:
    wheel = _build(tree, "wheel", dist)
    sdist = _build(tree, "sdist", dist)
    unpacked = dist / "unpacked"
    unpacked.mkdir()
    _run(["tar", "-xzf", sdist, "-C", unpacked])
    (root,) = unpacked.iterdir()
    again = _build(root, "wheel", dist / "again")
    members = _members(wheel)
    _demand(check_wheel(members))
    _demand(compare_wheels(members, _members(again)))
    _demand(_missing_sources(tree, members))
    print(f"built {wheel.name}, {sdist.name} and the same wheel from it: {len(members)} files")
    return wheel


def _missing_sources(tree: Path, members: Mapping[str, bytes]) -> list[str]:
    roots = (tree, tree / "sandbox")
    sources = {
        str(path.relative_to(root)): path.read_bytes()
        for root, package in zip(roots, _PACKAGES, strict=True)
        for path in (root / package).rglob("*")
        if path.is_file()
    }
    shipped = {name: body for name, body in members.items() if name.split("/")[0] in _PACKAGES}
    return compare_wheels(sources, shipped)


def _check_wheel_install(wheel: Path, folder: Path) -> None:
    python = bootstrap.make_environment(folder)
    _run([python, "-m", "pip", "install", "-qq", wheel])
    said = _run([folder / "bin" / "orq-runtime", "--version"])
    if wheel.name.split("-")[1] not in said:
        raise BrokenError(f"`orq-runtime --version` said `{said.strip()}` of {wheel.name}")
    _run([python, "-I", "-c", "import orq_runtime, orq_sandbox"])
    _run([python, "-I", "-c", _IMPORT_ALL])  # every import is a declared dependency
    print(f"wheel installed: {said.strip()}, every module imports")


def _check_editable_install(tree: Path, folder: Path) -> None:
    python = bootstrap.make_environment(folder)
    _run([python, "-m", "pip", "install", "-qq", "--no-deps", "-e", tree])
    for package, source in zip(_PACKAGES, (tree, tree / "sandbox"), strict=True):
        init = source / package / "__init__.py"
        init.write_text(init.read_text("utf-8") + "\nchanged_line = 'seen'\n", "utf-8")
        said = _run([python, "-I", "-c", f"import {package}; print({package}.changed_line)"])
        if said.strip() != "seen":
            raise BrokenError(f"a changed line of `{package}` is not seen in the editable install")
    print("editable install: changed lines of both packages are seen")


def _build(tree: Path, form: str, dist: Path) -> Path:
    before = set(dist.glob("*"))
    _run([sys.executable, "-m", "hatchling", "build", "-t", form, "-d", dist], cwd=tree)
    (made,) = set(dist.glob("*")) - before
    return made


def _members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _demand(problems: Sequence[str]) -> None:
    if problems:
        raise BrokenError("; ".join(problems))


def _run(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Run to the end and give stdout; raises `BrokenError` with what was said when it fails."""
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        said = (ended.stdout + ended.stderr).strip()
        raise BrokenError(f"`{' '.join(map(str, command))}` ended with {ended.returncode}:\n{said}")
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
