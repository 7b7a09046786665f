"""`python -m orq_runtime` is the command `orq-runtime`."""

from orq_runtime.cli import command

command()
