"""Whether numbers are finite: what JSON has no form for is not to travel beside it either."""

from __future__ import annotations

import math
import struct
from typing import Any, Final

from orq_runtime.model.npy import item_bytes

__all__ = ["LOOKED_AT", "are_finite"]

LOOKED_AT: Final = 3 << 19
"""How many bytes to look at at once: they fit a cache, and elements of all sizes fit them."""

_CODES: Final = {2: "e", 4: "f", 8: "d"}


def are_finite(numbers: memoryview, dtype: str, numpy: Any) -> bool:
    """Whether none of them is NaN or infinite. They are elements of that dtype, `f` or `c`.

    `numpy` is that module, or None where there is none: long doubles are then the step's to judge.
    """
    if numpy is not None:  # no import of ours names it
        return bool(numpy.isfinite(numpy.frombuffer(numbers, dtype)).all())
    size = item_bytes(dtype) // (2 if dtype[1] == "c" else 1)
    code = _CODES.get(size)
    if code is None:
        return True
    floats = struct.unpack(f"{dtype[0]}{numbers.nbytes // size}{code}", numbers)
    return math.isfinite(sum(floats)) or all(map(math.isfinite, floats))
