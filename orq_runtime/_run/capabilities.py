"""Which isolation this machine gives, found by trying it, or the error that says why not.

Rules of this file:

1. Confinement is all or an error: a tier that cannot be given is never replaced by a weaker one
   that was not asked for. `auto` is `namespaces`, else `landlock`; it never is `process`.
2. A tier is there when a throw-away guest stood behind it and its canary attacks failed; what the
   kernel's switches say is not asked.
3. What was found good is remembered for this boot, kernel, user and guest, and as long as nothing
   more is forbidden; what was not is tried again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from orq_runtime import _fs
from orq_runtime._dataclass import dataclass
from orq_runtime._digest import Digest
from orq_runtime._run.bundle import stage
from orq_runtime._run.ground import Ground, Grounds
from orq_runtime._run.guest import start_guest
from orq_runtime._run.launch import why_it_died
from orq_runtime._run.wall import Wall, system_grants
from orq_runtime.errors import RequestError, SandboxError, StoreError, WallUnavailable
from orq_runtime.model.environment import Interpreter

__all__ = ["CONFINED", "TIERS", "Capability", "attempt", "choose", "try_tier"]

CONFINED: Final = ("namespaces", "landlock")
TIERS: Final = ("auto", *CONFINED, "process")
_TRIAL_SECONDS: Final = 30.0
_TRIAL_BYTES: Final = 1 << 20
_TRIAL_LIMITS: Final = (
    ("cpu", 20),
    ("file_bytes", _TRIAL_BYTES),
    ("memory", 512 << 20),
    ("open_files", 256),
)
_TRIAL_PROCESSES: Final = 16
_OF_A_PROCESS: Final = ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Seccomp_filters")
_SWITCHES: Final = (
    "/proc/self/attr/current",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Whether a tier can be had; `reason` says why not, `landlock` the kernel's version of it."""

    tier: str
    is_available: bool
    reason: str = ""
    landlock: int = 0


def choose(
    isolation: str, *, cache_dir: Path, interpreter: Callable[[], Interpreter], grounds: Grounds
) -> str:
    """The tier in force for a request. May start a throw-away process. Blocks.

    Raises `WallUnavailable` when it cannot be given, `RequestError` for an unknown name.
    """
    if isolation not in TIERS:
        known = ", ".join(f"`{tier}`" for tier in TIERS)
        raise RequestError(f"unknown isolation: `{isolation}`", hint=f"one of: {known}")
    if not sys.platform.startswith("linux"):
        raise WallUnavailable(f"runs need Linux; this is `{sys.platform}`")
    if isolation == "process":
        return isolation
    refused = []
    for tier in CONFINED if isolation == "auto" else (isolation,):
        found = try_tier(tier, cache_dir=cache_dir, interpreter=interpreter(), grounds=grounds)
        if found.is_available:
            return tier
        refused.append(f"{tier}: {found.reason}")
    raise WallUnavailable(
        f"isolation `{isolation}` cannot be had here: " + "; ".join(refused),
        hint="`orq-runtime doctor` says how to get it; `--isolation process` runs without a wall",
    )


def try_tier(
    tier: str, *, cache_dir: Path, interpreter: Interpreter, grounds: Grounds
) -> Capability:
    """Stand a throw-away guest behind the tier and attack it from inside. Blocks."""
    bundle = stage(cache_dir, interpreter)
    note = cache_dir / "v1" / "capabilities" / f"{_identity(tier, bundle)}.json"
    if (remembered := _remembered(tier, note)) is not None:
        return remembered
    try:
        found = attempt(tier, bundle=bundle, interpreter=interpreter, grounds=grounds)
    except SandboxError as error:
        return Capability(tier=tier, is_available=False, reason=error.message)
    with contextlib.suppress(OSError, StoreError):  # a cache that cannot be written forgets it
        _fs.write_atomic(note, json.dumps(found).encode())
    return Capability(tier=tier, is_available=True, landlock=_number(found.get("landlock")))


def attempt(
    tier: str, *, bundle: Path, interpreter: Interpreter, grounds: Grounds
) -> Mapping[str, object]:
    """Stand behind the tier once: what the guest found, and the microseconds of each `stages`.

    Blocks. Raises `SandboxError` where there is no such wall.
    """
    ground = grounds.make(tier)
    try:
        canary = ground.scratch.with_name(ground.scratch.name + "-canary")
        canary.write_text("not yours")
        return _tried(tier, interpreter, bundle, ground, str(canary))
    finally:
        ground.remove()


def _tried(
    tier: str, interpreter: Interpreter, bundle: Path, ground: Ground, canary: str
) -> Mapping[str, object]:
    wall = Wall(
        tier=tier,
        read_only=system_grants(interpreter, bundle),
        rlimits=_TRIAL_LIMITS,
        tmp_bytes=_TRIAL_BYTES,
        tmp_inodes=64,
    )
    policy = wall.policy(scratch=ground.scratch, run_uid=ground.run_uid)
    reader, writer = os.pipe()
    try:
        folder = ground.run_folder()
        run: dict[str, object] = {} if folder is None else {"folder": str(folder)}
        if tier == "namespaces":  # elsewhere all of this user's processes count
            run["rlimits"] = {"processes": _TRIAL_PROCESSES}
        orders = {"mode": "probe", "wall": {**policy, "canary": canary}, "run": run}
        process = start_guest(interpreter.path, bundle, orders, [writer])
        os.close(writer)
        writer = -1
        return _report(process, reader)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _report(process: subprocess.Popen[bytes], reader: int) -> Mapping[str, object]:
    try:
        is_ready = select.select([reader], [], [], _TRIAL_SECONDS)[0]
        said = os.read(reader, 65536) if is_ready else b""
        if not said:
            raise why_it_died(process, "the trial guest")
        document = json.loads(said)
        if not isinstance(document, dict):
            raise WallUnavailable("the trial guest spoke nonsense")
        return document
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _identity(tier: str, bundle: Path) -> str:
    digest = Digest("capability", 1).text("tier", tier).text("guest", bundle.name)
    digest.text("boot", Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    digest.text("kernel", " ".join(os.uname()[2:4]))
    digest.text("user", f"{os.geteuid()} {os.getegid()}")
    # another user namespace is another machine, as far as confinement goes
    digest.text("namespace", str(Path("/proc/self/ns/user").readlink()))
    for name, said in _restrictions():
        digest.text(name, said)
    return digest.key()


def _restrictions() -> Iterator[tuple[str, str]]:
    """What may make another machine of it for the same user: a container's filter, a switch.

    They are not asked what they mean: only whether they are as they were.
    """
    for line in Path("/proc/self/status").read_text("utf-8", "replace").splitlines():
        name, _, said = line.partition(":")
        if name in _OF_A_PROCESS:
            yield name, said.strip()
    for file in _SWITCHES:
        try:
            yield file, Path(file).read_text("utf-8", "replace").strip()
        except OSError:
            yield file, ""


def _remembered(tier: str, note: Path) -> Capability | None:
    try:
        found = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    return Capability(tier=tier, is_available=True, landlock=_number(found.get("landlock")))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
