"""Makes bytecode ahead of time, behind the wall: by compiling files, by importing modules.

::

    WORK/go             a FIFO: the word to begin, or to give up
    WORK/plan.json      what to compile
    WORK/report.json    the imports that failed, with their reasons
    WORK/bytecode.N     what each process has compiled: `bytecode` says how

Rules of this file:

1. The process is started before there is anything to compile, and waits: interpreter and wall are
   there when the last file is. Before the word it runs nothing but its interpreter and our program.
2. Only what is below the root is kept. The interpreter's own modules come with their own bytecode.
3. WORK is a stranger's from the word on: what is in it is read as data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from orq_runtime._dataclass import dataclass
from orq_runtime._supply.bytecode import carry_back
from orq_runtime._supply.files import read_left
from orq_runtime._supply.runner import COMPILE_LIMITS, clean_environment, workplace
from orq_runtime.model.command import Command, CommandEnd, CommandRunner
from orq_runtime.model.environment import Interpreter

__all__ = ["Compiled", "Compiler"]

_LARGEST_REPORT: Final = 4 * 1024 * 1024
_PROGRAM: Final = """
import importlib.machinery, importlib.util, json, marshal, os, sys
work = sys.argv[1]
with open(work + "/go", "rb", buffering=0) as go:
    go.read(1)
with open(work + "/plan.json", encoding="utf-8") as file:
    plan = json.load(file)
devnull = os.open(os.devnull, os.O_RDWR)
os.dup2(devnull, 1)

def keep(path, data):
    path = os.fsencode(path)
    head = len(path).to_bytes(4, "big") + len(data).to_bytes(4, "big")
    os.writev(left, [head, path, data])

def compile_file(path):
    loader = importlib.machinery.SourceFileLoader("<compiled>", path)
    try:
        source = loader.get_data(path)
        code = marshal.dumps(loader.source_to_code(source, path))
        # an unchecked hash: the sources never change again
        kind = (1).to_bytes(4, "little") + importlib.util.source_hash(source)
        keep(path, importlib.util.MAGIC_NUMBER + kind + code)
    except Exception:
        pass  # its import will say so

def cache(loader, source, bytecode, data):
    if source.startswith(plan["root"]):
        try:
            keep(source, data)
        except OSError:
            pass

failed = {}
count = plan["processes"]
number, children = 0, []
while number < count - 1 and children is not None:
    number += 1
    child = os.fork()
    children = None if child == 0 else children + [child]
number = 0 if children is not None else number
left = os.open("%s/bytecode.%d" % (work, number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for path in plan["files"][number::count]:
    compile_file(path)
if children is None:
    os._exit(0)
for child in children:
    os.waitpid(child, 0)
if plan["modules"]:
    import site  # as it would have it at an ordinary start of the environment's interpreter
    sys.prefix = sys.exec_prefix = plan["prefix"]
    sys.executable = sys.prefix + "/bin/python"
    site.PREFIXES[:] = [sys.prefix]
    site.addsitedir(plan["root"][:-1])
    importlib.machinery.SourceFileLoader._cache_bytecode = cache
    sys.dont_write_bytecode = False
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


class Compiler:
    """One process that gets ready to compile, once. A context manager, which ends it.

    `place` is the folder of all that will be compiled: it is there, and may be filled later.
    Raises `SandboxError` when it is known at once that it cannot be started.
    """

    def __init__(
        self,
        runner: CommandRunner,
        *,
        scratch: Path,
        interpreter: Interpreter,
        place: Path,
    ) -> None:
        self._cache_tag = interpreter.cache_tag
        self._place = place
        self._work = work = workplace(scratch, "compile")
        environment = clean_environment(work)
        os.mkfifo(work / "go", 0o600)
        command = Command(
            argv=("compiler", str(work)),
            source=_PROGRAM,
            interpreter=interpreter,
            environ=environment,
            folder=work,
            read_only=(place,),
            writable=work,
            limits=COMPILE_LIMITS,
        )
        # both ends are ours: it opens for whoever comes, and never ends of itself
        self._go = os.open(work / "go", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._started = runner.start(command)
        except BaseException:
            os.close(self._go)
            raise

    def compile(
        self, root: Path, *, modules: Sequence[str] = (), files: Sequence[Path] = ()
    ) -> Compiled:
        """Put bytecode beside the sources below `root`: of `files`, and of what `modules` import.

        Blocks. Raises `SandboxError` when it could not be started.
        """
        processes = min(len(os.sched_getaffinity(0)), 4, 1 + len(files) // 50)
        plan = {
            "root": f"{root}/",
            "prefix": str(self._place),
            "modules": [*modules],
            "files": [str(file) for file in files],
            "processes": processes,
        }
        (self._work / "plan.json").write_text(json.dumps(plan), "utf-8")
        os.write(self._go, b"1")
        end = self._started.end()
        carry_back(self._work, processes, root, self._cache_tag)
        return Compiled(end=end, failed=_report(self._work))

    def close(self) -> None:
        """End it. Calling it again does nothing."""
        self._started.close()
        if self._go >= 0:
            os.close(self._go)
            self._go = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _report(work: Path) -> dict[str, str] | None:
    try:
        document = json.loads(read_left(work, "report.json", most_bytes=_LARGEST_REPORT))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return {str(name)[:200]: str(reason)[:1000] for name, reason in document.items()}
