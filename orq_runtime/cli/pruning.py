"""The options that say how much of the store goes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from orq_runtime.cli.sizes import read_age, read_size

__all__ = ["add_pruning"]

_T = TypeVar("_T")


def add_pruning(parser: argparse.ArgumentParser) -> None:
    """The options that say how much of the store goes."""
    parser.add_argument(
        "--max-size",
        metavar="SIZE",
        type=_reader(read_size),
        help="remove what was used longest ago until the store is this small: 500MB, 2GiB",
    )
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        type=_reader(read_age),
        help="remove environments that were not used for so long: 30d, 12h, 90min",
    )


def _reader(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """A reader whose own words are what argparse says."""

    def reader(text: str) -> _T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return reader
