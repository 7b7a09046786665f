"""Declared outputs out of a finished run: found, bounded, kept; or the reason why not.

Rules of this file:

1. Only a run that went well has outputs, and nothing of it is alive when they are looked at.
2. Sizes and counts are checked before a byte is copied.
3. A run that lacks an output says what it wrote in its place.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orq_runtime._dataclass import replace
from orq_runtime._run.artifacts import ArtifactStore, PlainFolder
from orq_runtime._run.workdir import Entry, Refused, WorkFolder
from orq_runtime.errors import StoreError
from orq_runtime.model.artifact import Artifact, Output, Wanted
from orq_runtime.model.failure import Failure, Problem
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome

__all__ = ["collect"]

_MOST_WRITTEN: Final = 1000
_MOST_NAMED: Final = 20
_LONGEST_NAME: Final = 200


def collect(
    outcome: Outcome, descriptor: int, owner: int, wanted: Wanted, limits: Limits, cache_dir: Path
) -> Outcome:
    """The outcome with its outputs, or that of a run which lacks one. Takes the descriptor.

    `descriptor` is the working folder or -1, `owner` the host user that the run was. Raises
    `StoreError` when files cannot be kept where they should be.
    """
    try:
        if descriptor < 0:
            raise Refused("the run's init handed over no working folder")
        with WorkFolder(descriptor, owner) as work:
            return _Collection(outcome, work, wanted, limits).outcome(cache_dir)
    except (Refused, OSError) as reason:
        return _broken(outcome, "missing_output", f"the outputs cannot be collected: {reason}")


class _Collection:
    def __init__(self, outcome: Outcome, work: WorkFolder, wanted: Wanted, limits: Limits) -> None:
        self._work = work
        self._wanted = wanted
        self._limits = limits
        self._files, self._is_all = work.files()
        written = [_clipped(entry.shown) for entry in self._files]
        self._outcome = replace(outcome, written=tuple(written[:_MOST_WRITTEN]))

    def outcome(self, cache_dir: Path) -> Outcome:
        problems: list[Problem] = []
        chosen: dict[Output, list[Entry] | Entry] = {}
        for output in self._wanted.outputs:
            try:
                chosen[output] = self._found(output)
            except (Refused, OSError) as error:
                problems.append(_problem(output, error))
        if problems:
            return self._missing(problems)
        declared = {entry.path for one in chosen.values() for entry in _entries(one)}
        kept: list[Entry] = []
        if self._wanted.keeps_all:
            kept = [entry for entry in self._files if entry.path not in declared]
        excess = self._excess([*(e for one in chosen.values() for e in _entries(one)), *kept])
        if excess:
            hint = "write less, or raise `artifact_bytes` and `artifact_files`"
            return replace(_broken(self._outcome, "output_exceeded", excess), hint=hint)
        if not chosen and not kept:
            return self._outcome
        return self._kept(chosen, kept, cache_dir)

    def _found(self, output: Output) -> list[Entry] | Entry:
        """The one file of an output, or the files of its folder."""
        found = self._work.found(output.path)
        if found is not None:
            return found
        files, is_all = self._work.files(output.path)
        if not is_all:
            raise Refused("a folder with too much in it")
        return files

    def _excess(self, entries: list[Entry]) -> str:
        limits = self._limits
        if self._wanted.keeps_all and not self._is_all:
            return "there are too many files, or too deep folders, to keep them all"
        if len(entries) > limits.artifact_files:
            return f"the outputs are {len(entries)} files; {limits.artifact_files} are allowed"
        size = sum(entry.size_bytes for entry in entries)
        if size > limits.artifact_bytes:
            return f"the outputs hold {size} bytes; {limits.artifact_bytes} are allowed"
        return ""

    def _kept(
        self, chosen: Mapping[Output, list[Entry] | Entry], others: list[Entry], cache_dir: Path
    ) -> Outcome:
        folder = self._wanted.folder
        keeper = ArtifactStore(cache_dir) if folder is None else PlainFolder(folder)
        outputs: dict[str, Artifact] = {}
        name = ""
        try:
            with keeper:
                for output, found in chosen.items():
                    name = output.path
                    if isinstance(found, Entry):
                        outputs[output.name] = keeper.file(self._work, found)
                    else:
                        outputs[output.name] = keeper.folder(self._work, output.path, found)
                artifacts = {entry.shown: keeper.file(self._work, entry) for entry in others}
        except OSError as error:
            where = cache_dir if folder is None else folder
            raise StoreError(
                f"cannot keep `{name}` in `{where}`: {error.strerror}",
                hint="name another folder with `outputs_dir` (`--outputs-dir`)",
            ) from error
        return replace(self._outcome, outputs=outputs, artifacts=artifacts)

    def _missing(self, problems: list[Problem]) -> Outcome:
        named = [f"`{problem.parameter}`" for problem in problems]
        what = (
            f"declared output {named[0]}"
            if len(named) == 1
            else "declared outputs " + ", ".join(named)
        )
        reasons = "; ".join(f"`{one.path}`: {one.message}" for one in problems)
        written = self._outcome.written
        listed = ", ".join(f"`{name}`" for name in written[:_MOST_NAMED]) or "nothing"
        more = len(self._files) - _MOST_NAMED
        tail = f" and {more} more" if more > 0 else ""
        verb = "was" if len(named) == 1 else "were"
        message = f"{what} {verb} not written: {reasons}; the step wrote {listed}{tail}"
        close = difflib.get_close_matches(problems[0].path, written, 1)
        hint = (
            f"the step wrote `{close[0]}`: is that the output?"
            if close
            else ("an output `name` is the file `name.json` in the step's working folder")
        )
        broken = _broken(self._outcome, "missing_output", message, tuple(problems))
        return replace(broken, hint=hint)


def _entries(found: list[Entry] | Entry) -> list[Entry]:
    return [found] if isinstance(found, Entry) else found


def _problem(output: Output, error: Exception) -> Problem:
    message = str(error) if isinstance(error, Refused) else "no such file"
    return Problem(parameter=output.name, path=output.path, message=message)


def _broken(
    outcome: Outcome, verdict: str, message: str, problems: tuple[Problem, ...] = ()
) -> Outcome:
    failure = Failure(message=message, problems=problems)
    return replace(outcome, verdict=verdict, value=None, failure=failure)


def _clipped(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."
