"""Runs uv: with a clean environment, our own cache, its lines as events, its failures as errors.

uv is started on a miss only. It sees no file of a component: requirements are written anew for it.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orq_runtime._supply import process
from orq_runtime._supply.downloads import Downloads
from orq_runtime._supply.store import Store
from orq_runtime.errors import (
    IndexUnavailable,
    ResolutionFailed,
    StoreError,
    SupplyError,
)
from orq_runtime.events import Event, Phase, Sink
from orq_runtime.settings import Settings

__all__ = ["Uv", "classify"]

_DEADLINE_SECONDS = 3600.0
_KEPT_LINES = 400
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

_DOWNLOADING = re.compile(r"\s*Downloading (\S+) \(([\d.]+)\s*([KMG]?i?B)\)")
_DOWNLOADED = re.compile(r"\s*Downloaded (\S+)")
_COUNTED = re.compile(r"\s*(Resolved|Prepared|Installed) (\d+) packages? in ")
_USING = re.compile(r"Using (\S+) (\S+) (interpreter|environment) at: ")

_UNREACHABLE = (
    "error sending request",
    "dns error",
    "tcp connect error",
    "Could not connect",
    "client error (Connect)",
    "operation timed out",
    "connection closed",
    "Failed to fetch",
    "Request failed after",
    "network is unreachable",
)


_finding = threading.Lock()  # `sysconfig`, which uv asks, half fills what another thread reads


class Uv:
    """One uv binary with the user's settings. Making the value does no I/O."""

    def __init__(
        self, *, settings: Settings, store: Store, sink: Sink, binary: Path | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._sink = sink
        self._binary = binary

    def run(
        self,
        phase: Phase,
        arguments: Sequence[str],
        *,
        indexes: bool = False,
        subject: str = "",
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        """Run one uv command to its end. Blocks.

        `indexes` gives it the user's indexes with their credentials, `sizes` are those of the files
        that it may fetch. Raises the `SupplyError` that its messages stand for.
        """
        lines: list[str] = []
        downloads = Downloads(sizes or {})

        def on_line(line: str) -> None:
            lines.append(line)
            del lines[:-_KEPT_LINES]
            self._tell(phase, line, downloads)

        def on_tick(pid: int) -> None:
            for event in downloads.wrote(_written_by(pid)):
                self._sink(event)

        argv = [str(self._found()), *arguments]
        _check_words([*argv, str(self._store.root)])
        try:
            ended = process.run(
                argv,
                cwd=self._store.home,
                environment=self._environment(indexes=indexes),
                deadline_seconds=_DEADLINE_SECONDS,
                on_line=on_line,
                on_tick=on_tick if indexes else None,
            )
        except OSError as error:
            raise SupplyError(
                f"cannot run uv: {error.strerror}: `{argv[0]}`", hint="reinstall the package `uv`"
            ) from error
        if ended.timed_out:
            raise IndexUnavailable(f"uv did not end within {_DEADLINE_SECONDS:g} s: {subject}")
        if ended.status != 0:
            raise classify(lines, status=ended.status, offline=self._settings.offline)

    def run_cached_first(
        self,
        phase: Phase,
        arguments: Sequence[str],
        *,
        sizes: Mapping[str, int] | None = None,
        before_second: Callable[[], None] = lambda: None,
    ) -> None:
        """Run a command without network, and with it only if the cache does not suffice. Blocks.

        A warm cache answers faster so, and an index that does not answer is not noticed.
        """
        try:
            self.run(phase, [*arguments, "--offline"], indexes=True)
        except ResolutionFailed:
            if self._settings.offline:
                raise
            before_second()
            self.run(phase, arguments, indexes=True, sizes=sizes)

    def _found(self) -> Path:
        with _finding:
            if self._binary is None:
                self._binary = _find_binary(self._settings.tool_environment.get("PATH"))
            return self._binary

    def _environment(self, *, indexes: bool) -> dict[str, str]:
        home = str(self._store.home)
        own = {
            **self._settings.tool_environment,
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "XDG_DATA_HOME": home,
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            "UV_CACHE_DIR": str(self._store.uv_cache),
            "UV_KEYRING_PROVIDER": "disabled",
            "UV_LINK_MODE": "hardlink",  # a copy took ten times as long; the cache is ours alone
            "UV_NO_CONFIG": "1",
            "UV_NO_ENV_FILE": "1",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_PYTHON_PREFERENCE": "only-system",
        }
        if self._settings.offline:
            own["UV_OFFLINE"] = "1"
        if indexes:  # by environment, not by argument: other users can read a command line
            if self._settings.default_index:
                own["UV_DEFAULT_INDEX"] = self._settings.default_index
            if self._settings.index:
                own["UV_INDEX"] = " ".join(self._settings.index)
            if self._settings.find_links:
                own["UV_FIND_LINKS"] = ",".join(map(_link, self._settings.find_links))
        return own

    def _tell(self, phase: Phase, line: str, downloads: Downloads) -> None:
        if found := _DOWNLOADING.match(line):
            event = downloads.begin(found[1], int(float(found[2]) * _UNITS.get(found[3], 1)))
        elif found := _DOWNLOADED.match(line):
            event = downloads.end(found[1])
        elif (found := _COUNTED.match(line)) and (phase == "resolve") == (found[1] == "Resolved"):
            count = int(found[2])
            event = Event(phase=phase, state="moved", message=line.strip(), done=count, total=count)
        else:
            return
        self._sink(event)


def _check_words(words: Sequence[str]) -> None:
    """Raise `StoreError` for a path that uv cannot be told."""
    for word in words:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError:
            raise StoreError(
                f"uv takes paths of UTF-8 only: {word!r}",
                hint="choose another cache folder with --cache-dir, or rename that one",
            ) from None


def _written_by(pid: int) -> int:
    """The bytes that a process has written to files and pipes; 0 where that is not told."""
    try:
        for line in Path(f"/proc/{pid}/io").read_bytes().splitlines():
            if line.startswith(b"wchar:"):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def _find_binary(path: str | None) -> Path:
    try:
        import uv  # start-up budget: only a miss needs it

        return Path(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        if found := shutil.which("uv", path=path or ""):
            return Path(found)
    raise SupplyError("uv was not found", hint="install it: pip install uv")


def _link(place: str) -> str:
    """A find-links place as uv takes it in a list: folders as percent-encoded URLs."""
    return place if "://" in place else Path(place).absolute().as_uri().replace(",", "%2C")


def classify(lines: Sequence[str], *, status: int, offline: bool) -> SupplyError:
    """The error that uv's last lines stand for. They are kept: the reason is in them."""
    said = (line for line in lines if not (_COUNTED.match(line) or _USING.match(line)))
    text = "\n".join(said).strip()
    reason = re.sub(r"(?m)^error: ", "", text) or f"uv ended with status {status}"
    if "No space left on device" in text:
        return StoreError(f"the cache's disk is full: {reason}", hint="free some space")
    if "network was disabled" in text or "Network connectivity is disabled" in text:
        return ResolutionFailed(reason, hint="it is not in the cache: try without --offline")
    if not offline and any(mark.lower() in text.lower() for mark in _UNREACHABLE):
        return IndexUnavailable(
            f"a package index did not answer: {reason}", hint="check the network and try again"
        )
    if "no usable wheels" in text or "Building source distributions" in text:
        return ResolutionFailed(
            reason,
            hint="it comes as source only: vendor a wheel of it, or allow another version",
        )
    if "No solution found" in text:
        return ResolutionFailed(reason, hint="change one of the requirements named")
    if status < 0:
        return StoreError(f"uv was ended by signal {-status}: {reason}", hint="try again")
    return ResolutionFailed(reason)
