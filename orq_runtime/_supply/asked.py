"""One supply request, read: every declaration of its components, scripts and caller, together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from orq_runtime._dataclass import dataclass
from orq_runtime._supply import tags
from orq_runtime._supply.build import Source
from orq_runtime._supply.interpreters import Interpreters
from orq_runtime._supply.pins import lock_beside, pins_for, read_lock
from orq_runtime._supply.pylock import LockFile
from orq_runtime._supply.requirements import Declared, declared
from orq_runtime._supply.script import ScriptBlock, read_script
from orq_runtime._supply.sources import (
    Declaration,
    LocalProject,
    PythonBound,
    VendoredFile,
    read_component,
)
from orq_runtime._supply.tags import marker_environment
from orq_runtime._supply.tree import digest_tree
from orq_runtime._supply.wheels import LocalWheel
from orq_runtime.errors import BadComponent, BadRequirement, ResolutionFailed
from orq_runtime.model.environment import Interpreter, SupplyRequest

__all__ = [
    "Asked",
    "check_python",
    "check_wheels",
    "read_request",
    "required_names",
    "unfit",
    "wanted_by_name",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Everything that a request declares, for one interpreter.

    `packages` are the components that are packages, `by_name` those that become one only when
    something requires their name. `lock_place` is where the lock of it all lies, `lock` what lies
    there, and `pins` what every lock among the declarations holds to. `included` are the files that
    requirements files name, `tools` the distributions that are vendored for builds alone.
    """

    interpreter: Interpreter
    requirements: tuple[Declared, ...]
    constraints: tuple[Declared, ...]
    packages: tuple[Source, ...]
    by_name: tuple[tuple[str, Source], ...]
    vendored: tuple[Source, ...]
    tools: tuple[Source, ...]
    bounds: tuple[PythonBound, ...]
    lock_place: Path | None
    lock: LockFile | None
    pins: tuple[Declared, ...]
    included: tuple[Path, ...]
    notes: tuple[str, ...]


def read_request(request: SupplyRequest, interpreter: Interpreter) -> Asked:
    """Read what is declared. Raises `BadRequirement`, `BadComponent` or `ResolutionFailed`."""
    declarations = [read_component(item) for item in dict.fromkeys(request.components)]
    requirements = [line for item in declarations for line in item.requirements]
    constraints = [line for item in declarations for line in item.constraints]
    bounds = [bound for item in declarations for bound in item.python]
    scripts = {script: read_script(script) for script in dict.fromkeys(request.scripts)}
    for script, block in scripts.items():
        requirements += block.requirements
        if block.requires_python:
            bounds.append(PythonBound(specifier=block.requires_python, origin=str(script)))
    requirements += [declared(line, "the caller's requirements") for line in request.requirements]
    projects = [item.project for item in declarations if item.project is not None]
    vendored, passed_over = _choose(
        [file for item in declarations for file in item.vendored], interpreter
    )
    tools, _ = _choose([file for item in declarations for file in item.tools], interpreter)
    notes = [note for item in declarations for note in item.notes]
    place = _lock_place(declarations, scripts)
    locks = _locks(declarations, scripts)
    return Asked(
        interpreter=interpreter,
        requirements=tuple(requirements),
        constraints=tuple(constraints),
        packages=tuple(_source(item) for item in projects if item.is_package),
        by_name=tuple(
            (item.name, _source(item)) for item in projects if not item.is_package and item.name
        ),
        vendored=vendored,
        tools=tools,
        bounds=tuple(bounds),
        lock_place=place,
        lock=next((item for item in locks if item.origin == str(place)), None),
        pins=tuple(pin for item in locks for pin in pins_for(item, interpreter)),
        included=tuple(path for item in declarations for path in item.included),
        notes=(*notes, *passed_over),
    )


def _lock_place(
    declarations: Sequence[Declaration], scripts: Mapping[Path, ScriptBlock]
) -> Path | None:
    """Beside the script whose own block counts, else beside the first component."""
    for script, block in scripts.items():
        if block.requirements or not declarations:
            return lock_beside(script)
    return lock_beside(declarations[0].component.path) if declarations else None


def _locks(declarations: Sequence[Declaration], scripts: Iterable[Path]) -> list[LockFile]:
    """The locks that are there; one beside a script was made from the components' too."""
    beside = [lock for script in scripts if (lock := read_lock(lock_beside(script)))]
    return beside or [lock for item in declarations for lock in item.locks]


def unfit(bounds: Iterable[PythonBound], interpreter: Interpreter) -> PythonBound | None:
    """The first `requires-python` that the interpreter does not meet."""
    version = ".".join(str(part) for part in interpreter.version)
    for bound in bounds:
        if not SpecifierSet(bound.specifier).contains(version, prereleases=True):
            return bound
    return None


def check_python(
    bounds: Sequence[PythonBound], interpreter: Interpreter, interpreters: Interpreters
) -> None:
    """Raise `ResolutionFailed` where a bound is not met, with what here would meet it."""
    bound = unfit(bounds, interpreter)
    if bound is None:
        return
    found = interpreters.all()
    fitting = [item for item in found if unfit(bounds, item) is None]
    version = ".".join(str(part) for part in interpreter.version)
    there_is = ", ".join(dict.fromkeys(item.minor for item in found))
    raise ResolutionFailed(
        f"{bound.origin} requires Python `{bound.specifier}`, and this is {version}",
        hint=f"choose another interpreter: --python {fitting[0].minor}"
        if fitting
        else f"none of this machine fits ({there_is}): install one and name it with --python",
    )


def required_names(requirements: Iterable[Declared], wheels: Iterable[LocalWheel]) -> set[str]:
    """Every distribution name that is required by a line or by a local wheel's metadata."""
    names = {item.name for item in requirements}
    for wheel in wheels:
        names |= {canonicalize_name(item.name) for _, item in _metadata(wheel)}
    return names


def wanted_by_name(asked: Asked, wheels: Sequence[LocalWheel]) -> list[Source]:
    """Components that are packages only on demand, when something demands them by name."""
    provided = {wheel.origin for wheel in wheels}
    names = required_names(asked.requirements, wheels)
    return [
        source for name, source in asked.by_name if name in names and source.origin not in provided
    ]


def check_wheels(wheels: Sequence[LocalWheel], interpreter: Interpreter) -> tuple[str, ...]:
    """Names that local metadata requires by URL and a sibling provides; siblings win over URLs.

    Raises `BadComponent` when two sources provide one name, `BadRequirement` for any other URL.
    """
    by_name: dict[str, LocalWheel] = {}
    for wheel in wheels:
        other = by_name.setdefault(wheel.name, wheel)
        if other.content != wheel.content:
            raise BadComponent(
                f"two sources provide `{wheel.name}`: `{other.origin}` and `{wheel.origin}`",
                hint="keep one of them",
            )
    beaten: set[str] = set()
    environment = marker_environment(interpreter)
    for wheel in wheels:
        for line, requirement in _metadata(wheel):
            if requirement.url is None or not _applies(requirement.marker, environment):
                continue
            name = canonicalize_name(requirement.name)
            if name not in by_name:
                raise BadRequirement(
                    f"{wheel.origin}: URLs are not taken from declarations: `{line}`",
                    hint="vendor a wheel of it, give its folder as a component, or name a version",
                )
            beaten.add(name)
    return tuple(sorted(beaten))


def _metadata(wheel: LocalWheel) -> Iterator[tuple[str, Requirement]]:
    """The readable `Requires-Dist` lines of a wheel; what to make of others is uv's to say."""
    for line in wheel.requires:
        with contextlib.suppress(InvalidRequirement):
            yield line, Requirement(line)


def _applies(marker: Marker | None, environment: dict[str, str]) -> bool:
    return marker is None or marker.evaluate(environment)


def _source(project: LocalProject) -> Source:
    path = project.component.path
    return Source(path=path, digest=digest_tree(path), origin=str(path))


def _choose(
    found: Sequence[VendoredFile], interpreter: Interpreter
) -> tuple[tuple[Source, ...], list[str]]:
    """One vendored file per distribution: the wheel that fits best, else its sdist; and notes."""
    groups: dict[str, list[VendoredFile]] = {}
    for item in found:
        groups.setdefault(_name_and_version(item.path)[0], []).append(item)
    ranks = tags.ranks(interpreter) if groups else {}
    chosen: list[Source] = []
    notes: list[str] = []
    for name, files in groups.items():
        fitting = [
            (rank, item) for item in files if (rank := tags.rank(item.path.name, ranks)) is not None
        ]
        if not fitting:
            shown = ", ".join(f"`{item.path.name}`" for item in files)
            raise ResolutionFailed(
                f"no vendored file of `{name}` fits Python {interpreter.minor}: {shown}",
                hint="vendor its source distribution or a wheel for this interpreter",
            )
        best = min(fitting, key=lambda pair: pair[0])[1]
        for _, item in fitting:
            if _name_and_version(item.path)[1] != _name_and_version(best.path)[1]:
                raise BadComponent(
                    f"two versions of `{name}` are vendored: `{best.path}` and `{item.path}`",
                    hint="keep one of them",
                )
        notes += [f"another file is used for `{name}`: `{f.path}`" for f in files if f is not best]
        chosen.append(Source(path=best.path, digest=best.digest, origin=str(best.path)))
    return tuple(chosen), notes


def _name_and_version(path: Path) -> tuple[str, str]:
    """The canonical name and the version in a file's name; a name of its own if it has none."""
    try:
        if path.name.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(path.name)
        else:
            name, version = parse_sdist_filename(path.name)
    except InvalidWheelFilename:
        raise BadComponent(f"not the name of a wheel: `{path}`") from None
    except InvalidSdistFilename:
        return path.name, ""
    return name, str(version)
