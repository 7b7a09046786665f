"""How much a run may use. Quantities only: what it may touch is the policy's (`model.policy`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Self

from orq_runtime._dataclass import asdict, dataclass, fields
from orq_runtime.errors import RequestError

__all__ = ["GIB", "MIB", "Limits"]

MIB = 1024 * 1024
GIB = 1024 * MIB

_LARGEST: Final = 2**60  # the kernel counts pages, and reads more than this as "no limit"
_MAY_BE_NONE: Final = frozenset({"cpu_seconds", "cpu_millicores", "file_bytes"})
_LEAST: Final[Mapping[str, int]] = {
    "memory_bytes": 16 * MIB,  # below this no interpreter starts
    "processes": 1,
    "open_files": 16,  # five of them are the harness's
    "cpu_millicores": 10,  # the kernel's shortest quota: 1 ms in 100 ms
    "tmp_inodes": 16,
}
_MOST: Final[Mapping[str, float]] = {
    "wall_seconds": 1e9,
    "cpu_seconds": 1e9,
    "processes": 4_000_000,  # the kernel's PID_MAX_LIMIT is a little above
    "cpu_millicores": 10_000_000,
}
_RLIMITS: Final = ("cpu_seconds", "open_files", "file_bytes", "tmp_bytes", "tmp_inodes")
_RLIMITS_WITHOUT_CGROUP: Final = ("memory_bytes", "processes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one run, each with its default.

    - `wall_seconds` (3600): from the moment the request is sent to the end of the run.
    - `cpu_seconds` (None: no limit but the wall clock's): processor time of each of the run's
      processes, in whole seconds, rounded up.
    - `cpu_millicores` (None: all the machine gives): how fast processor time may be used by the
      whole run; 1000 is one core. Only a cgroup can hold it.
    - `memory_bytes` (1 GiB): memory of the whole run where a cgroup holds it, and then files in
      /tmp and /dev/shm count too; else of each process.
    - `processes` (64): processes and threads alive at once, the step's own included.
    - `open_files` (1024): descriptors of each process.
    - `file_bytes` (None: as `tmp_bytes`): the size of any one file that is written.
    - `tmp_bytes` (1 GiB) and `tmp_inodes` (65536): what the working folder, /tmp and /dev/shm may
      hold, each.
    - `stdout_bytes`, `stderr_bytes` (10 MiB each): that many are kept of each stream, the first
      half and the last half where there were more.
    - `result_bytes` (64 MiB): a larger result, as JSON, ends the run as `output_exceeded`.
    - `blob_bytes` (1 GiB): what the large values of the inputs, and those of the result, may hold
      beside their JSON, each; more of the result is `output_exceeded`.
    - `artifact_bytes` (1 GiB) and `artifact_files` (4096): what the collected files of a run may
      hold together, holes counted as if they were written, and how many they may be; more is
      `output_exceeded`.

    Raises `RequestError` for a value that no run could be held to.
    """

    wall_seconds: float = 3600.0
    cpu_seconds: float | None = None
    cpu_millicores: int | None = None
    memory_bytes: int = GIB
    processes: int = 64
    open_files: int = 1024
    file_bytes: int | None = None
    tmp_bytes: int = GIB
    tmp_inodes: int = 65536
    stdout_bytes: int = 10 * MIB
    stderr_bytes: int = 10 * MIB
    result_bytes: int = 64 * MIB
    blob_bytes: int = GIB
    artifact_bytes: int = GIB
    artifact_files: int = 4096

    def __post_init__(self) -> None:
        for item in fields(self):
            _check(item.name, getattr(self, item.name))

    @property
    def longest_file_bytes(self) -> int:
        """`file_bytes`, or what stands for it."""
        return self.tmp_bytes if self.file_bytes is None else self.file_bytes

    def before_parking(self, *, has_cgroup: bool) -> tuple[tuple[str, float], ...]:
        """The limits that a child must know before it is parked, by name: part of a pool's key.

        Rlimits and sizes of file systems are set once. All others are the host's to keep, or a
        cgroup's, and may differ from run to run of one zygote: wall time, output, `cpu_millicores`,
        and where there is a cgroup memory and processes.
        """
        names = _RLIMITS if has_cgroup else (*_RLIMITS_WITHOUT_CGROUP, *_RLIMITS)
        found: dict[str, float | None] = {name: getattr(self, name) for name in names}
        found["file_bytes"] = self.longest_file_bytes
        if self.cpu_seconds is not None:
            found["cpu_seconds"] = math.ceil(self.cpu_seconds)
        return tuple((name, value) for name, value in found.items() if value is not None)

    def to_json(self) -> dict[str, object]:
        """A JSON object from which `from_json` makes equal limits."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """The limits of a JSON object; what it leaves out has its default."""
        known = [item.name for item in fields(cls)]
        for name in document:
            if name not in known:
                hint = "known are: " + ", ".join(f"`{one}`" for one in known)
                raise RequestError(f"no limit has the name `{name}`", hint=hint)
        return cls(**document)  # type: ignore[arg-type]  # checked by the constructor


def _check(name: str, value: object) -> None:
    if value is None and name in _MAY_BE_NONE:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(f"limit `{name}` is a number, not: `{value!r}`")
    if not math.isfinite(value) or value <= 0:
        raise RequestError(f"limit `{name}` must be finite and above 0: `{value!r}`")
    if not name.endswith("_seconds") and not isinstance(value, int):
        unit = "number of bytes" if name.endswith("_bytes") else "number"
        raise RequestError(f"limit `{name}` is a whole {unit}: `{value!r}`")
    if value < _LEAST.get(name, 0):
        raise RequestError(f"limit `{name}` is at least {_LEAST[name]}: `{value!r}`")
    if value > _MOST.get(name, _LARGEST):
        raise RequestError(f"limit `{name}` is at most {_MOST.get(name, _LARGEST):g}: `{value!r}`")
