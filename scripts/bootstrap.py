"""Makes `.venv`: the package, editable, with the tools that check it.

Rules of this file:

1. It needs Python 3.11 and pip, nothing else; ensurepip may be missing (Debian ships it apart).
2. A stamp in the environment tells whether it is current: a digest of what decides its content. It
   is written last, so an interrupted bootstrap is done again.
3. One bootstrap at a time, by a kernel lock on the repository's folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit(f"orq-runtime needs Python 3.11 or newer, this is {sys.version.split()[0]}")

__all__ = ["REPOSITORY", "ensure_environment", "make_environment"]

REPOSITORY = Path(__file__).resolve().parent.parent
_ENVIRONMENT = REPOSITORY / ".venv"
_STAMP = _ENVIRONMENT / "orq-check.stamp"


def ensure_environment() -> Path:
    """The interpreter of a current `.venv`, made first where needed. May take a minute.

    Raises CalledProcessError when pip cannot install; what pip said is on stderr by then.
    """
    python = _ENVIRONMENT / "bin" / "python"
    with _locked(REPOSITORY):
        wanted = _wanted_stamp()
        if _STAMP.is_file() and _STAMP.read_text("utf-8") == wanted and _is_alive(python):
            return python
        print(f"making {_ENVIRONMENT.name} (once, about a minute) ...", file=sys.stderr, flush=True)
        _STAMP.unlink(missing_ok=True)
        make_environment(_ENVIRONMENT)
        requirements = _project()["dependency-groups"]["dev"]
        _run([str(python), "-m", "pip", "install", "-qq", "-e", str(REPOSITORY), *requirements])
        _STAMP.write_text(wanted, "utf-8")
    return python


def make_environment(folder: Path) -> Path:
    """Make an empty virtual environment with pip in it, anew; its interpreter."""
    python = folder / "bin" / "python"
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if made.returncode != 0 or not _is_alive(python):
        # no ensurepip: our own pip puts a pip there, which is allowed on managed systems as well
        _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
        site_packages = _output(
            [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        )
        _run([sys.executable, "-m", "pip", "install", "-qq", "--target", site_packages, "pip"])
    return python


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _project() -> dict[str, dict[str, list[str]]]:
    document: dict[str, dict[str, list[str]]] = tomllib.loads(
        (REPOSITORY / "pyproject.toml").read_text("utf-8")
    )
    return document


def _wanted_stamp() -> str:
    project = _project()
    parts = {key: project.get(key) for key in ("build-system", "project", "dependency-groups")}
    said = json.dumps([parts, sys.version, str(_ENVIRONMENT)], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest() + "\n"


def _is_alive(python: Path) -> bool:
    try:
        probe = subprocess.run(
            [str(python), "-I", "-c", "import pip"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return probe.returncode == 0


def _output(command: list[str]) -> str:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def _run(command: list[str]) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
