"""One thing that is wrong with a value: where, what was wanted, what came."""

from __future__ import annotations

import collections
import typing

from orq_sandbox.failure import shown

__all__ = ["Mismatch", "Unmade", "mismatch"]

Mismatch = collections.namedtuple("Mismatch", "path expected got value message")


class Unmade:
    """In place of a value whose class refused to be made: what was given, and why not.

    `problems`, where the class itself says more than one thing, are mismatches by the paths below,
    or `(path below, message, value)`.
    """

    def __init__(self, value: object, reason: str, problems: tuple = ()) -> None:
        self.value = value
        self.reason = reason
        self.problems = problems

    def explain(self, path: str, expected: str) -> list:
        """The mismatches that stand for it."""
        if not self.problems:
            return [mismatch(path, expected, self.value, self.reason)]
        return [self._placed(path, expected, one) for one in self.problems]

    @staticmethod
    def _placed(path: str, expected: str, found: typing.Any) -> Mismatch:
        if isinstance(found, Mismatch):
            return found._replace(path=path + found.path)
        below, message, value = found
        return mismatch(path + below, expected if not below else "", value, message)


def mismatch(path: str, expected: str, value: object, message: str = "") -> Mismatch:
    """The mismatch of a value."""
    if isinstance(value, Unmade):
        value, message = value.value, message or value.reason
    kind: typing.Any = type(value)
    plain = kind.__module__ in ("builtins", "__main__", "step") or value is None
    got = "None" if value is None else kind.__qualname__
    return Mismatch(
        path, expected, got if plain else kind.__module__ + "." + got, shown(value), message
    )
