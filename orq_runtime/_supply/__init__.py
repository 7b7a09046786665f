"""Supply: from dependency declarations to content-addressed, immutable environments."""

from orq_runtime._supply.memo import Remembered
from orq_runtime._supply.supplier import Supplier

__all__ = ["Remembered", "Supplier"]
