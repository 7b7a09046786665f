"""The PEP 517 hooks of one source tree, called behind the wall, and what is taken back from there.

::

    WORK/               the one folder that the hooks may write; used for one call and never again
      source/           the tree
      home/ tmp/        HOME and TMPDIR
      out/              where the wheel goes
      answer.json       what the hooks answered

Rules of this file:

1. One process asks for further build requirements and, when there are none, builds. Each hook has a
   process of its own by a fork: backends are free to change what is global.
2. WORK is a stranger's when the call is over: the answer is read as data, the wheel by its name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from orq_runtime._dataclass import dataclass
from orq_runtime._supply.files import read_left, take_back
from orq_runtime._supply.requirements import Declared, declared
from orq_runtime._supply.runner import BUILD_LIMITS, clean_environment, tail
from orq_runtime._supply.scm import pretended
from orq_runtime._supply.sources import BuildSystem
from orq_runtime.errors import BadComponent, BuildFailed
from orq_runtime.model.command import Command, CommandEnd, CommandRunner
from orq_runtime.model.environment import Interpreter

__all__ = ["Answer", "Bench"]

_LARGEST_ANSWER: Final = 4 * 1024 * 1024
_LARGEST_WHEEL: Final = 4 * 1024 * 1024 * 1024
_PROGRAM: Final = """
import importlib, json, os, sys

orders = json.loads(sys.argv[1])
del sys.argv[1:]

def answer(**said):
    with open(orders["answer"], "w") as file:
        json.dump(said, file)

def backend():
    sys.path[:0] = orders["backend_path"]
    module, _, names = orders["backend"].partition(":")
    try:
        found = importlib.import_module(module)
        for name in filter(None, names.split(".")):
            found = getattr(found, name)
        found.build_wheel
    except (ImportError, AttributeError):
        answer(unusable=True)
        raise
    return found

def ask():
    hook = getattr(backend(), "get_requires_for_build_wheel", None)
    answer(requires=[] if hook is None else list(hook(None)))

if orders["asks"]:
    child = os.fork()
    if child == 0:
        ask()
        sys.exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
    with open(orders["answer"]) as file:
        if json.load(file)["requires"]:
            sys.exit(0)
answer(wheel=backend().build_wheel(orders["out"], None, None))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the hooks answered: a wheel, or what they need before they can build one."""

    requires: tuple[Declared, ...] = ()
    wheel: str | None = None


class Bench:
    """One call of a tree's hooks, in a folder of its own. `origin` names the tree for people."""

    def __init__(self, *, work: Path, origin: str, runner: CommandRunner) -> None:
        self.work = work
        self.tree = work / "source"
        self._origin = origin
        self._runner = runner

    def build(
        self, system: BuildSystem, *, kit: Path, interpreter: Interpreter, asks: bool
    ) -> Answer:
        """Build the wheel in the kit, an environment; `asks`: unless more is required for it.

        Blocks. Raises `BuildFailed` with the end of what the build said.
        """
        out = self.work / "out"
        out.mkdir()
        orders = {
            "asks": asks,
            "answer": str(self.work / "answer.json"),
            "out": str(out),
            "backend": system.backend,
            "backend_path": [self._inside(path) for path in system.backend_path],
        }
        environment = clean_environment(self.work, kit / "bin")
        if not (self.tree / "PKG-INFO").is_file():
            environment.update(pretended(self.work, self.tree.name))
        end = self._runner.run(
            Command(
                argv=(str(kit / "bin" / "python"), "-I", "-c", _PROGRAM, json.dumps(orders)),
                interpreter=interpreter,
                environ=environment,
                folder=self.tree,
                read_only=(kit,),
                writable=self.work,
                limits=BUILD_LIMITS,
            )
        )
        return self._answer(end, system)

    def take_wheel(self, name: str, target: Path) -> Path:
        """Copy the wheel of an answer into a folder of ours. Raises `BuildFailed`."""
        kept = target / Path(name).name
        try:
            take_back(self.work, f"out/{kept.name}", kept, most_bytes=_LARGEST_WHEEL)
        except (OSError, ValueError) as error:
            raise BuildFailed(f"`{self._origin}` did not build: no wheel: {error}") from error
        return kept

    def _inside(self, path: str) -> str:
        found = (self.tree / path).resolve()
        if not found.is_relative_to(self.tree.resolve()):
            raise BadComponent(f"{self._origin}: `backend-path` leads out of it: `{path}`")
        return str(found)

    def _answer(self, end: CommandEnd, system: BuildSystem) -> Answer:
        said = self._said()
        if said.get("unusable") is True:
            raise self._failed(end, f"no usable backend `{system.backend}`")
        if end.verdict == "exited":
            raise self._failed(end, f"its build ended with status {end.exit_status}")
        if not end.ok:
            raise self._failed(end, end.message)
        wheel, lines = said.get("wheel"), said.get("requires", [])
        if isinstance(wheel, str) and wheel.endswith(".whl"):
            return Answer(wheel=wheel)
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise self._failed(end, "its backend answered nonsense")
        if not lines:
            raise self._failed(end, "its backend made no wheel")
        where = f"{self._origin} (asked for by its backend)"
        return Answer(requires=tuple(declared(line, where) for line in lines))

    def _said(self) -> dict[str, object]:
        try:
            content = read_left(self.work, "answer.json", most_bytes=_LARGEST_ANSWER)
            document = json.loads(content)
        except (
            OSError,
            ValueError,
            RecursionError,
        ):  # the hooks were ended, or wrote what they like
            return {}
        return document if isinstance(document, dict) else {}

    def _failed(self, end: CommandEnd, reason: str) -> BuildFailed:
        log = tail(end)
        return BuildFailed(
            f"`{self._origin}` did not build: {reason}" + (f"\n{log}" if log else ""),
            hint="the lines above are the end of what the build said" if log else None,
        )
