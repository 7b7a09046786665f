"""The host side of the wall's bench: starts a zygote in a mode and sends it runs."""

from __future__ import annotations

import array
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["MODES", "Bench", "Ended", "Mode", "system_grants"]

_HERE = Path(__file__).resolve().parent
_SANDBOX = _HERE.parent.parent / "sandbox"
_GRACE_SECONDS = 0.25
_CAP_BYTES = 1 << 20
_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/bin", "/sbin"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives"),
)
RUN_UID = 61234
USER_UID = 61500


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """Who runs it, in which tier, and whether the machine lets it have user namespaces."""

    name: str
    tier: str
    is_root: bool
    is_forbidden: bool = False

    @property
    def catalogue_name(self) -> str:
        """What the catalogue calls it."""
        return "ns" if self.tier == "namespaces" else "c"


MODES: Mapping[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode(name="ns-root", tier="namespaces", is_root=True),
        Mode(name="ns-user", tier="namespaces", is_root=False),
        Mode(name="ll-root", tier="landlock", is_root=True, is_forbidden=True),
        Mode(name="ll-user", tier="landlock", is_root=False, is_forbidden=True),
        Mode(name="open", tier="process", is_root=False),
    )
}


@dataclass(slots=True, kw_only=True)
class Ended:
    """How a run ended. `status` is init's word; None where init gave none."""

    status: int | None
    is_timeout: bool
    result: bytes = b""
    stdout: bytes = b""
    stderr: bytes = b""
    setup_error: str = ""
    overflowed: set[str] = field(default_factory=set)
    milliseconds: float = 0.0
    init_milliseconds: float = 0.0

    def value(self) -> object:
        """The value returned. Raises ValueError where there is not exactly one."""
        if self.is_timeout or self.status != 0:
            raise ValueError(f"ended with {self.status}")
        answer = json.loads(self.result.decode("utf-8"), parse_constant=_refuse)
        if set(answer) == {"ok"}:
            return answer["ok"]
        raise ValueError(str(answer.get("err")))


def _refuse(word: str) -> object:
    raise ValueError(word)


def system_grants(python: Path) -> list[list[str]]:
    """Grants of the system's libraries and of the interpreter where that lies elsewhere."""
    grants = [[path, path] for path in _SYSTEM if os.path.lexists(path)]
    base = python.resolve().parent.parent
    if not base.is_relative_to("/usr"):
        grants.append([str(base), str(base)])
    return grants


def _stage(guest: Path) -> Path:
    """Our own modules where any user can read them."""
    shutil.copytree(_SANDBOX, guest / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("lab_guest.py", "lab_forbid.py"):
        shutil.copy(_HERE / name, guest / name)
    return guest


def _policy(mode: Mode, scratch: Path, grants: list[list[str]]) -> dict[str, object]:
    is_other = mode.is_root and mode.tier != "process"
    return {
        "tier": mode.tier,
        "network": "none",
        "read_only": grants,
        "writable": [],
        "scratch": str(scratch),
        "rlimits": {"cpu": 10, "open_files": 256, "file_bytes": 1 << 26, "processes": 64},
        "tmp_bytes": 64 << 20,
        "tmp_inodes": 16384,
        **({"run_uid": RUN_UID} if is_other else {}),
    }


def _prefix(mode: Mode, python: Path, guest: Path) -> list[str]:
    """What makes the process the mode's user, on a machine that forbids what the mode says."""
    prefix = []
    if not mode.is_root:
        ids = (f"--reuid={USER_UID}", f"--regid={USER_UID}", "--clear-groups")
        prefix = ["setpriv", *ids]
    if mode.is_forbidden:
        forbid = (str(python), "-I", "-S", "-B", str(guest / "lab_forbid.py"))
        prefix += [*forbid, str(guest / "sandbox")]
    return prefix


class Bench:
    """A zygote in a mode. Owns its process, its control socket and its folder."""

    def __init__(
        self,
        mode: Mode,
        python: Path = Path("/usr/bin/python3"),
        *,
        site_packages: Path | None = None,
        preload: Sequence[str] = (),
        policy: Mapping[str, object] | None = None,
    ) -> None:
        self.mode = mode
        self.folder = Path(tempfile.mkdtemp(prefix="orq-wall-"))
        self.folder.chmod(0o755)
        guest = _stage(self.folder / "guest")
        grants = system_grants(python)
        if site_packages is not None:
            grants.append([str(site_packages.parents[2])] * 2)
        document = {**_policy(mode, self._make_scratch(), grants), **(policy or {})}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [
            *(str(python), "-I", "-S", "-B", str(guest / "lab_guest.py")),
            *(str(guest / "sandbox"), json.dumps(document), str(theirs.fileno())),
            *([] if site_packages is None else [str(site_packages)]),
            *preload,
        ]
        command = [*_prefix(mode, python, guest), *command]
        self._control = ours
        begun = time.perf_counter()
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={"LANG": "C.UTF-8", "LD_LIBRARY_PATH": str(python.parent.parent / "lib")},
                cwd="/",
                start_new_session=True,
            )
        message = self._receive(30)[0]
        self.start_milliseconds = (time.perf_counter() - begun) * 1000
        word, _, detail = message.partition(b" ")
        if word != b"ready":
            self.close()
            raise RuntimeError(detail.decode() or "the zygote died")
        self.stages: dict[str, float] = json.loads(detail)

    def _make_scratch(self) -> Path:
        scratch = self.folder / "scratch"
        scratch.mkdir(0o755)
        if self.mode.tier != "namespaces" or not self.mode.is_root:
            owner = RUN_UID if self.mode.is_root else USER_UID
            os.chown(scratch, owner, owner)
        return scratch

    @property
    def pid(self) -> int:
        """The shepherd's."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def run(
        self,
        code: str,
        inputs: object = None,
        *,
        seconds: float = 5.0,
        rlimits: Mapping[str, int] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run `step` of the code to its end, or kill it after `seconds`."""
        request = {
            "code": code,
            "inputs": inputs,
            "environ": dict(environ or {}),
            "run": {"rlimits": dict(rlimits or {})},
        }
        pipes = [os.pipe() for _ in range(4)]
        begun = time.perf_counter()
        rights = array.array("i", [writer for _, writer in pipes])
        self._control.sendmsg(
            [json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        )
        for _, writer in pipes:
            os.close(writer)
        readers = dict(
            zip(
                [reader for reader, _ in pipes],
                ("result", "stdout", "stderr", "status"),
                strict=True,
            )
        )
        try:
            pidfd = self._receive(10)[1]
            forked = (time.perf_counter() - begun) * 1000
            try:
                ended = self._drain(readers, pidfd, begun + seconds)
            finally:
                os.close(pidfd)
        finally:
            for reader in readers:
                os.close(reader)
        ended.milliseconds = (time.perf_counter() - begun) * 1000
        ended.init_milliseconds = forked
        return ended

    def _drain(self, readers: Mapping[int, str], pidfd: int, end: float) -> Ended:
        got = {name: bytearray() for name in readers.values()}
        live = dict(readers)
        ended = Ended(status=None, is_timeout=False)
        while live:
            left = end - time.perf_counter()
            if left <= 0:
                ended.is_timeout = "status" in live.values()
                break
            for reader in select.select(list(live), [], [], left)[0]:
                name = live[reader]
                chunk = os.read(reader, 65536)
                if not chunk:
                    del live[reader]
                    continue
                got[name] += chunk[: max(0, _CAP_BYTES - len(got[name]))]
                if len(got[name]) >= _CAP_BYTES:
                    ended.overflowed.add(name)
            if "status" not in live.values():
                end = min(end, time.perf_counter() + _GRACE_SECONDS)
        if live:
            is_polite = self.mode.tier != "namespaces"
            signal.pidfd_send_signal(pidfd, signal.SIGTERM if is_polite else signal.SIGKILL)
            select.select([pidfd], [], [], 5)
        said = json.loads(got["status"] or b"{}")
        ended.status = said.get("status")
        ended.setup_error = said.get("setup_error", "")
        ended.result, ended.stdout = bytes(got["result"]), bytes(got["stdout"])
        ended.stderr = bytes(got["stderr"])
        return ended

    def _receive(self, seconds: float) -> tuple[bytes, int]:
        if not select.select([self._control], [], [], seconds)[0]:
            return b"", -1
        message, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
        return message, descriptors[0] if descriptors else -1

    def close(self) -> None:
        """End the zygote and wait for its shepherd; remove the folder."""
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            print("the shepherd had to be killed", file=sys.stderr)
            self._process.kill()
            self._process.wait()
        # rmtree recurses: a run that makes folders in folders 3000 deep breaks it
        subprocess.run(["rm", "-rf", "--one-file-system", "--", str(self.folder)], check=True)
