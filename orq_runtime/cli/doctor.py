"""`orq-runtime doctor`: what this machine can do, found by trying it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import orq_runtime
from orq_runtime import _fs
from orq_runtime._dataclass import dataclass
from orq_runtime._run import cgroup
from orq_runtime._run.capabilities import CONFINED, Capability, try_tier
from orq_runtime._run.ground import Grounds
from orq_runtime._supply import Supplier
from orq_runtime.cli import jsontext
from orq_runtime.cli.advice import GIVES, limits_in_words, no_wall, why_not
from orq_runtime.cli.chosen import settings_of
from orq_runtime.cli.options import Options
from orq_runtime.cli.terminal import printable, put
from orq_runtime.errors import OrqRuntimeError
from orq_runtime.settings import Settings

__all__ = ["doctor"]

_UNABLE = 125
_UV_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """One thing looked at. `is_ok` is None where it only informs."""

    name: str
    is_ok: bool | None
    text: str


def doctor(options: Options) -> int:
    """Look, say what was found, and exit with 0 when runs are possible."""
    settings = settings_of(options)
    findings = list(_look(settings))
    is_able = all(finding.is_ok is not False for finding in findings)
    if options.output_format == "json":
        document = {
            "version": orq_runtime.__version__,
            "ok": is_able,
            "findings": [
                {"name": item.name, "ok": item.is_ok, "text": item.text} for item in findings
            ],
        }
        put(jsontext.dump(document))
    else:
        put("".join(f"{_line(item)}\n" for item in findings).encode("utf-8", "surrogateescape"))
    return 0 if is_able else _UNABLE


def _line(item: _Finding) -> str:
    mark = {True: "ok  ", False: "FAIL", None: "    "}[item.is_ok]
    return printable(f"{mark}  {item.name}: {item.text}")


def _look(settings: Settings) -> Iterator[_Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield _Finding(
        name="version", is_ok=None, text=f"orq-runtime {orq_runtime.__version__} on {python}"
    )
    yield _Finding(name="platform", is_ok=sys.platform == "linux", text=platform.platform())
    yield _tried("kernel", _kernel)
    yield _tried("store", lambda: _store(settings.cache_dir))
    yield _tried("uv", lambda: _uv(settings))
    yield _tried("interpreters", lambda: _interpreters(settings))
    yield from _tiers(settings)


def _tried(name: str, look: Callable[[], str]) -> _Finding:
    try:
        return _Finding(name=name, is_ok=True, text=look())
    except OrqRuntimeError as error:
        text = f"{error.message}; {error.hint}" if error.hint else error.message
        return _Finding(name=name, is_ok=False, text=text)
    except (OSError, subprocess.SubprocessError) as error:
        return _Finding(name=name, is_ok=False, text=str(error))


def _kernel() -> str:
    os.close(os.pidfd_open(os.getpid()))
    return f"{platform.release()}: processes can be held by descriptor (pidfd)"


def _store(folder: Path) -> str:
    """Write and lock for real: some network file systems let everybody have every lock."""
    with _fs.scratch(folder / "staging") as scratch:
        path = scratch / "lock"
        with _fs.lock(path, timeout_seconds=0):
            _fs.check_lock(path)
    free = shutil.disk_usage(folder).free
    return f"{folder}: can be written and locked, {free / (1 << 30):.1f} GiB free"


def _uv(settings: Settings) -> str:
    binary = _uv_binary(settings.tool_environment.get("PATH", ""))
    said = subprocess.run(
        [binary, "--version"], capture_output=True, text=True, timeout=_UV_SECONDS, check=True
    )
    return f"{said.stdout.strip()} ({binary})"


def _uv_binary(path: str) -> str:
    try:
        import uv  # it may be missing, and that is a finding

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        if found := shutil.which("uv", path=path):
            return found
    raise OSError("uv was not found; install it: pip install uv")


def _interpreters(settings: Settings) -> str:
    found = Supplier(settings=settings).interpreters()
    if not found:
        raise OSError("none was found")
    return ", ".join(f"{'.'.join(map(str, item.version))} ({item.path})" for item in found)


def _tiers(settings: Settings) -> Iterator[_Finding]:
    """Each tier, by standing behind it: a run needs one of the confined ones."""
    grounds = Grounds(settings.temporary_dir)
    found: list[Capability] = []
    try:
        interpreter = Supplier(settings=settings).usual_interpreter()
        found = [
            try_tier(tier, cache_dir=settings.cache_dir, interpreter=interpreter, grounds=grounds)
            for tier in CONFINED
        ]
    except OrqRuntimeError as error:
        yield _Finding(name="isolation", is_ok=False, text=f"cannot be tried: {error.message}")
    finally:
        grounds.close()
    for tier in found:
        text = f"available: {GIVES[tier.tier]} (Landlock {tier.landlock})"
        if not tier.is_available:
            text = why_not(tier.tier, tier.reason)
        is_ok = True if tier.is_available else None
        yield _Finding(name=f"isolation {tier.tier}", is_ok=is_ok, text=text)
    if not any(tier.is_available for tier in found):
        text = no_wall([tier.reason for tier in found])
        yield _Finding(name="isolation auto", is_ok=False, text=text)
    text = "available when asked for by name: a fresh process, a clean environment, and no wall"
    yield _Finding(name="isolation process", is_ok=True, text=text)
    mechanism = cgroup.choose()
    mechanism.close()
    yield _Finding(
        name="limits", is_ok=mechanism.has_cgroup or None, text=limits_in_words(mechanism)
    )
