"""A guest started before the rest of the command is even imported, where it is likely to be wanted.

Rules of this file:

1. It imports little itself: what it wins is the time of the imports that come after it.
2. A guess that was wrong costs a process that ended unused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from orq_runtime._run.bundle import staged
from orq_runtime._run.guest import Guests
from orq_runtime.cli.chosen import settings_of
from orq_runtime.cli.options import Options

__all__ = ["likely_guests"]


def likely_guests(options: Options) -> Guests:
    """With a guest of this interpreter, unless another was asked for or none was staged yet."""
    guests = Guests()
    settings = settings_of(options)
    if settings.python is None:
        tag, (major, minor, patch) = sys.implementation.cache_tag, sys.version_info[:3]
        bundle = staged(settings.cache_dir, tag, (major, minor, patch))
        if bundle.is_dir():
            base = getattr(sys, "_base_executable", None) or sys.executable
            guests.start_ahead(Path(os.path.realpath(base)), bundle)
    return guests
