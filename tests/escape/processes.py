"""What is still there of a test's processes, once those that are dying are dead."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

__all__ = ["named"]


def named(name: str) -> Iterator[int]:
    """The process ids of all that bear a name and live."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "comm").read_text() != f"{name}\n":
                continue
            pidfd = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        is_dead = bool(select.select([pidfd], [], [], 2)[0])
        os.close(pidfd)
        if not is_dead:
            yield int(entry.name)
