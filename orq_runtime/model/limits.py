"""How much a run may use. Quantities only: what it may touch is the wall's business."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from orq_runtime.errors import RequestError

__all__ = ["MIB", "Limits"]

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one run, each with its default.

    `wall_seconds` counts from the moment the request is sent. Of stdout and of stderr, that many
    bytes are kept: the first half and the last half where there were more. A result of more than
    `result_bytes` of JSON ends the run as `output_exceeded`.
    """

    wall_seconds: float = 3600.0
    stdout_bytes: int = 10 * MIB
    stderr_bytes: int = 10 * MIB
    result_bytes: int = 64 * MIB

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise RequestError(f"limit `{item.name}` is a number, not: `{value!r}`")
            if not math.isfinite(value) or value <= 0:
                raise RequestError(f"limit `{item.name}` must be finite and above 0: `{value!r}`")
            if item.name.endswith("_bytes") and not isinstance(value, int):
                raise RequestError(f"limit `{item.name}` is a whole number of bytes: `{value!r}`")
