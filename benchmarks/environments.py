"""Throw-away environments for the peers, made with uv; what cannot be had says why.

Rules of this file:

1. Nothing is installed on the machine: a Debian package is unpacked into the scratch folder.
2. Bytecode is compiled ahead: no peer's first call pays for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import uv

from orq_runtime import settings

__all__ = ["PeerMissing", "bubblewrap", "environ", "fresh", "make_removable", "scratch", "venv"]


class PeerMissing(Exception):
    """A peer cannot be had; the text names it and says why."""


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder for everything of one benchmark, with a store `cache` that can be removed."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True) as folder:
        try:
            yield Path(folder)
        finally:
            make_removable(Path(folder))


def make_removable(folder: Path) -> None:
    """Let its folders be written again, also those of environments."""
    for place, _, _ in os.walk(folder):
        Path(place).chmod(0o700)


@contextlib.contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """An empty cache folder in it; removed afterwards."""
    found = Path(tempfile.mkdtemp(prefix="cold-", dir=folder))
    try:
        yield found
    finally:
        make_removable(found)
        shutil.rmtree(found, ignore_errors=True)


def environ(folder: Path) -> dict[str, str]:
    """Variables for uv and whatever runs it: the user's own index, nobody's configuration."""
    found = {
        **settings.load().tool_environment,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(folder / "uv-cache"),
    }
    if index := settings.load().default_index:
        found["UV_DEFAULT_INDEX"] = index
    return found


def venv(name: str, folder: Path, interpreter: Path, requirements: Sequence[str]) -> Path:
    """The interpreter of a new environment `folder/name`. Raises `PeerMissing`."""
    place = folder / name
    binary, variables = uv.find_uv_bin(), environ(folder)
    _made(name, [binary, "venv", "--quiet", "--python", str(interpreter), str(place)], variables)
    python = place / "bin" / "python"
    install = [binary, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    _made(name, [*install, *requirements], variables)
    return python


def bubblewrap(folder: Path) -> Path:
    """The program `bwrap`: the machine's own, else that of the Debian package, only unpacked."""
    if found := shutil.which("bwrap"):
        return Path(found)
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise PeerMissing("bubblewrap: there is no `bwrap`, and no apt-get to fetch the package")
    place = folder / "bubblewrap"
    place.mkdir()
    fetch = ["apt-get", "--quiet", "-o", "APT::Sandbox::User=root", "download", "bubblewrap"]
    try:
        _made("bubblewrap", fetch, os.environ, place)
    except PeerMissing:  # this machine has no lists of packages, or old ones: others are fetched
        lists = place / "lists"
        (lists / "partial").mkdir(parents=True)
        ours = ["-o", f"Dir::State::lists={lists}", "-o", "APT::Sandbox::User=root"]
        _made("bubblewrap", ["apt-get", "--quiet", *ours, "update"], os.environ, place)
        _made("bubblewrap", [*fetch[:2], *ours, *fetch[4:]], os.environ, place)
    package = next(place.glob("*.deb"))
    _made("bubblewrap", ["dpkg", "-x", str(package), str(place / "root")], os.environ)
    return place / "root" / "usr" / "bin" / "bwrap"


def _made(
    name: str, command: list[str], variables: Mapping[str, str], folder: Path | None = None
) -> None:
    said = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    if said.returncode != 0:
        words = " ".join(command[:3])
        raise PeerMissing(f"{name}: `{words} ...` says:\n{said.stderr.strip() or said.stdout}")
