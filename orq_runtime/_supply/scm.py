"""The version of a source tree whose backend would ask version control, of which a copy has none.

Rules of this file:

1. What the tree itself says for that case (`fallback_version`, of setuptools-scm and those who use
   it) is its version. It is read as text, wherever a declaration file has it: nothing is executed.
2. A tree that says nothing is 0.0.0: it is installed by name, and hardly anybody asks for more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

from orq_runtime._supply.files import read_left

__all__ = ["pretended"]

_DECLARATIONS: Final = ("setup.py", "setup.cfg", "pyproject.toml")
_FALLBACK: Final = re.compile(rb"""fallback[-_]version["']?\s*[:=]\s*["']([^"'\n]{1,100})["']""")
_NONE: Final = "0.0.0"
_LARGEST: Final = 4 << 20


def pretended(work: Path, tree: str) -> Mapping[str, str]:
    """The variables by which a build of `work/tree` knows its version without version control."""
    return {"SETUPTOOLS_SCM_PRETEND_VERSION": _declared(work, tree) or _NONE}


def _declared(work: Path, tree: str) -> str | None:
    for name in _DECLARATIONS:
        try:
            content = read_left(work, f"{tree}/{name}", most_bytes=_LARGEST)
        except (OSError, ValueError):  # none, or what a build says better
            continue
        for found in _FALLBACK.findall(content):
            try:
                return str(Version(found.decode("ascii")))
            except (InvalidVersion, UnicodeDecodeError):
                continue
    return None
