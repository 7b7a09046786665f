"""What happens while an environment is made or a run goes on, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Event", "Phase", "Sink", "ignore"]

Phase = Literal[
    "resolve", "download", "build", "install", "compile", "publish", "wait", "hit", "support", "run"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One moment of progress.

    `state` is `started`, `moved` or `done`. `subject` names what it is about (a package, an
    environment key), `message` is a sentence for people, and `done` of `total` are bytes or
    packages, 0 where not known.
    """

    phase: Phase
    state: Literal["started", "moved", "done"]
    subject: str = ""
    message: str = ""
    done: int = 0
    total: int = 0


Sink = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The sink of those who do not listen."""
