"""Named steps of confinement: each is done whole, or the wall stands not at all; each is timed.

Each step of a zygote goes through a `Program`: that takes moments, and works out nothing more.
"""

from __future__ import annotations

import os
import time
import types
import typing

__all__ = ["Program", "Stage", "Stages", "WallError"]

Stage = typing.Tuple[str, typing.Callable[[typing.Any], None], typing.Any]
"""Its name, what does it, and with what argument."""

_now = time.monotonic  # the clock of all that a run does


class WallError(Exception):
    """This machine did not let us confine ourselves. Whoever sees it runs nothing and ends.

    `stage` says at which step, `errno` what the kernel answered, `detail` that in words.
    """

    def __init__(self, stage: str, code: int, detail: str = "") -> None:
        self.detail = detail or os.strerror(code)
        super().__init__("cannot confine this process: %s: %s" % (stage, self.detail))
        self.stage = stage
        self.errno = code


class Program:
    """Stages that are known ahead, and when each of them ended, the last time."""

    __slots__ = ("_moments", "stages")

    def __init__(self, stages: typing.Sequence[Stage]) -> None:
        self.stages = stages
        self._moments: typing.List[float] = []

    def go(self) -> None:
        """Do them all, one after another. Raises `WallError`."""
        self._moments = moments = [_now()]
        name = ""
        try:
            for stage in self.stages:
                name, act, what = stage
                act(what)
                moments.append(_now())
        except OSError as error:
            raise WallError(name, error.errno or 0, str(error)) from error

    def laps(self) -> typing.Dict[str, float]:
        """How long each took."""
        pairs = zip(self._moments, self._moments[1:])
        return {name: end - start for (name, *_), (start, end) in zip(self.stages, pairs)}


class Stages:
    """`with stages("pivot_root"): ...` times the step and turns its OSError into `WallError`."""

    __slots__ = ("_begun", "_laps", "_name", "_programs")

    def __init__(self) -> None:
        self._laps: typing.Dict[str, float] = {}
        self._programs: typing.List[Program] = []
        self._name = ""
        self._begun = 0.0

    @property
    def microseconds(self) -> typing.Dict[str, float]:
        """How long each took, the last time."""
        laps = dict(self._laps)
        for program in self._programs:
            laps.update(program.laps())
        return {name: seconds * 1e6 for name, seconds in laps.items()}

    def program(self, stages: typing.Sequence[Stage]) -> Program:
        """Stages to `go` through later."""
        made = Program(stages)
        self._programs.append(made)
        return made

    def __call__(self, name: str) -> Stages:
        self._name = name
        return self

    def __enter__(self) -> None:
        self._begun = _now()

    def __exit__(
        self,
        kind: typing.Optional[typing.Type[BaseException]],
        error: typing.Optional[BaseException],
        trace: typing.Optional[types.TracebackType],
    ) -> None:
        self._laps[self._name] = _now() - self._begun
        if isinstance(error, OSError):
            raise WallError(self._name, error.errno or 0, str(error)) from error
