"""What is told of an exception: its notes, its whole story, its variables when asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from orq_runtime import Outcome, Runtime, Step, errors
from orq_runtime.model.failure import Failure
from orq_runtime.model.plan import StartMode
from orq_runtime.model.schema import outcome_schema


@pytest.fixture(scope="module")
def runtime(cache_dir: Path, start: StartMode) -> Iterator[Runtime]:
    """A runtime of either start."""
    with Runtime(cache_dir=cache_dir, start=start) as made:
        yield made


def _failure(runtime: Runtime, code: str, *, show_locals: bool = False) -> Failure:
    outcome = runtime.run(Step(source=code, function="f"), check=False, show_locals=show_locals)
    document = json.loads(json.dumps(outcome.to_json()))
    Draft202012Validator(outcome_schema()).validate(document)
    assert outcome == Outcome.from_json(document)
    assert ("raised", 1) == (outcome.verdict, outcome.exit_code)
    assert outcome.failure is not None
    return outcome.failure


def test_cause_and_context_are_told_apart(runtime: Runtime) -> None:
    """`raise ... from` gives a cause, an exception while handling another one a context."""
    code = (
        "def f():\n    try:\n        try:\n            {}['k']\n        except KeyError:\n"
        "            1 / 0\n    except ZeroDivisionError as error:\n"
        "        raise ValueError('no') from error\n"
    )

    failure = _failure(runtime, code)

    assert failure.cause is not None
    assert failure.cause.context is not None
    assert (None, "ZeroDivisionError", "KeyError") == (
        failure.context,
        failure.cause.type,
        failure.cause.context.type,
    )
    assert "{}['k']" == failure.cause.context.frames[-1].source


def test_from_none_hides_the_context(runtime: Runtime) -> None:
    """As in a traceback."""
    code = (
        "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n"
        "        raise ValueError('no') from None\n"
    )

    failure = _failure(runtime, code)

    assert (None, None) == (failure.cause, failure.context)


def test_notes_are_told(runtime: Runtime) -> None:
    """`add_note` adds to the message, in its order."""
    code = (
        "def f():\n    error = ValueError('no')\n    error.add_note('one')\n"
        "    error.add_note('two')\n    raise error\n"
    )

    failure = _failure(runtime, code)

    assert ("no", ("one", "two")) == (failure.message, failure.notes)


def test_members_of_a_group_are_told(runtime: Runtime) -> None:
    """Each with its own frames, groups in groups too."""
    code = (
        "def one():\n    raise KeyError('a')\ndef f():\n    found = []\n"
        "    try:\n        one()\n    except KeyError as error:\n        found.append(error)\n"
        "    inner = ExceptionGroup('inner', [OSError('b')])\n"
        "    raise ExceptionGroup('outer', [*found, inner])\n"
    )

    failure = _failure(runtime, code)

    first, second = failure.exceptions
    assert ("ExceptionGroup", "KeyError", "ExceptionGroup") == (
        failure.type,
        first.type,
        second.type,
    )
    assert ["f", "one"] == [frame.function for frame in first.frames]
    assert ["OSError"] == [member.type for member in second.exceptions]


_SECRET = (
    "import sys\nclass Odd:\n    def __repr__(self): raise SystemExit(3)\n"
    "def f():\n    token = 'secret'\n    much = list(range(10 ** 6))\n    text = 'x' * 10 ** 7\n"
    "    odd = Odd()\n    raise ValueError('no')\n"
)


def test_variables_are_told_on_request_only(runtime: Runtime) -> None:
    """Clipped, whatever their repr does; and not a word of them without `show_locals`."""
    plain, asked = _failure(runtime, _SECRET), _failure(runtime, _SECRET, show_locals=True)

    assert {} == plain.frames[-1].locals
    found = asked.frames[-1].locals
    assert ["token", "much", "text", "odd"] == list(found)
    assert ("'secret'", "<Odd whose repr raised SystemExit>") == (found["token"], found["odd"])
    assert all(len(value) < 300 for value in found.values())


def test_a_story_without_an_end_is_cut(runtime: Runtime) -> None:
    """A chain of exceptions, a group of thousands, a deep recursion: bounded, and still told."""
    chain = (
        "def f():\n    error = None\n    for n in range(1000):\n        new = ValueError(n)\n"
        "        new.__cause__ = error\n        error = new\n    raise error\n"
    )
    circle = (
        "def f():\n    a, b = ValueError(1), ValueError(2)\n"
        "    a.__cause__, b.__cause__ = b, a\n    raise a\n"
    )
    group = "def f(): raise ExceptionGroup('g' * 10 ** 6, [ValueError('x' * 10 ** 6)] * 5000)\n"
    deep = "def f(n=0): return f(n + 1)\n"

    assert "999" == _failure(runtime, chain).message
    assert "1" == _failure(runtime, circle).message
    assert "ExceptionGroup" == _failure(runtime, group).type
    assert "RecursionError" == _failure(runtime, deep, show_locals=True).type


def test_the_runtime_leaves_no_trace_of_itself(runtime: Runtime) -> None:
    """What tells the variables is loaded out of the step's sight."""
    code = (
        "import sys, threading\nclass Odd:\n    def __repr__(self):\n"
        "        return repr([n for n in sys.modules if 'orq_sandbox' in n])\n"
        "def f():\n    odd = Odd()\n    raise ValueError('no')\n"
    )

    assert "[]" == _failure(runtime, code, show_locals=True).frames[-1].locals["odd"]


def test_a_syntax_error_has_its_line(runtime: Runtime) -> None:
    """The place in the step's code where it stops being Python."""
    failure = _failure(runtime, "def f():\n    return (\n")

    assert ("SyntaxError", "<step>", 2) == (
        failure.type,
        failure.frames[-1].file,
        failure.frames[-1].line,
    )


def test_an_error_shows_no_control_characters() -> None:
    """Of a step's words in it none reaches the terminal of whoever prints it; the rest stays."""
    error = errors.FunctionRaised("a\x1b[2J\x07\x9b\u202eb\r\n\tc")

    assert "a\\x1b[2J\\x07\\x9b\\u202eb\\r\n\tc" == str(error)
    assert "a\x1b[2J\x07\x9b\u202eb\r\n\tc" == error.message
