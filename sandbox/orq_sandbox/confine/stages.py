"""Named steps of confinement: each is done whole, or the wall stands not at all; each is timed."""

from __future__ import annotations

import os
import time
import types
import typing

__all__ = ["Stages", "WallError"]


class WallError(Exception):
    """This machine did not let us confine ourselves. Whoever sees it runs nothing and ends.

    `stage` says at which step, `errno` what the kernel answered, `detail` that in words.
    """

    def __init__(self, stage: str, code: int, detail: str = "") -> None:
        self.detail = detail or os.strerror(code)
        super().__init__("cannot confine this process: %s: %s" % (stage, self.detail))
        self.stage = stage
        self.errno = code


class Stages:
    """`with stages("pivot_root"): ...` times the step and turns its OSError into `WallError`."""

    __slots__ = ("_begun", "_name", "microseconds")

    def __init__(self) -> None:
        self.microseconds: typing.Dict[str, float] = {}
        self._name = ""
        self._begun = 0.0

    def __call__(self, name: str) -> Stages:
        self._name = name
        return self

    def __enter__(self) -> None:
        self._begun = time.perf_counter()

    def __exit__(
        self,
        kind: typing.Optional[typing.Type[BaseException]],
        error: typing.Optional[BaseException],
        trace: typing.Optional[types.TracebackType],
    ) -> None:
        self.microseconds[self._name] = (time.perf_counter() - self._begun) * 1e6
        if isinstance(error, OSError):
            raise WallError(self._name, error.errno or 0, str(error)) from error
