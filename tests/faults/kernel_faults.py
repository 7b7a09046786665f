"""Faults by system call: each in turn fails, or is the last thing that its process does."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path

from orq_runtime import _fs
from tests.architecture.sources import REPOSITORY
from tests.faults import power_cut, tap
from tests.faults.published import publish_once
from tests.faults.tap import Answer, Call
from tests.faults.trials import Ground, Grounds, Tally, Trial, environment, tally

__all__ = [
    "broken_states",
    "fs_errors",
    "fs_kills",
    "power_cuts",
    "publish_calls",
    "run_published",
    "run_supply",
    "supply_errors",
    "supply_kills",
]

_PUBLISHED = {"one": b"one", "two": b"two"}
_ERRORS = (errno.EIO, errno.ENOSPC)


def _at(number: int, answer: Answer | int) -> tap.Judge:
    return lambda call: answer if call.number == number else Answer.PASS


# -- our own operations, all of them ----------------------------------------------------------


def fs_errors(room: Path, *, is_long: bool) -> Tally:
    """Each system call of a lock, a publish and a replaced file fails, twice over: EIO, ENOSPC."""
    codes = _ERRORS if is_long else _ERRORS[:1]
    return tally(t for code in codes for t in _until_none_is_left(room / str(code), code))


def fs_kills(room: Path, *, is_long: bool) -> Tally:
    """Each system call of a lock, a publish and a replaced file is the process's last."""
    return tally(_until_none_is_left(room, Answer.KILL_HOST))


def _until_none_is_left(room: Path, answer: Answer | int) -> list[Trial]:
    found: list[Trial] = []
    while not found or found[-1].is_fired:
        found.append(_publish_with(room / str(len(found)), len(found) + 1, answer))
    return found[:-1]  # the last one found no call to hit: that is how we know


def _publish_with(root: Path, number: int, answer: Answer | int) -> Trial:
    (root / "documents").mkdir(parents=True)
    (root / "documents" / "file").write_bytes(b"old")
    ended = run_published(root, _at(number, answer))
    broken = []
    if ended.status not in (0, 1, -9) or "Traceback" in ended.said:
        broken.append(f"ended with {ended.status}: {ended.said[-300:]}")
    broken += _not_whole(root)
    publish_once(root)
    is_healed = not _not_whole(root, is_done=True)
    if not is_healed:
        broken.append("doing it again does not heal")
    _fs.remove_tree(root)
    return Trial(
        is_fired=ended.fired > 0,
        broken=tuple(f"call {number}, {answer}: {text}" for text in broken),
        is_healed=is_healed,
    )


def run_published(root: Path, judge: tap.Judge) -> tap.Tapped:
    """The publishing program with a tap on it."""
    argv = [sys.executable, "-m", "tests.faults.published", str(root)]
    return tap.run(argv, root=root, judge=judge, cwd=REPOSITORY, environment=environment())


def _not_whole(root: Path, *, is_done: bool = False) -> list[str]:
    key, file = root / "store" / "key", root / "documents" / "file"
    found = []
    content = {path.name: path.read_bytes() for path in key.iterdir()} if key.is_dir() else None
    if content != _PUBLISHED and (is_done or content is not None):
        found.append(f"published: {content}")
    if file.read_bytes() not in ((b"new",) if is_done else (b"old", b"new")):
        found.append(f"replaced: {file.read_bytes()!r}")
    if is_done:
        found += [f"left over: {path}" for path in (root / "staging").iterdir()]
        _fs.sweep_drafts(file.parent)
        found += [f"left over: {path}" for path in file.parent.iterdir() if path != file]
    return found


# -- a whole supply, uv included ---------------------------------------------------------------


def supply_errors(room: Path, *, is_long: bool) -> Tally:
    """Every second system call of a supply, uv and a build under the cache fails, one in a trial.

    The other ones are the last. From an empty cache (interpreters, walls, support): every 90th.
    """
    return _sweep(room, 1, lambda n: _ERRORS[n % 2], is_long=is_long)


def supply_kills(room: Path, *, is_long: bool) -> Tally:
    """At every second system call its own process is killed, or the one that makes the call.

    The other ones fail. From an empty cache at every 90th.
    """
    kills = (Answer.KILL_HOST, Answer.KILL_CALLER)
    return _sweep(room, 2, lambda n: kills[n % 2], is_long=is_long)


def _sweep(
    room: Path, first: int, answer: Callable[[int], Answer | int], *, is_long: bool
) -> Tally:
    grounds = Grounds(room)
    total = _calls(grounds.fresh())
    # up to where the order varies a little
    numbers = range(first if is_long else 61, total - total // 10, 2 if is_long else 120)
    todo = [_trial(number, answer(index)) for index, number in enumerate(numbers)]
    trials = grounds.each(todo, at_once=2)
    if is_long:  # and from an empty cache: interpreters, walls, the support layer
        bare = Grounds(room / "bare", is_primed=False)
        more = range(25, _calls(bare.fresh()) * 9 // 10, 90)
        trials += bare.each(
            [_trial(number, answer(index)) for index, number in enumerate(more)], at_once=2
        )
    return tally(trials)


def _calls(ground: Ground) -> int:
    return run_supply(ground, lambda call: Answer.PASS).calls


def _trial(number: int, answer: Answer | int) -> Callable[[Ground], Trial]:
    def trial(ground: Ground) -> Trial:
        hit: list[Call] = []

        def judge(call: Call) -> Answer | int:
            if call.number == number:
                hit.append(call)
                return answer
            return Answer.PASS

        ended = run_supply(ground, judge)
        what = f"{hit[0].name} {hit[0].paths}" if hit else "nothing"
        return ground.after(
            fired=ended.fired > 0,
            fault=f"call {number} ({what}), {answer}",
            ended=(ended.status, ended.said),
        )

    return trial


def run_supply(ground: Ground, judge: tap.Judge) -> tap.Tapped:
    """A supply with a tap on it."""
    return tap.run(
        ground.argv, root=ground.cache, judge=judge, cwd=REPOSITORY, environment=environment()
    )


# -- power cuts ----------------------------------------------------------------------------------


def publish_calls(root: Path) -> list[Call]:
    """What a lock, a publish and a replaced file ask of the kernel."""
    (root / "documents").mkdir(parents=True)
    calls: list[Call] = []

    def judge(call: Call) -> Answer:
        calls.append(call)
        return Answer.PASS

    ended = run_published(root, judge)
    assert (0, "") == (ended.status, ended.said)
    return calls


def broken_states(found: list[power_cut.Operation]) -> tuple[int, list[str]]:
    """How many states a power cut may leave, and what is not whole in them."""
    seen: set[tuple[tuple[str, bytes | None], ...]] = set()
    broken = []
    for length, tree in power_cut.states(found):
        state = tuple(sorted(tree.items()))
        if state in seen:
            continue
        seen.add(state)
        inside = {name: tree.get(f"store/key/{name}") for name in _PUBLISHED}
        if "store/key" in tree and inside != _PUBLISHED:
            broken.append(f"after {length} operations: {inside}")
        if tree.get("documents/file", b"new") != b"new":
            broken.append(f"after {length} operations: {tree['documents/file']!r}")
    return len(seen), broken


def power_cuts(room: Path, *, is_long: bool) -> Tally:
    """States that a power cut may leave at any moment of a publish and of a replaced file."""
    found = power_cut.operations(publish_calls(room / "publish"), str(room / "publish"))
    count, broken = broken_states(found)
    return Tally(
        injected=count,
        fired=count,
        broken=len(broken),
        healed=count - len(broken),
        reasons=tuple(broken[:5]),
    )
