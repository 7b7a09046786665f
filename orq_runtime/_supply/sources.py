"""What a component declares at its root: every declaration there counts, together.

Read as data; nothing of a component runs here. A `pyproject.toml` with `[project]` and neither
`[build-system]` nor a `setup.py` is, as for uv, no package: its dependencies count and its code is
imported from the folder; it is built only where another component requires it by name.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from packaging.utils import canonicalize_name

from orq_runtime._dataclass import dataclass
from orq_runtime._digest import digest_file
from orq_runtime._supply.files import open_regular, read_inside, read_toml
from orq_runtime._supply.pins import PYLOCK, UV_LOCK, read_lock
from orq_runtime._supply.pylock import LockFile
from orq_runtime._supply.requirements import Declared, declared, read_requirements
from orq_runtime._supply.script import check_requires_python
from orq_runtime.errors import BadComponent
from orq_runtime.model.environment import Component

__all__ = [
    "BUILD_VENDOR",
    "DECLARATIONS",
    "VENDOR",
    "BuildSystem",
    "Declaration",
    "LocalProject",
    "PythonBound",
    "VendoredFile",
    "build_system_of",
    "read_component",
]

DECLARATIONS = ("requirements.txt", "pyproject.toml", "setup.py", "setup.cfg")
LOCKS = (PYLOCK, UV_LOCK)
VENDOR = "vendor"
BUILD_VENDOR = "build"
_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES = ("setuptools", "wheel")
_VENDORED = (".whl", ".tar.gz", ".zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSystem:
    """How a source tree is built: its build requirements and PEP 517 backend."""

    requires: tuple[Declared, ...]
    backend: str
    backend_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProject:
    """A component that is a package of its own. `name` is known where it is declared statically."""

    component: Component
    name: str | None
    is_package: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VendoredFile:
    """A distribution in `vendor/`, with the digest of its bytes."""

    component: Component
    path: Path
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonBound:
    """A `requires-python` and where it stands."""

    specifier: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Everything one component declares.

    `tools` lie in `vendor/build/`, for builds alone. `included` are the files that its requirements
    were read from, `notes` say what was seen and left alone.
    """

    component: Component
    requirements: tuple[Declared, ...] = ()
    constraints: tuple[Declared, ...] = ()
    project: LocalProject | None = None
    vendored: tuple[VendoredFile, ...] = ()
    python: tuple[PythonBound, ...] = ()
    tools: tuple[VendoredFile, ...] = ()
    locks: tuple[LockFile, ...] = ()
    included: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def read_component(component: Component) -> Declaration:
    """Read the declarations at a component's root.

    Raises `BadRequirement` for a line that is refused, `BadComponent` for a file that is unusable.
    """
    root = component.path
    requirements: list[Declared] = []
    constraints: list[Declared] = []
    names_itself = ""
    included: tuple[Path, ...] = ()
    if _exists(root / "requirements.txt"):
        listed = read_requirements(root / "requirements.txt", root)
        requirements += listed.requirements
        constraints += listed.constraints
        included = listed.files
        names_itself = listed.names_itself
    project, own_lines, bounds, notes = _project(component)
    requirements += own_lines
    if names_itself and project is None:
        raise BadComponent(
            f"{names_itself}: `.` stands for a package, and the component is none",
            hint="add a pyproject.toml or setup.py, or remove the line",
        )
    vendored, ignored = _vendored(component, component.path / VENDOR)
    tools, unknown = _vendored(component, component.path / VENDOR / BUILD_VENDOR)
    return Declaration(
        component=component,
        requirements=tuple(requirements),
        constraints=tuple(constraints),
        project=project,
        vendored=vendored,
        python=bounds,
        included=included,
        locks=tuple(lock for name in LOCKS if (lock := read_lock(root / name))),
        tools=tools,
        notes=(*notes, *ignored, *unknown),
    )


def build_system_of(tree: Path, origin: str) -> BuildSystem:
    """How to build a source tree; setuptools where it does not say (PEP 517)."""
    table = _pyproject(tree).get("build-system")
    if table is None:
        lines: object = list(_LEGACY_REQUIRES)
        table = {}
    elif isinstance(table, dict):
        lines = table.get("requires", [])
    else:
        raise BadComponent(f"{origin}: `build-system` is not a table")
    where = f"{origin} (build-system.requires)"
    return BuildSystem(
        requires=tuple(declared(line, where) for line in _texts(lines, where)),
        backend=str(table.get("build-backend", _LEGACY_BACKEND)),
        backend_path=_texts(table.get("backend-path", []), f"{origin} (build-system.backend-path)"),
    )


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _pyproject(root: Path) -> dict[str, object]:
    path = root / "pyproject.toml"
    if not _exists(path):
        return {}
    try:
        return read_toml(read_inside(path, root).decode("utf-8"))
    except ValueError as error:
        raise BadComponent(f"{path}: not TOML: {error}") from error


def _project(
    component: Component,
) -> tuple[LocalProject | None, list[Declared], tuple[PythonBound, ...], list[str]]:
    """The component as a package: itself, the lines to resolve unbuilt, its bounds, notes."""
    root = component.path
    origin = str(root / "pyproject.toml")
    document = _pyproject(root)
    table = document.get("project")
    setups = [root / name for name in ("setup.py", "setup.cfg") if _exists(root / name)]
    for path in setups:
        read_inside(path, root)  # a link that leads out, a pipe: whoever builds it would meet that
    has_setup = bool(setups)
    if table is None:
        if not has_setup and "build-system" not in document:
            return None, [], (), []
        return LocalProject(component=component, name=None, is_package=True), [], (), []
    if not isinstance(table, dict):
        raise BadComponent(f"{origin}: `project` is not a table")
    requires_python = table.get("requires-python")
    check_requires_python(requires_python, origin)
    bounds = (
        (PythonBound(specifier=str(requires_python), origin=origin),) if requires_python else ()
    )
    dynamic = _texts(table.get("dynamic", []), f"{origin} (project.dynamic)")
    is_package = has_setup or "build-system" in document or "dependencies" in dynamic
    name = table.get("name")
    project = LocalProject(
        component=component,
        name=canonicalize_name(name) if isinstance(name, str) else None,
        is_package=is_package,
    )
    lines = _texts(table.get("dependencies", []), f"{origin} (project.dependencies)")
    own = (
        [] if is_package else [declared(line, f"{origin} (project.dependencies)") for line in lines]
    )
    return project, own, bounds, _uv_notes(document, origin)


def _uv_notes(document: dict[str, object], origin: str) -> list[str]:
    tool = document.get("tool")
    own = tool.get("uv") if isinstance(tool, dict) else None
    if not isinstance(own, dict):
        return []
    ignored = [key for key in ("index", "sources", "find-links", "index-url") if key in own]
    return [f"{origin}: `tool.uv.{key}` is left alone: sources are the user's" for key in ignored]


def _texts(value: object, origin: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(member, str) for member in value):
        raise BadComponent(f"{origin}: not a list of texts")
    return tuple(value)


def _vendored(component: Component, folder: Path) -> tuple[tuple[VendoredFile, ...], list[str]]:
    """The distributions in a folder, and notes on what else is there."""
    if not _exists(folder) or not stat.S_ISDIR(folder.lstat().st_mode):
        return (), []
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise BadComponent(f"cannot read `{folder}`: {error.strerror}") from error
    files: list[VendoredFile] = []
    notes: list[str] = []
    for name in names:
        path = folder / name
        if (folder.name, name) == (VENDOR, BUILD_VENDOR) and path.is_dir():
            continue
        if not name.endswith(_VENDORED) or not stat.S_ISREG(path.lstat().st_mode):
            notes.append(f"left alone, no wheel or source distribution: `{path}`")
            continue
        descriptor = open_regular(path)
        try:
            digest = digest_file(descriptor)
        finally:
            os.close(descriptor)
        files.append(VendoredFile(component=component, path=path, digest=digest))
    return tuple(files), notes
