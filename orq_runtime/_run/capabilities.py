"""Which isolation this machine gives a run, or the error that says why not.

Confinement is all or an error: a tier that cannot be given is never replaced by a weaker one.
"""

from __future__ import annotations

import sys
from typing import Final

from orq_runtime.errors import RequestError, WallUnavailable

__all__ = ["TIERS", "choose"]

TIERS: Final = ("auto", "namespaces", "landlock", "process")


def choose(isolation: str) -> str:
    """The tier in force for a request. Raises `WallUnavailable` when it cannot be given."""
    if isolation not in TIERS:
        raise RequestError(
            f"unknown isolation: `{isolation}`",
            hint="one of: " + ", ".join(f"`{t}`" for t in TIERS),
        )
    if not sys.platform.startswith("linux"):
        raise WallUnavailable(f"runs need Linux; this is `{sys.platform}`")
    if isolation == "process":
        return isolation
    raise WallUnavailable(
        f"isolation `{isolation}` is not available in this version",
        hint="isolation `process` is: a fresh process and a clean environment, and no wall",
    )
