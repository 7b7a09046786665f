"""The options that say behind which wall something runs, and what that lets through."""

from __future__ import annotations

import argparse

__all__ = ["add_isolation", "add_wall"]


def add_wall(parser: argparse.ArgumentParser) -> None:
    """The options that say what a run may touch, and how much memory it may use."""
    group = parser.add_argument_group("wall")
    add_isolation(group, "the run, and around builds")
    group.add_argument(
        "--network",
        choices=("none", "full"),
        default="none",
        help="what network the run sees (default: none)",
    )
    for flag, what in (("--allow-read", "read"), ("--allow-write", "read and write")):
        group.add_argument(
            flag,
            action="append",
            default=[],
            metavar="PATH",
            help=f"a file or folder that the run may {what}; may be repeated",
        )
    group.add_argument(
        "--env",
        dest="environ",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="a variable of the run's environment, which inherits nothing; may be repeated",
    )
    group.add_argument(
        "--memory",
        type=int,
        metavar="BYTES",
        help="memory of each of the run's processes (default: 1 GiB)",
    )


def add_isolation(group: argparse._ActionsContainer, what: str) -> None:
    """The option that names the wall around something."""
    group.add_argument(
        "--isolation",
        choices=("auto", "namespaces", "landlock", "process"),
        default="auto",
        help=f"the wall around {what} (default: the strongest there is, never `process`)",
    )
