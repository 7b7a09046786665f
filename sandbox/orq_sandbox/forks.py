"""Forks of ours, and which packages are told of them.

`threading` asks to hear of each fork, to be rid of the threads and locks that are not in the new
process, and writes to a hundred pages over it. Where there is one thread nothing is to be rid of.
All others that ask are told: some draw new random numbers.
"""

from __future__ import annotations

import os
import sys
import typing

__all__ = ["fork", "is_alone", "load_threading"]

_is_ours = [False]


def load_threading() -> None:
    """Import it, as one that hears of a step's own forks and not of those that make a step."""
    if "threading" in sys.modules:
        return
    ask = os.register_at_fork

    def ask_for_others(**hooks: typing.Any) -> None:
        hear = hooks.pop("after_in_child")
        ask(after_in_child=lambda: None if _is_ours[0] else hear(), **hooks)

    vars(os)["register_at_fork"] = ask_for_others
    try:
        import threading  # noqa: F401 - here, so that no package does it first
    finally:
        os.register_at_fork = ask


def is_alone() -> bool:
    """Whether this thread is the only one: packages may have some, and they hold things."""
    return len(vars(sys)["_current_frames"]()) == 1


def fork() -> int:
    """Fork, and have packages hear of it."""
    _is_ours[0] = is_alone()
    try:
        pid = os.fork()
    finally:
        _is_ours[0] = False
    if pid == 0 and "threading" in sys.modules:
        _renumber(sys.modules["threading"])
    return pid


def _renumber(threading: typing.Any) -> None:
    """Have the one thread know the number that the kernel has given it anew."""
    renumber = getattr(threading.main_thread(), "_set_native_id", None)
    if renumber is not None:
        renumber()
