"""The command `orq-runtime`."""

from orq_runtime.cli.entry import command, main

__all__ = ["command", "main"]
