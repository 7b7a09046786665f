"""The command `orq-runtime`."""

from orq_runtime.cli.entry import main

__all__ = ["main"]
