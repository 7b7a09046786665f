"""From samples to figures. The figures themselves are those of the command `orq-runtime bench`."""

from __future__ import annotations

from orq_runtime.cli.measuring import Turns, median_ratio, nearest_rank, summary, tail

__all__ = ["Turns", "median_ratio", "nearest_rank", "summary", "tail"]
