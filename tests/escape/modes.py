"""Who runs attacks, behind which wall, on a machine that allows what: a mode, and how to be in it.

A mode is a process of its own: it becomes its user, forbids itself what the mode forbids, and then
is an ordinary host of runs (`driver`). Root's tests need `setpriv`, and for other users than root
an interpreter and packages that everybody may read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.sources import REPOSITORY

__all__ = ["MODES", "WALLED", "Mode", "driven", "everybodys_python"]

_HERE = Path(__file__).resolve().parent
_PATIENCE_SECONDS = 250
_OLDEST = (3, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """A user, a tier, and whether the machine forbids user namespaces and mounts."""

    name: str
    tier: str
    is_root: bool
    is_forbidden: bool = False

    @property
    def in_catalogue(self) -> str:
        """What the catalogue calls the tier."""
        return "ns" if self.tier == "namespaces" else "c"


MODES: Mapping[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode(name="namespaces-root", tier="namespaces", is_root=True),
        Mode(name="namespaces-user", tier="namespaces", is_root=False),
        Mode(name="landlock-root", tier="landlock", is_root=True, is_forbidden=True),
        Mode(name="landlock-user", tier="landlock", is_root=False, is_forbidden=True),
        Mode(name="open", tier="process", is_root=False),
    )
}
WALLED = [name for name in MODES if name != "open"]


def driven(mode: Mode, orders: Mapping[str, object], module: str = "driver") -> dict[str, object]:
    """What a driver in that mode said to its orders. Skips where the mode cannot be had."""
    python = sys.executable if mode.name == "namespaces-root" else everybodys_python()
    # not in /tmp: of that a run has its own, and what it does there is nobody's concern
    place = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with tempfile.TemporaryDirectory(
        prefix="orq-mode-", dir=place, ignore_cleanup_errors=True
    ) as folder:
        room = Path(folder)
        room.chmod(0o755)
        uid = _uid(mode)
        home, cache = room / "home", room / "cache"
        for own in (home, cache):
            own.mkdir()
            os.chown(own, uid, -1)
        command = [*_prefix(mode, python, uid), python, "-m", f"tests.escape.{module}"]
        ended = subprocess.run(
            command,
            cwd="/",
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": os.pathsep.join(
                    [str(_code(room)), str(room / "code/sandbox"), *_packages()]
                ),
                "HOME": str(home),
                "TMPDIR": str(home),
                "ORQ_CANARY": "leaked",
            },
            input=json.dumps(
                {"tier": mode.tier, "python": everybodys_python(), "cache": str(cache), **orders}
            ),
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
            umask=0o022,
        )
        subprocess.run(["chmod", "-R", "u+rwX", folder], check=False)  # a store is read-only
        assert 0 == ended.returncode, ended.stderr[-4000:]
        said: dict[str, object] = json.loads(ended.stdout)
        return said


def everybodys_python() -> str:
    """An interpreter that any user may read, new enough to be a host."""
    for found in (sys.executable, *map(shutil.which, ("python3", "/usr/bin/python3"))):
        if found and _is_everybodys(Path(found).resolve()):
            version = subprocess.run(
                [found, "-c", "import sys; print(*sys.version_info[:2])"],
                capture_output=True,
                text=True,
                check=True,
            )
            if tuple(map(int, version.stdout.split())) == sys.version_info[:2]:
                return str(Path(found).resolve())
    pytest.skip("no interpreter of this version that any user may read")


def _uid(mode: Mode) -> int:
    """Of the host. Its own for each test process: attacks are on all processes of a user."""
    if os.geteuid() != 0:
        if mode.is_root:
            pytest.skip("needs root")
        return os.geteuid()
    return 0 if mode.is_root else 61000 + os.getpid() % 4000


def _prefix(mode: Mode, python: str, uid: int) -> Sequence[str]:
    prefix: list[str] = []
    if uid != os.geteuid():
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv, to be an ordinary user")
        prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    if mode.is_forbidden:
        code = [str(_HERE / "forbid.py"), str(REPOSITORY / "sandbox")]
        if uid != os.geteuid():  # it may not look into our own folders
            prefix = [python, "-I", "-S", "-B", *code, "/usr/bin/env", "--", *prefix]
        else:
            prefix = [python, "-I", "-S", "-B", *code]
    return prefix


def _code(room: Path) -> Path:
    """A copy of the code that every user may read."""
    code = room / "code"
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("orq_runtime", "sandbox", "tests/escape"):
        shutil.copytree(REPOSITORY / name, code / name, ignore=ignore)
    (code / "tests" / "__init__.py").write_text("")
    subprocess.run(["chmod", "-R", "a+rX", str(code)], check=True)
    return code


def _packages() -> list[str]:
    """The folders of the installed distributions, for an interpreter that is not this one's."""
    found = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    if os.geteuid() == 0 and not all(_is_everybodys(Path(path)) for path in found):
        pytest.skip("the installed packages cannot be read by any user")
    return found


def _is_everybodys(path: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))
