"""Bytecode made ahead of time, behind the wall: by compiling files, by importing modules.

::

    WORK/plan.json      what to compile
    WORK/report.json    the imports that failed, with their reasons
    WORK/pyc/...        bytecode, below the full path of its source's folder

Rules of this file:

1. What is compiled is never writable to who compiles it: its files may be hard links into uv's
   cache, and an import runs their authors' code. Bytecode goes to a folder apart and is carried
   back from there.
2. Carried back are regular files with the name that a source there gives them. That code in them
   is the source's is not checked: who could forge it runs at every start of the environment anyway.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from orq_runtime._dataclass import dataclass
from orq_runtime._supply.files import read_left
from orq_runtime._supply.runner import COMPILE_LIMITS, clean_environment, workplace
from orq_runtime._supply.store import write_json
from orq_runtime.model.command import Command, CommandEnd, CommandRunner
from orq_runtime.model.environment import Interpreter

__all__ = ["Compiled", "compile_ahead"]

_LARGEST_REPORT: Final = 4 * 1024 * 1024
_LARGEST_FILE: Final = 64 * 1024 * 1024
_MOST_BYTES: Final = 1024 * 1024 * 1024
_PROGRAM: Final = """
import compileall, importlib, json, os, py_compile, sys
work = sys.argv[1]
with open(work + "/plan.json", encoding="utf-8") as file:
    plan = json.load(file)
devnull = os.open(os.devnull, os.O_RDWR)
os.dup2(devnull, 1)
failed = {}
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH  # the sources never change again
shares = [plan["files"][n :: plan["processes"]] for n in range(plan["processes"])]
children = []
for share in shares[1:]:
    child = os.fork()
    if child == 0:
        shares[:1] = [share]
        children = None
        break
    children.append(child)
for file in shares[0]:
    compileall.compile_file(file, quiet=2, invalidation_mode=mode)
if children is None:
    os._exit(0)
for child in children:
    os.waitpid(child, 0)
for name in plan["modules"]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = "%s: %s" % (type(error).__name__, error)
with open(work + "/report.json", "w", encoding="utf-8", errors="backslashreplace") as file:
    json.dump(failed, file)
    file.flush()
os._exit(0)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What became of it: imports that failed, with reasons; None where no report was left."""

    end: CommandEnd
    failed: dict[str, str] | None


def compile_ahead(
    runner: CommandRunner,
    *,
    scratch: Path,
    python: Sequence[str],
    interpreter: Interpreter,
    root: Path,
    read_only: Sequence[Path],
    modules: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> Compiled:
    """Put bytecode beside the sources below `root`: of `files`, and of all that `modules` import.

    `python` is the program with its options. Blocks. Raises `SandboxError` when it cannot start.
    """
    work = workplace(scratch, "compile")
    environment = clean_environment(work)
    processes = min(len(os.sched_getaffinity(0)), 4, 1 + len(files) // 50)
    write_json(
        work / "plan.json",
        {"modules": [*modules], "files": [str(file) for file in files], "processes": processes},
    )
    made = work / "pyc"
    made.mkdir()
    end = runner.run(
        Command(
            argv=(*python, "-I", "-X", f"pycache_prefix={made}", "-c", _PROGRAM, str(work)),
            interpreter=interpreter,
            environ=environment,
            folder=work,
            read_only=tuple(read_only),
            writable=work,
            limits=COMPILE_LIMITS,
        )
    )
    _carry_back(made / str(root).lstrip("/"), root, f".{interpreter.cache_tag}.pyc")
    return Compiled(end=end, failed=_report(work))


def _report(work: Path) -> dict[str, str] | None:
    try:
        document = json.loads(read_left(work, "report.json", most_bytes=_LARGEST_REPORT))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return {str(name)[:200]: str(reason)[:1000] for name, reason in document.items()}


def _carry_back(made: Path, root: Path, suffix: str) -> None:
    left = _MOST_BYTES
    real = root.resolve()
    for folder, name, at in _files(made):
        target = real / folder
        source = target / f"{name.removesuffix(suffix)}.py"
        if not name.endswith(suffix) or not _is_plain(source) or target.resolve() != target:
            continue
        content = read_left(at, name, most_bytes=_LARGEST_FILE)
        left -= len(content)
        if left < 0:
            return
        _put(target / "__pycache__", name, content)


def _files(made: Path) -> Iterator[tuple[str, str, int]]:
    """Folder below `made`, name and folder's descriptor of each; links are not followed."""
    try:
        for folder, _, names, at in os.fwalk(made):
            for name in names:
                if stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                    yield str(Path(folder).relative_to(made)), name, at
    except (OSError, RecursionError):  # what is there was made to hurt: the rest stays uncompiled
        return


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _put(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(exist_ok=True)
    draft = folder / f".{name}.new"
    draft.write_bytes(content)
    draft.replace(folder / name)  # never into a file that is there: it may be a hard link
