"""The store on disk: what lies where, how it appears, how it is leased and removed.

    CACHE/
      v1/                          the layout's version
        environments/KEY/          a virtual environment, its `orq.json`, and `files.json`: what no
                                   RECORD in it vouches for; complete and read-only
        support/KEY/               the guest's private packages, one folder per interpreter
        wheels/CONTENT/            one wheel built or vendored, and its `wheel.json`
        builds/KEY.json            source tree or vendored file -> CONTENT
        locks/KEY.json             spec -> lock
        memos/KEY.json             declarations, byte for byte -> their environment
        interpreters/KEY.json      an interpreter's description of itself
        failures/KEY.json          what an index could not give a moment ago
        used/KEY                   its mtime is the environment's last use
        pins/KEY                   an environment that no cleaning takes
        quarantine/KEY-RANDOM/     an environment that was not as it was made; never used
        guards/NAME.lock           kernel locks; outside of all that a run may see
        staging/                   what is being made; swept when its maker is dead
        uv/                        uv's own cache, written by host-side uv only
        home/                      HOME and working folder of uv, not the user's

Laws: a name in environments/, support/ or wheels/ means a complete folder. An environment is built
under the lock `making-KIND-KEY`; a lease holds `KIND-KEY` shared, for as long as it likes; whoever
takes a folder away holds both exclusively. Whoever makes something holds `activity` shared, so that
`clean` does not take wheels and caches from under it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from orq_runtime import _fs
from orq_runtime.errors import StoreError
from orq_runtime.model.environment import Environment

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from typing import Self

__all__ = ["Lease", "Store", "leased_names", "read_json", "stage_json", "write_json"]

_LAYOUT = "v1"
_LOCK_WAIT_SECONDS = 15 * 60.0
_LEASE_WAIT_SECONDS = 60.0


class Store:
    """Paths and locks of one cache folder. Making the value does no I/O."""

    def __init__(self, cache_dir: Path, *, wait_seconds: float = _LOCK_WAIT_SECONDS) -> None:
        self.root = cache_dir / _LAYOUT
        self.environments = self.root / "environments"
        self.support = self.root / "support"
        self.wheels = self.root / "wheels"
        self.builds = self.root / "builds"
        self.locks = self.root / "locks"
        self.memos = self.root / "memos"
        self.interpreters = self.root / "interpreters"
        self.failures = self.root / "failures"
        self.used = self.root / "used"
        self.pins = self.root / "pins"
        self.quarantine = self.root / "quarantine"
        self.staging = self.root / "staging"
        self.uv_cache = self.root / "uv"
        self.home = self.root / "home"
        self.wait_seconds = wait_seconds
        self._touched: dict[str, int] = {}

    def guard(self, kind: str, key: str) -> Path:
        """The lock file of one thing: shared by its leases, exclusive to take it away."""
        return self.root / "guards" / f"{kind}-{key}.lock"

    def maker_guard(self, kind: str, key: str) -> Path:
        """The lock file of whoever makes one thing.

        Not the one that leases are held on: whoever waits here would wait for the first user of
        what it wants, too.
        """
        return self.guard(f"making-{kind}", key)

    @property
    def activity(self) -> Path:
        """Held shared by whoever makes something, exclusively by `clean`."""
        return self.root / "guards" / "activity.lock"

    @contextlib.contextmanager
    def making(self, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Held around everything that writes to the store. Sweeps what the dead left behind."""
        wait = self.wait_seconds
        with (
            _fs.writing(self.root),
            _fs.lock(self.activity, shared=True, timeout_seconds=wait, on_wait=on_wait),
        ):
            _fs.check_lock(self.activity)
            for folder in (self.home, self.uv_cache):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _fs.sweep(self.staging)
            yield

    @contextlib.contextmanager
    def exclusively(
        self, kind: str, key: str, *, on_wait: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Hold the lock under which one thing is made. Raises `StoreBusy` after `wait_seconds`."""
        guard = self.maker_guard(kind, key)
        with _fs.lock(guard, timeout_seconds=self.wait_seconds, on_wait=on_wait):
            yield

    @contextlib.contextmanager
    def leased(self, kind: str, path: Path) -> Iterator[None]:
        """Keep a folder of the store from being removed. Raises `StoreError` if it is gone.

        In a store that cannot be written it is the folder itself that is locked.
        """
        with contextlib.ExitStack() as stack:
            try:
                guard = _fs.lock(
                    self.guard(kind, path.name), shared=True, timeout_seconds=_LEASE_WAIT_SECONDS
                )
                stack.enter_context(guard)
            except StoreError as error:
                held = _fs.lock_folder(path, shared=True) if _cannot_write(error) else None
                if held is None:
                    raise
                stack.callback(os.close, held)
            if not path.is_dir():
                raise StoreError(f"was removed from the cache: `{path}`", hint="supply it again")
            yield

    @contextlib.contextmanager
    def taken(self, kind: str, path: Path) -> Iterator[Path | None]:
        """Take a folder's name away for good, if no lease and no maker holds it.

        Gives where the folder is now, private and gone at the end, or None: it is in use, or
        another was faster. Its locks are free again by then: others may make it anew at once.
        """
        with self.scratch() as scratch:
            place = scratch / path.name
            with contextlib.ExitStack() as stack:
                is_ours = self._is_locked(kind, path, stack)
                if is_ours:
                    path.chmod(0o700)  # a folder that is not writable cannot be moved
                    path.rename(place)
                    (self.used / path.name).unlink(missing_ok=True)
            yield place if is_ours else None

    def _is_locked(self, kind: str, path: Path, stack: contextlib.ExitStack) -> bool:
        """Take all three locks of a folder: its makers', its leases', and its own.

        The last is a lease of somebody who cannot write to the store.
        """
        for guard in (self.maker_guard(kind, path.name), self.guard(kind, path.name), None):
            held = _fs.lock_folder(path) if guard is None else _fs.try_lock(guard)
            if held is None:
                return False
            stack.callback(os.close, held)
        return True

    def scratch(self) -> contextlib.AbstractContextManager[Path]:
        """A private folder on the store's file system, gone at the end unless published."""
        return _fs.scratch(self.staging)

    def touch(self, key: str, *, again_seconds: float = 0.0) -> None:
        """Note that an environment was used now; a store that cannot be written notes nothing.

        Nothing is noted where this was done less than `again_seconds` ago.
        """
        now = time.time_ns()  # the kernel's own stamps stand still for milliseconds
        if abs(now - self._touched.get(key, 0)) < again_seconds * 1e9:
            return
        self._touched[key] = now
        path = f"{self.used}/{key}"
        with contextlib.suppress(OSError):
            try:
                os.utime(path, ns=(now, now))
            except FileNotFoundError:
                self.used.mkdir(parents=True, exist_ok=True)
                Path(path).touch()
                os.utime(path, ns=(now, now))

    def pin(self, key: str) -> None:
        """Keep an environment until it is unpinned. Raises `StoreError` where none can be kept."""
        with _fs.writing(self.root):
            _fs.write_atomic(self.pins / key, b"")

    def unpin(self, key: str) -> None:
        """Let cleanings take it again."""
        with _fs.writing(self.root):
            (self.pins / key).unlink(missing_ok=True)

    def is_pinned(self, key: str) -> bool:
        """Whether somebody pinned it."""
        return (self.pins / key).exists()

    def last_use(self, key: str) -> float:
        """Seconds since the epoch; 0 where it is not known."""
        try:
            return (self.used / key).stat().st_mtime
        except OSError:
            return 0.0


def read_json(path: Path) -> dict[str, object] | None:
    """A document of the store; None where there is none, or none that can be read."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """Write a document of the store, whole or not at all."""
    _fs.write_atomic(path, _text(document))


def stage_json(path: Path, document: Mapping[str, object]) -> None:
    """Write a document into a folder that is being made: it is synced when that is published."""
    path.write_bytes(_text(document))


def _text(document: Mapping[str, object]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
    return text.encode("utf-8", "surrogatepass")


def _cannot_write(error: StoreError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


class Lease:
    """Keeps an environment from being removed while it is used. A context manager.

    Holds shared kernel locks on the environment and its support layer until `close`; they end with
    the process in any case. Raises `StoreError` when the environment is not there any more.
    """

    def __init__(self, store: Store, environment: Environment) -> None:
        self._held = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            for kind, path in leased_names(environment):
                stack.enter_context(store.leased(kind, path))
            self._held = stack.pop_all()

    def close(self) -> None:
        """End the lease. Calling it again does nothing."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def leased_names(environment: Environment) -> tuple[tuple[str, Path], tuple[str, Path]]:
    """The folders that a lease holds, each with the kind of its guard."""
    return ("environment", environment.path), ("support", environment.support)
