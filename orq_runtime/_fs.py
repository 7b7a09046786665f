"""Files that appear whole or not at all, and locks that end with their holder.

Rules of this file:

1. A name in the store means a complete thing: content is made in a staging folder on the same file
   system, synced, and renamed to its name.
2. Locks are `flock` on a descriptor: the kernel frees them when the holder dies. None by mtime,
   none by pid file, none stolen.
3. A staging folder belongs to whoever holds its lock; one whose lock is free is garbage.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orq_runtime.errors import StoreBusy, StoreError

__all__ = [
    "lock",
    "publish",
    "remove_tree",
    "scratch",
    "sweep",
    "sync_file_system",
    "try_lock",
    "write_atomic",
]

_LOCK_POLL_SECONDS = 0.02
_LOCK_SUFFIX = ".lock"


@contextlib.contextmanager
def lock(
    path: Path,
    *,
    shared: bool = False,
    timeout_seconds: float,
    on_wait: Callable[[], None] | None = None,
) -> Iterator[int]:
    """Hold a kernel lock on `path` (made if missing). Blocks up to `timeout_seconds`.

    `on_wait` is called once if the lock is not free at once. Raises `StoreBusy` when the time is
    over and `StoreError` when the file cannot be opened.
    """
    descriptor = _open_lock(path)
    try:
        _acquire(descriptor, path, shared=shared, timeout_seconds=timeout_seconds, on_wait=on_wait)
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """A descriptor that holds the lock, or None when another holds it. The caller closes it."""
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open_lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"cannot open the lock `{path}`: {error.strerror}",
            hint="choose a cache folder you may write with --cache-dir",
        ) from error


def _acquire(
    descriptor: int,
    path: Path,
    *,
    shared: bool,
    timeout_seconds: float,
    on_wait: Callable[[], None] | None,
) -> None:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = time.monotonic() + timeout_seconds
    told = False
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None and not told:
                told = True
                on_wait()
            if time.monotonic() > deadline:
                raise StoreBusy(
                    f"`{path.name}` is held by another process for over {timeout_seconds:g} s",
                    hint="wait for it to end, or end it",
                ) from None
            # polled: the kernel has no flock with a deadline that is safe among threads
            select.select([], [], [], _LOCK_POLL_SECONDS)
        else:
            return


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A private folder under `parent`, gone at the end unless it was published.

    Its lock file beside it is held meanwhile, so that `sweep` by anybody leaves it alone.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot write in `{parent}`: {error.strerror}",
            hint="choose a cache folder you may write with --cache-dir",
        ) from error
    while True:
        folder = parent / os.urandom(8).hex()
        guard = folder.with_name(folder.name + _LOCK_SUFFIX)
        held = try_lock(guard)
        if held is None:  # a sweeper locked the new guard between its making and our lock,
            continue
        if _is_at(held, guard):
            break
        os.close(held)  # or removed it there: what we hold guards nothing
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        remove_tree(folder)
        guard.unlink(missing_ok=True)
        os.close(held)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sweep(parent: Path) -> int:
    """Remove the scratch folders under `parent` whose makers are dead; how many there were.

    A folder without a lock file is garbage too: a child that outlived its maker made it again.
    """
    removed = 0
    if not parent.is_dir():
        return removed
    for guard in parent.glob("*" + _LOCK_SUFFIX):
        held = try_lock(guard)
        if held is None:
            continue
        try:
            folder = guard.with_name(guard.name.removesuffix(_LOCK_SUFFIX))
            removed += folder.exists()
            remove_tree(folder)
            guard.unlink(missing_ok=True)
        finally:
            os.close(held)
    for folder in parent.iterdir():
        has_guard = folder.with_name(folder.name + _LOCK_SUFFIX).exists()
        if folder.suffix != _LOCK_SUFFIX and not has_guard and folder.is_dir():
            removed += 1
            remove_tree(folder)
    return removed


def publish(staged: Path, target: Path) -> bool:
    """Give a complete folder its name, read-only; False when another has published it first.

    Everything in it is synced before the rename and the rename after it, so that a power cut leaves
    either nothing or all of it. The folder's own write bit goes last: a folder without it cannot be
    renamed by an ordinary user.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _make_read_only(staged)
    sync_file_system(staged)
    try:
        staged.rename(target)
    except OSError:
        if target.is_dir():
            return False
        raise
    target.chmod(0o555)
    _sync_folder(target.parent)
    return True


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file that readers see whole: old content, new content, or no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sync_file_system(path: Path) -> None:
    """Bring everything written under the file system of `path` to the disk."""
    import ctypes  # start-up budget: only what publishes needs it

    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise StoreError(f"cannot sync `{path}`: {os.strerror(code)}")
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_read_only(root: Path) -> None:
    for folder, names, files in os.walk(root, topdown=False):
        for name in (*files, *names):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode):
                path.chmod(stat.S_IMODE(mode) & ~0o222)


def remove_tree(root: Path) -> None:
    """Remove a folder with all it holds, read-only or hostile. Missing is fine.

    Depth and length of paths do not matter: what lies deeper is moved up before it is looked at.
    Links are removed, never followed.
    """
    try:
        descriptor = _open_folder(root)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        waiting = _emptied(descriptor, descriptor, iter(()))
        numbers = itertools.count()
        while waiting:
            name = waiting.pop()
            inner = _open_folder(name, descriptor)
            try:
                waiting += _emptied(inner, descriptor, (f".orq-{n}" for n in numbers))
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    root.rmdir()


def _open_folder(name: str | Path, parent: int | None = None) -> int:
    """A descriptor of a folder that is no link, made readable and writable for us."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    probe = os.open(name, flags | os.O_PATH, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{probe}").chmod(0o700)
        return os.open(f"/proc/self/fd/{probe}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(probe)


def _emptied(folder: int, top: int, names: Iterator[str]) -> list[str]:
    """Unlink a folder's files; its folders go to `top` under new names, which are given back."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    moved = []
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
        elif folder == top:
            moved.append(name)
        else:
            os.close(_open_folder(name, folder))  # to move a folder one must be able to write to it
            while (new := next(names)) and _exists(new, top):
                continue
            os.rename(name, new, src_dir_fd=folder, dst_dir_fd=top)
            moved.append(new)
    return moved


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
