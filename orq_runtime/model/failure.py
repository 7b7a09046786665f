"""Why a run failed, as data: what the guest reports and what the host adds to it."""

from __future__ import annotations

from collections.abc import Mapping

from orq_runtime._dataclass import dataclass, field

__all__ = ["Failure", "Frame", "Problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line of a traceback: where it was and the source text there, when it can be read.

    `locals` are the variables of the frame and their clipped values, where they were asked for.
    """

    file: str
    line: int
    function: str
    source: str = ""
    locals: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a call or a value.

    `path` says where (`xs[2]`, `orders[17].price`, `return`), `parameter` is its first part.
    `expected` is the type wanted at that place, `annotation` the whole annotation as the author
    wrote it, `got` the type that came, `value` its clipped text and `hint` what is likely meant.
    For a call that does not fit by name only `parameter`, `path` and `message` say anything.
    """

    parameter: str
    path: str
    message: str
    expected: str = ""
    annotation: str = ""
    got: str = ""
    value: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong.

    `type` is the exception's name where there was one, and `notes` what was added to it. `frames`
    are the traceback, outermost first, without our own. `cause` is what it was raised from,
    `context` what was being handled when it was raised, and `exceptions` are the members of an
    exception group. `problems` lists everything that was wrong with the call, not just the first
    thing. `module` names the module that an import did not find, and `component` the component
    whose code asked for it.
    """

    message: str
    type: str = ""
    frames: tuple[Frame, ...] = ()
    notes: tuple[str, ...] = ()
    cause: Failure | None = None
    context: Failure | None = None
    exceptions: tuple[Failure, ...] = ()
    problems: tuple[Problem, ...] = ()
    module: str = ""
    component: str = ""
