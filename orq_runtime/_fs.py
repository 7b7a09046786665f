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
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orq_runtime._removal import remove_tree
from orq_runtime.errors import StoreBusy, StoreError

__all__ = [
    "check_lock",
    "lock",
    "lock_folder",
    "publish",
    "read_regular",
    "remove_lock",
    "remove_tree",
    "scratch",
    "sweep",
    "sweep_drafts",
    "sync_file_system",
    "try_lock",
    "write_atomic",
    "writing",
]

_LOCK_POLL_SECONDS = 0.02
_LOCK_SUFFIX = ".lock"
_DRAFT_SUFFIX = ".draft"
_HINT = "choose a cache folder you may write with --cache-dir"
_HINT_LOCKS = "choose a cache folder on a local disk with --cache-dir"


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
    over and `StoreError` when the file cannot be opened or locked.
    """
    import select  # start-up budget: what finds its environment locks nothing

    deadline = time.monotonic() + timeout_seconds
    told = False
    while (descriptor := try_lock(path, shared=shared)) is None:
        if on_wait is not None and not told:
            told = True
            on_wait()
        if time.monotonic() > deadline:
            raise StoreBusy(
                f"`{path.name}` is held by another process for over {timeout_seconds:g} s",
                hint="wait for it to end, or end it",
            )
        # polled: the kernel has no flock with a deadline that is safe among threads
        select.select([], [], [], _LOCK_POLL_SECONDS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(path: Path, *, shared: bool = False, mode: int = 0o600) -> int | None:
    """A descriptor that holds the lock, or None when another holds it. The caller closes it.

    A lock file may be removed by whoever holds it exclusively; what is held here is always the
    file that has the name. Raises `StoreError` when it cannot be opened or locked.
    """
    while True:
        descriptor = _open_lock(path, mode)
        try:
            _flock(descriptor, shared=shared)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise StoreError(f"cannot lock `{path}`: {error.strerror}", hint=_HINT_LOCKS) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # removed between its opening and our lock: it guards nothing


def _open_lock(path: Path, mode: int) -> int:
    try:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    except OSError as error:
        raise StoreError(f"cannot open the lock `{path}`: {error.strerror}", hint=_HINT) from error


def _flock(descriptor: int, *, shared: bool) -> None:
    import fcntl  # start-up budget, as above

    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def lock_folder(path: Path, *, shared: bool = False) -> int | None:
    """As `try_lock`, on a folder itself, which needs no right to write; None also without one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        _flock(descriptor, shared=shared)
        if _is_at(descriptor, path):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def check_lock(path: Path) -> None:
    """Make sure that a lock on `path`, which the caller holds now, keeps others out.

    Some network file systems give every lock to everybody. Raises `StoreError`.
    """
    second = try_lock(path)
    if second is not None:
        os.close(second)
        raise StoreError(f"locks do not hold on the file system of `{path}`", hint=_HINT_LOCKS)


def remove_lock(path: Path) -> bool:
    """Remove a lock file that nobody holds; False when somebody does."""
    held = try_lock(path)
    if held is None:
        return False
    try:
        path.unlink(missing_ok=True)
    finally:
        os.close(held)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A private folder under `parent`, gone at the end unless it was published.

    Its lock file beside it is held meanwhile, so that `sweep` by anybody leaves it alone. What
    cannot be removed at the end, because somebody still writes there, is left to a later sweep.
    """
    while True:
        folder = parent / os.urandom(8).hex()
        guard = folder.with_name(folder.name + _LOCK_SUFFIX)
        held = try_lock(guard)
        if held is not None:  # else a sweeper was faster; the name is its to remove
            break
    try:
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            guard.unlink(missing_ok=True)
            raise StoreError(f"cannot write in `{parent}`: {error.strerror}", hint=_HINT) from error
        yield folder
    finally:
        try:
            with contextlib.suppress(OSError):
                remove_tree(folder)
                guard.unlink(missing_ok=True)
        finally:
            os.close(held)


def sweep(parent: Path) -> int:
    """Remove the scratch folders under `parent` whose makers are dead; how many there were.

    A folder without a lock file is garbage too: a child that outlived its maker made it again.
    What cannot be removed, because such a child still writes there, stays for the next sweep.
    """
    try:
        with os.scandir(parent) as entries:
            names = {entry.name.removesuffix(_LOCK_SUFFIX) for entry in entries} - {""}
    except (FileNotFoundError, NotADirectoryError):
        return 0
    removed = 0
    for name in sorted(names):
        folder, guard = parent / name, parent / (name + _LOCK_SUFFIX)
        held = try_lock(guard)  # made again if need be: two sweepers never remove one folder
        if held is None:
            continue
        try:
            with contextlib.suppress(OSError):
                is_there = folder.is_dir()
                remove_tree(folder)
                guard.unlink(missing_ok=True)
                removed += is_there
        finally:
            os.close(held)
    return removed


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn what the operating system says about files under `root` into `StoreError`."""
    try:
        yield
    except OSError as error:
        names = [name for name in (error.filename, error.filename2) if name is not None]
        if names and not any(str(name).startswith(str(root)) for name in names):
            raise
        raise StoreError(
            f"cannot write to the cache `{root}`: {error.strerror or error}",
            hint="free some space, or choose another folder with --cache-dir",
        ) from error


def publish(staged: Path, target: Path) -> bool:
    """Give a complete folder its name, read-only; False when another has published it first.

    Everything in it is synced before the rename and the rename after it, so that a power cut leaves
    either nothing or all of it. The folder's own write bit goes last: a folder without it cannot be
    renamed by an ordinary user.

    An error of the last sync is no failure: the folder is complete and others use it already. All
    that a power cut could take away then is the name, and nothing is what a miss finds.
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
    with contextlib.suppress(OSError):
        target.chmod(0o555)
        _sync_folder(target.parent)
    return True


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file that readers see whole: old content, new content, or no file.

    The draft beside it is locked while it is written: one whose lock is free is garbage.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}{_DRAFT_SUFFIX}")
        held = try_lock(draft, mode=0o666)
        if held is not None:
            break
    try:
        with open(held, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file that may be a stranger's. Raises OSError for anything else.

    It does not wait for a pipe to have a writer, and reads no device and no hole of a terabyte.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"more than {most_bytes} bytes", str(path))
    return content


def sweep_drafts(folder: Path) -> int:
    """Remove the drafts of `write_atomic` whose writers are dead; how many there were."""
    return sum(remove_lock(draft) for draft in folder.glob(f".*{_DRAFT_SUFFIX}"))


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
