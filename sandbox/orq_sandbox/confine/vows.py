"""What a step gives up in namespaces of its own: system calls that were made ready before the fork.

Rules of this file:

1. All that can be known in the zygote is worked out there, to the numbers that descriptors will
   have. A forked process writes to each object that it touches, and each page of those is copied
   for it alone: this is one loop over a few lists.
2. The order is the law: ids, Landlock, descriptors, limits, capabilities, and the filter last.
3. Each call gives what is written beside it, or there is no run.
"""

from __future__ import annotations

import os
import typing

from orq_sandbox.confine import capabilities, landlock, limits, namespaces, seccomp
from orq_sandbox.confine.descriptors import aside, closing
from orq_sandbox.confine.rooms import OWN, SHARED
from orq_sandbox.confine.stages import Stage
from orq_sandbox.confine.syscalls import make, ready
from orq_sandbox.kernel import LOWEST_HELD, Call

__all__ = ["Vows"]

Mapping = typing.Mapping[str, typing.Any]
Rules = typing.Sequence[typing.Tuple[int, int]]

_HIGHEST = 0xFFFFFFFF
_UMASK = 0o077
_STANDARD = (0, 1, 2)
_USUAL = (3, 4)
_OOM_SCORE = "self/oom_score_adj"
_FIRST_TO_DIE = b"1000"  # where memory is short: the step and what it started, not its init


class Vows:
    """The same for all steps of a zygote, which makes them ready when its own limits stand."""

    def __init__(self, policy: Mapping, interface: int, proc: int, rules: Rules) -> None:
        """`proc`: a /proc that can be written to; `rules` as `landlock.Domain.add` takes them."""
        self._policy, self._landlock = policy, interface
        self._proc, self._rules = proc, rules
        self._files = dict(namespaces.maps(namespaces.INNER_ID, namespaces.INNER_ID))
        if os.access("/proc/" + _OOM_SCORE, os.F_OK):  # else a kernel that kills nobody
            self._files[_OOM_SCORE] = _FIRST_TO_DIE
        self._filter = seccomp.Program(seccomp.lock(has_namespaces=True))
        self._ruleset = -1
        self._restricting: typing.List[Call] = []
        self._usual = self._stages(_USUAL)

    def bind(self) -> None:
        """In init, when its rooms are mounted: make the rules that hold for all steps in them."""
        if not self._landlock:
            return
        domain = landlock.Domain(self._landlock, tcp=self._policy.get("network") == "full")
        for number, rights in self._rules:
            domain.add(number, rights)
        for path in OWN:
            domain.allow(path, landlock.WRITE)
        domain.allow(SHARED, landlock.KEEP)
        if self._ruleset >= 0:
            os.close(self._ruleset)
        self._ruleset = aside(domain.descriptor)
        self._restricting[:] = [landlock.restricting(self._ruleset)]

    def stages(self, run: Mapping, keep: typing.Sequence[int]) -> typing.List[Stage]:
        """What holds a step to them for good."""
        stages = self._usual if keep == _USUAL else self._stages(keep)
        if "rlimits" not in run:
            return stages
        return [*stages, ("step: limits of its own", limits.apply, run["rlimits"])]

    def _stages(self, keep: typing.Sequence[int]) -> typing.List[Stage]:
        kept = sorted({*_STANDARD, *keep})
        gaps = [(one + 1, next_ - 1) for one, next_ in zip(kept, [*kept[1:], LOWEST_HELD])]
        gaps = [(lowest, highest) for lowest, highest in gaps if lowest <= highest]
        free = min(number for number in range(LOWEST_HELD) if number not in kept)
        above = [*gaps[:-1], (kept[-1] + 1, _HIGHEST)]
        return [
            ("step: place for descriptors", *closing(gaps)),
            ("step: user namespace", make, list(self._to_be_nobody(free))),
            ("step: landlock", make, self._restricting),
            ("step: descriptors", *closing(above)),
            ("step: limits", make, limits.lowering(self._policy.get("rlimits", {}))),
            ("step: capabilities", make, [capabilities.securebits(), capabilities.only()]),
            ("step: lock filter", make, [ready("umask", _UMASK, gives=None), self._filter.call()]),
        ]

    def _to_be_nobody(self, free: int) -> typing.Iterator[Call]:
        # `free` is what the kernel gives to who opens a file by then
        yield capabilities.dumpable(value=True)  # else /proc/self belongs to nobody we are
        yield ready("unshare", namespaces.NEW_USER)
        for path, words in self._files.items():
            name = os.fsencode(path)
            yield ready("openat", self._proc, name, os.O_WRONLY | os.O_CLOEXEC, gives=free)
            yield ready("write", free, words, len(words), gives=len(words))
            yield ready("close", free)
        yield capabilities.dumpable(value=False)
