"""Faults of the host: a full disk, a read-only store, torn files, a clock that went back."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from orq_runtime._supply.store import Store
from tests.faults.trials import Ground, Grounds, Tally, Trial, tally

__all__ = ["can_mount", "clocks_gone_back", "full_disks", "read_only_stores", "torn_files"]

_PATIENCE_SECONDS = 120
_TORN = (b"", b"{", b"{}", b"[]", b"null", b"\0" * 64)


def can_mount() -> bool:
    """Whether a private mount namespace can be had here."""
    words = [*_private(), "mount -t tmpfs none /tmp && touch /tmp/x"]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _private() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "--propagation", "private", "sh", "-c"]


# -- a full disk ---------------------------------------------------------------------------------


def full_disks(room: Path, *, is_long: bool) -> Tally:
    """A supply on a small tmpfs that fills up at some point; then it has room, and heals."""
    grounds = Grounds(room)
    needed = _kilobytes(grounds.fresh())
    steps = 24 if is_long else 3
    sizes = [max(4, needed * n // (steps + 1)) for n in range(1, steps + 1)]
    return tally(grounds.each([_with_disk_of(size) for size in sizes], at_once=2))


def _kilobytes(ground: Ground) -> int:
    """How much a supply adds to the cache, as a tmpfs counts: folders take no room there."""
    _, _, used = _on_a_disk(ground, 1 << 20)
    return max(1, used)


def _on_a_disk(ground: Ground, free_kilobytes: int) -> tuple[int, str, int]:
    """A supply with the cache on a tmpfs that has so much room left; it is copied back afterwards.

    Its status, what it said, and how many kilobytes more are used then.
    """
    kept = ground.cache.with_name("kept")
    script = (
        'set -e; mount -t tmpfs -o size=2g none "$2.disk"; cp -a "$2/." "$2.disk"\n'
        'used() { df -k --output=used "$1" | tail -1; }; before=$(used "$2.disk")\n'
        'mount -o remount,size=$((before + $1))k "$2.disk"\n'
        'mount --move "$2.disk" "$2"; shift 1; cache=$1; kept=$2; shift 2\n'
        'set +e; "$@"; status=$?; echo $(($(used "$cache") - before)) > "$kept.used"\n'
        'cp -a "$cache" "$kept"; exit $status'
    )
    Path(f"{ground.cache}.disk").mkdir()
    words = [str(free_kilobytes), str(ground.cache), str(kept), *ground.argv]
    process = ground.start([*_private(), script, "sh", *words])
    said, _ = process.communicate(timeout=_PATIENCE_SECONDS)
    shutil.rmtree(ground.cache)
    kept.rename(ground.cache)
    return process.returncode, said, int(Path(f"{kept}.used").read_text())


def _with_disk_of(free_kilobytes: int) -> Callable[[Ground], Trial]:
    """A disk that is full at some point of the supply."""

    def trial(ground: Ground) -> Trial:
        status, said, _ = _on_a_disk(ground, free_kilobytes)
        return ground.after(
            fired=status != 0, fault=f"a disk with {free_kilobytes} KiB left", ended=(status, said)
        )

    return trial


# -- a store that cannot be written --------------------------------------------------------------


def read_only_stores(room: Path, *, is_long: bool) -> Tally:
    """A miss in a read-only store is one clear error; a hit works, and is leased."""
    grounds = Grounds(room)
    return tally(grounds.each([_missed_read_only, _hit_read_only], at_once=2))


def _read_only(ground: Ground, argv: Sequence[str]) -> tuple[int, str]:
    script = 'set -e; mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@"'
    process = ground.start([*_private(), script, "sh", str(ground.cache), *argv])
    said, _ = process.communicate(timeout=_PATIENCE_SECONDS)
    return process.returncode, said


def _missed_read_only(ground: Ground) -> Trial:
    ended = _read_only(ground, ground.argv)
    return ground.after(fired=ended[0] != 0, fault="a miss in a read-only store", ended=ended)


def _hit_read_only(ground: Ground) -> Trial:
    broken = [f"before: {text}" for text in [ground.heals()] if text]
    argv = ground.argv
    argv[2] = (
        argv[2]
        .replace("    supplier.supply(", "    with supplier.lease(supplier.supply(")
        .replace("(component,)))", "(component,)))):\n        print('leased')")
    )
    status, said = _read_only(ground, argv)
    if (status, said) != (0, "leased\n"):
        broken.append(f"a hit in a read-only store: {status}: {said[-300:]}")
    after = ground.after(fired=True, fault="a hit in a read-only store")
    return Trial(is_fired=True, broken=(*broken, *after.broken), is_healed=after.is_healed)


# -- torn files and times ------------------------------------------------------------------------


def torn_files(room: Path, *, is_long: bool) -> Tally:
    """Locks, builds' notes and interpreters' descriptions are cut, or hold something else."""
    grounds = Grounds(room)
    kinds = ("locks", "builds", "interpreters", "guards")
    contents = _TORN if is_long else _TORN[:3]
    todo = [_torn(kind, content) for kind in kinds for content in contents]
    return tally(grounds.each(todo if is_long else todo[::2], at_once=2))


def _torn(kind: str, content: bytes) -> Callable[[Ground], Trial]:
    def trial(ground: Ground) -> Trial:
        broken = [f"before: {text}" for text in [ground.heals()] if text]
        store = Store(ground.cache)
        files = [path for path in (store.root / kind).glob("*") if path.is_file()]
        for path in files:
            path.write_bytes(content)
        process = ground.start()
        said, _ = process.communicate(timeout=_PATIENCE_SECONDS)
        if process.returncode != 0:
            broken.append(f"{kind} with {content[:8]!r}: {said[-300:]}")
        # what only another component needs stays torn until it is asked for
        if reason := ground.heals(is_whole=False):
            broken.append(f"{kind} with {content[:8]!r}: the next supply: {reason}")
        return Trial(is_fired=bool(files), broken=tuple(broken), is_healed=not broken)

    return trial


def clocks_gone_back(room: Path, *, is_long: bool) -> Tally:
    """All that the store dates lies a year in the future: so it is when a clock was set back."""
    grounds = Grounds(room)
    return tally(grounds.each([_of_the_future] * (5 if is_long else 1), at_once=2))


def _of_the_future(ground: Ground) -> Trial:
    broken = [f"before: {text}" for text in [ground.heals()] if text]
    store = Store(ground.cache)
    then = time.time() + 365 * 86400
    before = {path.name for path in store.environments.iterdir()}
    for path in store.root.rglob("*"):
        if not path.is_relative_to(store.environments):
            os.utime(path, (then, then), follow_symlinks=False)
    ground.shop.supplier().prune(older_than_seconds=0)
    if {path.name for path in store.environments.iterdir()} != before:
        broken.append("pruned as old: what was used in the future")
    after = ground.after(fired=True, fault="a clock gone back")
    return Trial(is_fired=True, broken=(*broken, *after.broken), is_healed=after.is_healed)
