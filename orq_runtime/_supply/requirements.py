"""Requirement lines as people write them: parsed here, so that uv never reads a component's file.

Rules of this file:

1. What a component may say is a name, extras, a version specifier, a marker and hashes (PEP 508
   without URLs), and `-r`/`-c` to files inside itself. Everything else is refused with a reason.
2. Nothing is expanded: no environment variables, no shell, no path outside the component.
3. A line means the same in any order and with any comments around it: `Declared.line` is canonical.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from orq_runtime._dataclass import dataclass, field
from orq_runtime._supply.files import read_inside
from orq_runtime.errors import BadComponent, BadRequirement

__all__ = ["Declared", "RequirementsFile", "declared", "read_requirements"]

_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"\s--hash[=\s](?P<hash>\S+)")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")
_INCLUDE = re.compile(
    r"(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-r)|(?<=-c))(\S.*)\Z"
)
_EDITABLE = re.compile(r"(?:-e\s*|--editable(?:\s*=\s*|\s+))(\S.*)\Z")
_INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "--find-links", "-f", "--no-index")
_DISTRIBUTION = (".whl", ".tar.gz", ".zip")

_NO_VARIABLES = "write the value itself"
_OWN_SETTINGS = "indexes are the user's to choose: --index, --find-links or the settings file"
_USE_VENDOR = "put the distribution into the component's vendor/ folder, or name it by version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One requirement and where it stands. `origin` is for people and never part of a key."""

    requirement: Requirement = field(repr=False)
    origin: str
    hashes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The canonical name of the distribution."""
        return canonicalize_name(self.requirement.name)

    @property
    def line(self) -> str:
        """The canonical form: equal lines mean equal requirements."""
        own = self.requirement
        names = ",".join(sorted(canonicalize_name(extra) for extra in own.extras))
        extras = f"[{names}]" if names else ""
        specifier = ",".join(sorted(str(part) for part in own.specifier))
        marker = f" ; {own.marker}" if own.marker else ""
        return f"{self.name}{extras}{specifier}{marker}"

    @property
    def key_line(self) -> str:
        """The canonical form with its hashes, as it enters a key."""
        return " ".join((self.line, *sorted(self.hashes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementsFile:
    """What a requirements file and those that it includes say; `files` are all of them.

    `names_itself` is the place of a line that names the component, empty where there is none.
    """

    requirements: tuple[Declared, ...] = ()
    constraints: tuple[Declared, ...] = ()
    names_itself: str = ""
    files: tuple[Path, ...] = ()


def declared(text: str, origin: str) -> Declared:
    """The requirement that a line states. Raises `BadRequirement` with its origin and a reason."""
    text = text.strip()
    hashes = tuple(found["hash"] for found in _HASH.finditer(text))
    bare = _HASH.sub("", text).strip()
    _refuse_unsafe(bare, origin)
    for digest in hashes:
        if not _SHA256.match(digest):
            _refuse(origin, text, "a hash is `sha256:` and 64 hex digits")
    try:
        requirement = Requirement(bare)
    except InvalidRequirement as error:
        reason = str(error).strip().splitlines()[0]
        _refuse(
            origin, bare, f"not a requirement ({reason})", hint="see PEP 508: `name[extra]>=1.0`"
        )
    if requirement.url is not None:
        _refuse(origin, bare, "URLs are not taken from declarations", hint=_USE_VENDOR)
    return Declared(requirement=requirement, origin=origin, hashes=hashes)


def read_requirements(file: Path, root: Path) -> RequirementsFile:
    """Read a requirements file of the component at `root` with what it includes.

    Raises `BadRequirement` for a line that is no plain requirement and `BadComponent` for a file
    that cannot be read or lies outside the component.
    """
    requirements: list[Declared] = []
    constraints: list[Declared] = []
    names_itself = ""
    seen: set[tuple[Path, bool]] = set()
    todo = [(file, False, "")]
    while todo:
        path, constrains, included_at = todo.pop(0)
        if (path, constrains) in seen:
            continue
        seen.add((path, constrains))
        for number, text in _logical_lines(_text(path, root, included_at)):
            origin = f"{path}:{number}"
            if found := _INCLUDE.match(text):
                if "${" in text:
                    _refuse(origin, text, "variables are not expanded", hint=_NO_VARIABLES)
                target = _absolute(path.parent / found[1].strip())
                if not target.is_relative_to(root) or "://" in found[1]:
                    _refuse(origin, text, "included files must lie inside the component")
                todo.append((target, constrains or text.startswith(("-c", "--c")), origin))
            elif _is_root(text, path.parent, root):
                names_itself = origin
            else:
                (constraints if constrains else requirements).append(declared(text, origin))
    return RequirementsFile(
        requirements=tuple(requirements),
        constraints=tuple(constraints),
        names_itself=names_itself,
        files=tuple(path for path, _ in seen),
    )


def _text(path: Path, root: Path, included_at: str) -> str:
    try:
        return read_inside(path, root).decode("utf-8-sig")
    except BadComponent as error:
        if not included_at:
            raise
        raise BadComponent(f"{included_at}: {error.message}", hint=error.hint) from error.__cause__
    except UnicodeDecodeError as error:
        raise BadRequirement(
            f"{path}: not UTF-8 text (byte {error.start})", hint="save the file as UTF-8"
        ) from None


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    start, parts = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):  # as pip has it
            parts += line[:-1] + " "
            continue
        if whole := _COMMENT.sub("", parts + line).strip():
            yield start, whole
        start, parts = 0, ""
    if whole := _COMMENT.sub("", parts).strip():
        yield start, whole


def _absolute(path: Path) -> Path:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts = parts[:-1] if len(parts) > 1 else parts
        else:
            parts.append(part)
    return Path(*parts)


def _is_root(text: str, folder: Path, root: Path) -> bool:
    """Whether the line is `.` or `-e .`: the component itself, which counts anyway."""
    found = _EDITABLE.match(text)
    target = found[1].strip() if found else text
    return target in (".", "./", "..", "../") and _absolute(folder / target) == root


def _refuse_unsafe(text: str, origin: str) -> None:
    if any(ord(letter) < 32 and letter != "\t" for letter in text):
        _refuse(origin, text, "control characters are not allowed")
    if "${" in text or text.startswith("$"):
        _refuse(origin, text, "variables are not expanded", hint=_NO_VARIABLES)
    if text.startswith(("-e", "--editable")):
        _refuse(origin, text, "editable installs are not made", hint=_USE_VENDOR)
    if text.startswith(_INDEX_OPTIONS):
        _refuse(origin, text, "a component may not choose indexes", hint=_OWN_SETTINGS)
    if text.startswith("-") or re.search(r"\s--?[a-z]", text):
        _refuse(origin, text, "options are not taken from declarations")
    if "://" in text or "git+" in text:
        _refuse(origin, text, "URLs are not taken from declarations", hint=_USE_VENDOR)
    if text.startswith((".", "/", "~")) or text.lower().endswith(_DISTRIBUTION):
        _refuse(origin, text, "paths are not taken from declarations", hint=_USE_VENDOR)


def _refuse(origin: str, text: str, reason: str, *, hint: str | None = None) -> NoReturn:
    shown = text if len(text) <= 200 else text[:200] + "..."
    raise BadRequirement(f"{origin}: {reason}: `{shown!s}`".replace("\0", "\\0"), hint=hint)
