"""Errors and outcomes as lines for people, and the exit codes that go with them."""

from __future__ import annotations

from collections.abc import Iterator

from orq_runtime.cli.terminal import say
from orq_runtime.errors import BadDocument, OrqRuntimeError
from orq_runtime.model.failure import Failure, Problem
from orq_runtime.model.outcome import Outcome
from orq_runtime.model.verdict import VERDICTS, exit_code_of_error

__all__ = ["explain_error", "explain_outcome", "note", "verdict_of_error"]

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
    meaning = VERDICTS[outcome.verdict].meaning
    failure = outcome.failure or Failure(message=meaning)
    told = outcome.verdict in _TOLD_BY_PROBLEMS and failure.problems
    headline = meaning if told else _headline(failure)
    say("\n".join([f"orq-runtime: {outcome.verdict}: {headline}", *_details(failure)]))
    if outcome.hint:
        say(f"hint: {outcome.hint}")


def _headline(failure: Failure) -> str:
    if not failure.type:
        return failure.message
    return f"{failure.type}: {failure.message}" if failure.message else failure.type


def _problem(problem: Problem) -> str:
    message = problem.message
    if problem.expected:
        message = f"expected {problem.expected}, got {problem.got}: {problem.value}"
    return f"{problem.path}: {message}" if problem.path else message


def _details(failure: Failure) -> Iterator[str]:
    for problem in failure.problems:
        yield f"  {_problem(problem)}"
    if failure.frames:
        yield "Traceback (most recent call last):"
    for frame in failure.frames:
        yield f'  File "{frame.file}", line {frame.line}, in {frame.function}'
        if frame.source:
            yield f"    {frame.source}"
    if failure.cause is not None:
        yield f"caused by: {_headline(failure.cause)}"
        yield from _details(failure.cause)
