"""The words that an event has for what it is about.

Apart from the events themselves, for only those who list the words need them while running.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["Phase", "State", "Unit"]

Phase = Literal[
    "resolve", "download", "build", "install", "compile", "publish", "wait", "hit", "support", "run"
]
State = Literal["started", "moved", "done"]
Unit = Literal["bytes", "packages", "modules", "none"]
