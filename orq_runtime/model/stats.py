"""What a runtime holds at a moment and has done up to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final  # Any: one kind of value for each field

from orq_runtime._dataclass import dataclass, field, fields

__all__ = ["Stats"]

_GREATEST: Final = "longest_claim_seconds"
_COUNTED: Final = "imported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """`zygotes` are alive, `parked` children wait under them, `under_way` runs have one.

    `parked_bytes` is the memory of zygotes and parked children, when last weighed: at most so much.

    Of all `claims` of a child `hits` found one parked; `followed` took one whose init had served
    another run before, one that went well and left nothing. `claim_seconds` is what they waited in
    all, `longest_claim_seconds` the longest of them. `starts` counts zygotes started, `deaths`
    those that died or did not answer, `retired` those that were ended because they were idle or too
    many. `waiting` are runs that have no turn yet. Runs that are started alone (`exec`) are not
    counted.

    `imported` says of packages how many runs imported them that their zygote had not: they are to
    be named in `preload`.
    """

    zygotes: int = 0
    parked: int = 0
    parked_bytes: int = 0
    under_way: int = 0
    claims: int = 0
    hits: int = 0
    followed: int = 0
    claim_seconds: float = 0.0
    longest_claim_seconds: float = 0.0
    starts: int = 0
    deaths: int = 0
    retired: int = 0
    waiting: int = 0
    imported: Mapping[str, int] = field(default_factory=dict)

    @property
    def hit_rate(self) -> float | None:
        """Of all claims the part that found a child parked; None before the first."""
        return self.hits / self.claims if self.claims else None

    @property
    def mean_claim_seconds(self) -> float | None:
        """What a claim waited on the average; None before the first."""
        return self.claim_seconds / self.claims if self.claims else None

    def plus(self, other: Stats) -> Stats:
        """Both together."""
        values: dict[str, Any] = {
            one.name: getattr(self, one.name) + getattr(other, one.name)
            for one in fields(self)
            if one.name != _COUNTED
        }
        values[_GREATEST] = max(getattr(self, _GREATEST), getattr(other, _GREATEST))
        values[_COUNTED] = dict(Counter(self.imported) + Counter(other.imported))
        return Stats(**values)
