"""A guest started before the command is even understood, where it is likely to be wanted.

Rules of this file:

1. It imports little itself: what it wins is the time of all that is imported after it.
2. It guesses. A guess that was wrong costs a process that ended unused; what is wrong with words
   or settings is said by those who read them in full.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from orq_runtime import settings
from orq_runtime._run.bundle import latest
from orq_runtime._run.guest import Guests
from orq_runtime.errors import OrqRuntimeError

__all__ = ["likely_guests"]

_OF_ANOTHER_PYTHON = ("-p", "--python")
_FOLDER = "--cache-dir"


def likely_guests(words: Sequence[str]) -> Guests:
    """With a guest of this interpreter, unless another was asked for or none was staged yet."""
    guests = Guests()
    if any(word.startswith(_OF_ANOTHER_PYTHON) for word in words):
        return guests
    try:
        found = settings.load(cache_dir=_folder(words))
        if found.python is not None:
            return guests
        tag, (major, minor, patch) = sys.implementation.cache_tag, sys.version_info[:3]
        bundle = latest(found.cache_dir, tag, (major, minor, patch))
    except (OrqRuntimeError, OSError):
        return guests
    if bundle is not None:
        base = getattr(sys, "_base_executable", None) or sys.executable
        guests.start_ahead(Path(os.path.realpath(base)), bundle)
    return guests


def _folder(words: Sequence[str]) -> str | None:
    """What `--cache-dir` says, the last one of several."""
    said = None
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == _FOLDER:
            said = following
        elif word.startswith(f"{_FOLDER}="):
            said = word.removeprefix(f"{_FOLDER}=")
    return said
