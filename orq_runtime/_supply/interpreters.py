"""Finds the interpreters of this machine and has each describe itself, once.

Rules of this file:

1. A shim (a script with an interpreter's name) is never used: what it stands for is found instead.
2. A description is kept until the binary's path, time or size changes.
3. Guests are CPython of the versions in `SUPPORTED`; others are refused by name.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from orq_runtime._digest import Digest
from orq_runtime._supply.store import Store, read_json, write_json
from orq_runtime.errors import InterpreterNotFound
from orq_runtime.model.environment import Interpreter

__all__ = ["SUPPORTED", "Interpreters"]

SUPPORTED = tuple((3, minor) for minor in range(8, 15))
_RANGE = f"CPython 3.{SUPPORTED[0][1]} to 3.{SUPPORTED[-1][1]}"
_WANTED = re.compile(r"(?:c?python)?@?(\d+)(?:\.(\d+))?(?:\.(\d+))?\Z")
_RECIPE = 1
_DEADLINE_SECONDS = 60.0

# Python 2.7 must be able to run it, to be refused by name.
_DESCRIBE = """
import json, os, sys, sysconfig
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or "other"
except (AttributeError, OSError, ValueError):
    libc = "other"
sys.stderr.write("\\norq:" + json.dumps({
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "version": list(sys.version_info[:3]),
    "implementation": getattr(getattr(sys, "implementation", None), "name", "cpython"),
    "cache_tag": getattr(getattr(sys, "implementation", None), "cache_tag", "") or "",
    "soabi": sysconfig.get_config_var("SOABI") or "",
    "platform": sysconfig.get_platform(),
    "libc": libc,
    "prefix": getattr(sys, "base_prefix", sys.prefix),
}) + "\\n")
"""


class Interpreters:
    """The interpreters of this machine. Making the value does no I/O."""

    def __init__(
        self, *, store: Store, environment: Mapping[str, str], places: Iterable[Path]
    ) -> None:
        self._store = store
        self._environment = environment
        self._places = tuple(places)

    def host(self) -> Interpreter:
        """The base interpreter that this process runs on."""
        base = getattr(sys, "_base_executable", None) or sys.executable
        return self._checked(self.describe(Path(base)), base)

    def find(self, wanted: str | None) -> Interpreter:
        """The interpreter for a version (`3.9`, `3.9.18`), a path, or None for the host's own.

        Raises `InterpreterNotFound` with a list of what there is.
        """
        if wanted is None:
            return self.host()
        if "/" in wanted and not _is_shim(Path(wanted)):
            return self._checked(self.describe(Path(wanted)), wanted)
        found = _WANTED.match(wanted.rpartition("/")[2])
        if not found:
            raise InterpreterNotFound(
                f"not a Python version or an absolute path: `{wanted}`", hint=self._there_is()
            )
        version = tuple(int(part) for part in found.groups() if part is not None)
        if len(version) > 1 and version[:2] not in SUPPORTED:
            raise self._unsupported(wanted)
        for interpreter in self._candidates(version):
            if interpreter.version[: len(version)] == version:
                return interpreter
        raise InterpreterNotFound(f"no Python `{wanted}` on this machine", hint=self._there_is())

    def all(self) -> list[Interpreter]:
        """Every supported interpreter found, the host's first, then newest first."""
        return list(self._candidates(()))

    def describe(self, path: Path) -> Interpreter:
        """What the binary at a path says of itself; asked once. Raises `InterpreterNotFound`."""
        try:
            return self._described(path)
        except InterpreterNotFound as error:
            raise InterpreterNotFound(error.message, hint=self._there_is()) from error.__cause__

    def _described(self, path: Path) -> Interpreter:
        try:
            real = path.resolve(strict=True)
            status = real.stat()
        except (OSError, RuntimeError) as error:
            raise InterpreterNotFound(f"no interpreter at `{path}`") from error
        key = (
            Digest("interpreter", _RECIPE)
            .raw("path", bytes(real))
            .text("mtime", str(status.st_mtime_ns))
            .text("size", str(status.st_size))
            .key()
        )
        document = read_json(self._store.interpreters / f"{key}.json")
        with contextlib.suppress(AssertionError, KeyError, ValueError):  # of another version
            if document is not None:
                return _interpreter(document)
        document = self._ask(real)
        with self._store.making():
            write_json(self._store.interpreters / f"{key}.json", document)
        return _interpreter(document)

    def _ask(self, binary: Path) -> dict[str, object]:
        from orq_runtime._supply import process  # start-up budget: most are known

        lines: list[str] = []
        with self._store.making(), self._store.scratch() as folder:
            try:
                ended = process.run(
                    [str(binary), "-E", "-s", "-S", "-B", "-c", _DESCRIBE],
                    cwd=folder,
                    environment={**self._environment, "HOME": str(folder), "LC_ALL": "C.UTF-8"},
                    deadline_seconds=_DEADLINE_SECONDS,
                    on_line=lines.append,
                )
            except OSError as error:
                raise InterpreterNotFound(f"cannot run `{binary}`: {error.strerror}") from error
        said = [line.removeprefix("orq:") for line in lines if line.startswith("orq:{")]
        if ended.status != 0 or ended.timed_out or not said:
            late = f"no answer within {_DEADLINE_SECONDS:g} s" if ended.timed_out else ""
            reason = late or "\n".join(lines[-5:]).strip() or f"status {ended.status}"
            raise InterpreterNotFound(f"not a usable interpreter: `{binary}`\n{reason}")
        document = json.loads(said[-1])
        assert isinstance(document, dict)
        real = Path(str(document.pop("executable"))).resolve()
        # a copy made by a virtual environment is named by its base; a shim by what it started
        document["path"] = str(real if real.is_file() else binary)
        return document

    def _checked(self, interpreter: Interpreter, wanted: str) -> Interpreter:
        if interpreter.version[:2] not in SUPPORTED or interpreter.implementation != "cpython":
            raise self._unsupported(wanted, interpreter)
        return interpreter

    def _unsupported(
        self, wanted: str, interpreter: Interpreter | None = None
    ) -> InterpreterNotFound:
        shown = wanted
        if interpreter is not None:
            version = ".".join(str(part) for part in interpreter.version)
            shown = f"{interpreter.implementation} {version} (`{wanted}`)"
        else:
            shown = f"Python `{wanted}`"
        return InterpreterNotFound(
            f"{shown} is not supported: steps run on {_RANGE}", hint=self._there_is()
        )

    def _there_is(self) -> str:
        versions = [".".join(str(part) for part in item.version) for item in self.all()]
        return f"on this machine there is: {', '.join(dict.fromkeys(versions)) or 'none'}"

    def _candidates(self, version: tuple[int, ...]) -> Iterator[Interpreter]:
        """Supported interpreters that may fit, each real binary once."""
        seen: set[Path] = set()
        for binary in self._binaries(version):
            try:
                real = binary.resolve(strict=True)
                if real in seen or _is_script(real):
                    continue
                seen.add(real)
                found = self._described(real)
            except (InterpreterNotFound, OSError, RuntimeError):
                continue  # one broken binary must not hide the others
            if found.version[:2] in SUPPORTED and found.implementation == "cpython":
                seen.add(found.path)
                yield found

    def _binaries(self, version: tuple[int, ...]) -> Iterator[Path]:
        """Files with a fitting name: the host's, then those on PATH, then in well-known places."""
        base = Path(getattr(sys, "_base_executable", None) or sys.executable)
        minors = [pair for pair in reversed(SUPPORTED) if pair[: len(version)] == version[:2]]
        names = [f"python{major}.{minor}" for major, minor in minors]
        if sys.version_info[:2] in minors:
            yield base
        folders = [Path(part) for part in self._environment.get("PATH", "").split(":") if part]
        folders += [Path("/usr/local/bin"), Path("/usr/bin")]
        folders += [folder for place in self._places for folder in _by_version(place)]
        for name in (*names, "python3"):  # last: one that only has the short name
            for folder in folders:
                if folder.is_absolute() and _is_file(folder / name):
                    yield folder / name


def _by_version(root: Path) -> list[Path]:
    """The `bin` folders under a place that holds one folder per version, newest first."""
    try:
        folders = list(root.iterdir())
    except OSError:  # none, or another user's
        return []
    numbers = {folder: [int(n) for n in re.findall(r"\d+", folder.name)] for folder in folders}
    return [folder / "bin" for folder in sorted(numbers, key=lambda f: numbers[f], reverse=True)]


def _is_file(path: Path) -> bool:
    """Whether it is one for us: PATH may lead through folders of other users."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_shim(path: Path) -> bool:
    """A script that has an interpreter's name and stands for one elsewhere (pyenv's shims)."""
    return _is_file(path) and _is_script(path) and _WANTED.match(path.name) is not None


def _is_script(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def _interpreter(document: Mapping[str, object]) -> Interpreter:
    version = document["version"]
    assert isinstance(version, list)
    return Interpreter(
        path=Path(str(document["path"])),
        version=(int(version[0]), int(version[1]), int(version[2])),
        implementation=str(document["implementation"]),
        cache_tag=str(document["cache_tag"]),
        soabi=str(document["soabi"]),
        platform=str(document["platform"]),
        libc=str(document["libc"]),
        prefix=Path(str(document["prefix"])),
    )
