"""Where and with what a result was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import uv

import orq_runtime
from orq_runtime import Environment

__all__ = ["describe_machine", "load_average", "source_version", "versions"]


def describe_machine() -> dict[str, object]:
    """Processor, cores that this process may use, memory, kernel."""
    model = re.search(r"^model name\s*: (.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", _text("/proc/meminfo"), re.MULTILINE)
    return {
        "processor": model[1].strip() if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "kernel": f"{platform.system()} {platform.release()}",
        "is_virtual": re.search(r"^flags\b.*\bhypervisor\b", _text("/proc/cpuinfo"), re.MULTILINE)
        is not None,
    }


def load_average() -> float:
    """Of the last minute: above 1 or so before a run, the machine was not quiet."""
    return round(os.getloadavg()[0], 2)


def source_version() -> str | None:
    """The commit that was measured, `-dirty` where the tree differed; None outside a repository."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or None


def versions(environments: Iterable[Environment]) -> dict[str, str]:
    """What took part: host, guest, support layer, uv and the workloads' own packages."""
    said = subprocess.run(
        [uv.find_uv_bin(), "--version"], capture_output=True, text=True, check=True
    )
    found = {
        "orq_runtime": orq_runtime.__version__,
        "python": platform.python_version(),
        "uv": said.stdout.split()[1],
    }
    for name in ("orjson", "typeguard"):
        found[name] = importlib.metadata.version(name)
    for environment in environments:
        found["guest python"] = ".".join(map(str, environment.interpreter.version))
        found.update({package.name: package.version for package in environment.lock})
    return found


def _text(path: str) -> str:
    return Path(path).read_text("utf-8", errors="replace")
