"""Errors and outcomes as lines for people, and the exit codes that go with them."""

from __future__ import annotations

from collections.abc import Iterator

from orq_runtime.cli.terminal import OutputClosed, is_terminal, one_line, say
from orq_runtime.errors import BadDocument, OrqRuntimeError
from orq_runtime.model.failure import Failure, Problem
from orq_runtime.model.outcome import Outcome
from orq_runtime.model.verdict import VERDICTS, exit_code_of_error

__all__ = ["explain_error", "explain_outcome", "note", "verdict_of_error"]

Line = tuple[str, str]
"""Text, and the kind of line that it is."""

_TOLD_BY_PROBLEMS = ("wrong_type", "wrong_result", "bad_call")


def note(text: str) -> None:
    """Say something that is no error."""
    say(f"orq-runtime: note: {text}")


def explain_error(error: OrqRuntimeError) -> int:
    """Say what an error that belongs to no outcome is; its exit code."""
    if isinstance(error, BadDocument):
        say(error.message)  # `file:line:column: message`, which editors understand
    else:
        say(f"orq-runtime: {verdict_of_error(error) or 'error'}: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")
    return exit_code_of_error(error)


def verdict_of_error(error: OrqRuntimeError) -> str | None:
    """The verdict that an error stands for, where it stands for one."""
    for row in VERDICTS.values():
        if row.raises is not None and isinstance(error, row.raises):
            return row.name
    return None


def explain_outcome(outcome: Outcome) -> None:
    """Say why a run has no value; nothing for one that has."""
    if outcome.ok:
        return
    lines = list(_told(outcome))
    if is_terminal():
        from orq_runtime.cli.drawing import paint  # start-up budget: rich, only for a failure

        try:
            if paint(lines):
                return
        except OSError as error:
            raise OutputClosed from error
    say("\n".join(text for text, _ in lines))


def _told(outcome: Outcome) -> Iterator[Line]:
    """The lines about a failed run, each with the kind of line that it is."""
    meaning = VERDICTS[outcome.verdict].meaning
    failure = outcome.failure or Failure(message=meaning)
    told = outcome.verdict in _TOLD_BY_PROBLEMS and failure.problems
    headline = meaning if told else _headline(failure)
    yield f"orq-runtime: {outcome.verdict}: {headline}", "verdict"
    yield from _details(failure)
    if outcome.hint:
        yield f"hint: {_indented(outcome.hint)}", "hint"


def _headline(failure: Failure) -> str:
    message = _indented(failure.message)
    if not failure.type:
        return message
    kind = one_line(failure.type)
    return f"{kind}: {message}" if message else kind


def _indented(text: str) -> str:
    """Further lines stand under the first: none of them can pass for a line of ours."""
    return text.rstrip("\n").replace("\n", "\n  ")


def _problem(problem: Problem) -> str:
    message = f"{problem.message}: {problem.value}" if problem.value else problem.message
    return one_line(f"{problem.path}: {message}" if problem.path else message)


def _details(failure: Failure) -> Iterator[Line]:
    for problem in failure.problems:
        yield f"  {_problem(problem)}", "problem"
    for note in failure.notes:
        yield f"  {_indented(note)}", "note"
    if failure.frames:
        yield "Traceback (most recent call last):", ""
    for frame in failure.frames:
        yield (
            f'  File "{one_line(frame.file)}", line {frame.line}, in {one_line(frame.function)}',
            "place",
        )
        if frame.source:
            yield f"    {one_line(frame.source)}", "source"
        for name, value in frame.locals.items():
            yield f"      {one_line(name)} = {one_line(value)}", "local"
    for number, member in enumerate(failure.exceptions, 1):
        for text, kind in _linked(f"{number} of {len(failure.exceptions)} in the group", member):
            yield "  " + text.replace("\n", "\n  "), kind
    if failure.cause is not None:
        yield from _linked("caused by", failure.cause)
    if failure.context is not None:
        yield from _linked("raised while handling", failure.context)


def _linked(how: str, failure: Failure) -> Iterator[Line]:
    yield f"{how}: {_headline(failure)}", "link"
    yield from _details(failure)
