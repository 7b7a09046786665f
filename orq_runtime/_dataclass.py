"""Data classes: for type checkers those of `dataclasses`, at run time those of `_light`."""

from __future__ import annotations

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, field, fields, replace
else:
    from orq_runtime._light import asdict, dataclass, field, fields, replace

__all__ = ["asdict", "dataclass", "field", "fields", "replace"]
