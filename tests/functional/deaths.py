"""The table of deaths: what a step of `tests/zoo/deaths.py` does, and how its run must be named."""

from __future__ import annotations

import errno
import itertools
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orq_runtime.model.limits import MIB

__all__ = ["TABLE", "TIERS", "Death"]

TIERS = ("namespaces", "landlock", "process")
_STRONGEST = ("namespaces",)  # it alone gives a run a disk of its own
_WATCHED = ("landlock", "process")  # the kernel refuses nothing there, and the run is killed
_SIGNALS = (
    *("SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE"),
    *("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGPIPE", "SIGALRM", "SIGSTKFLT"),
    *("SIGXCPU", "SIGVTALRM", "SIGPROF", "SIGPOLL", "SIGPWR", "SIGSYS", "SIGRTMIN", "SIGRTMAX"),
)
_BRIEF: Mapping[str, float] = {"wall_seconds": 1.5}
_SMALL: Mapping[str, float] = {"memory_bytes": 96 * MIB}
_FULL: Mapping[str, float] = {"tmp_bytes": 4 * MIB, "file_bytes": 64 * MIB}
_NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One row. `exception` is the type of what the step raised, where that must be kept."""

    function: str
    verdict: str
    inputs: Mapping[str, object] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    exception: str = ""
    status: int | None = None
    signal: int | None = None
    tiers: tuple[str, ...] = TIERS

    @property
    def name(self) -> str:
        """What the row is called in a list of tests."""
        return "-".join([self.function, *map(str, self.inputs.values())])


def _rows() -> Iterator[Death]:
    for name in (
        *("sleeps", "spins", "stops_itself", "ignores_every_signal", "blocks_every_signal"),
        *("holds_the_lock_in_c", "waits_in_c"),
    ):
        yield Death(function=name, limits=_BRIEF, verdict="timeout")
    for is_deaf in (False, True):
        one: Mapping[str, object] = {"is_deaf": is_deaf}
        yield Death(
            function="computes", inputs=one, limits={"cpu_seconds": 1}, verdict="cpu_exceeded"
        )
    for name in ("forks_on", "starts_threads_on"):
        yield Death(function=name, limits={"processes": 12}, verdict="processes_exceeded")
    yield Death(
        function="raises_of_its_own_accord",
        inputs={"number": errno.EACCES},
        verdict="raised",
        exception="PermissionError",
    )


def _of_memory() -> Iterator[Death]:
    much = {"size": 256 * MIB}
    for name, inputs in (
        ("takes_memory", {**much, "is_shared": False}),
        ("takes_memory", {**much, "is_shared": True}),
        ("takes_memory_in_a_child", much),
        ("takes_memory_in_small_pieces", {}),
        ("asks_for_an_absurd_amount", {}),
    ):
        yield Death(function=name, inputs=inputs, limits=_SMALL, verdict="out_of_memory")


def _of_disk() -> Iterator[Death]:
    for name, inputs, exception in (
        ("fills_the_disk", {"folder": "."}, "OSError"),
        ("fills_the_disk", {"folder": "/tmp"}, "OSError"),
        ("fills_the_disk", {"folder": "/dev/shm"}, "OSError"),
        ("fills_the_disk_and_clears_up", _NOTHING, "RuntimeError"),
        ("fills_the_disk_in_a_child", _NOTHING, "subprocess.CalledProcessError"),
        ("maps_more_than_the_disk_has", {"size": 16 * MIB}, ""),
    ):
        limits = {**_FULL, "memory_bytes": 256 * MIB}
        yield Death(
            function=name,
            inputs=inputs,
            limits=limits,
            verdict="disk_exceeded",
            exception=exception,
            tiers=_STRONGEST,
        )
    yield Death(
        function="fills_the_disk_and_exits",
        limits=_FULL,
        verdict="disk_exceeded",
        status=3,
        tiers=_STRONGEST,
    )
    for name, inputs in (
        ("fills_the_disk", {"folder": "."}),
        ("fills_the_disk_below", {"variable": "TMPDIR"}),
        ("fills_the_disk_without_names", {}),
        ("fills_the_disk_where_nobody_may_look", {}),
        ("makes_folders_in_folders", {}),
        ("makes_many_files", {}),
    ):
        yield Death(
            function=name,
            inputs=inputs,
            limits={**_FULL, "tmp_inodes": 256 if name == "makes_many_files" else 65536},
            verdict="disk_exceeded",
            tiers=_WATCHED,
        )
    few: Mapping[str, float] = {"tmp_inodes": 64}
    yield Death(function="makes_many_files", limits=few, verdict="disk_exceeded", tiers=_STRONGEST)
    yield Death(function="handles_a_full_disk", limits=_FULL, verdict="ok", tiers=_STRONGEST)
    for name in ("writes_a_large_file", "writes_a_large_file_deaf_to_python"):
        yield Death(
            function=name,
            inputs={"size": 4 * MIB},
            limits={"file_bytes": MIB},
            verdict="disk_exceeded",
        )


def _of_output() -> Iterator[Death]:
    for descriptor, (then, verdict) in itertools.product(
        (1, 2), (("sleep", "timeout"), ("die", "killed"), ("end", "ok"))
    ):
        yield Death(
            function="floods",
            inputs={"descriptor": descriptor, "then": then},
            limits=_BRIEF,
            verdict=verdict,
            signal=9 if verdict == "killed" else None,
        )
    yield Death(
        function="floods",
        inputs={"descriptor": 1, "then": "return"},
        limits={"result_bytes": 10_000},
        verdict="output_exceeded",
    )


def _of_its_own_doing() -> Iterator[Death]:
    for number in (int(signal.Signals[name]) for name in _SIGNALS):
        yield Death(function="dies_of", inputs={"number": number}, verdict="killed", signal=number)
    yield Death(function="aborts", verdict="killed", signal=signal.SIGABRT)
    yield Death(function="reads_address_zero", verdict="killed", signal=signal.SIGSEGV)
    for status in (1, 2, 77, 125, 127, 137, 255):
        tiers = TIERS if status == 1 else _STRONGEST
        one = {"status": status}
        yield Death(function="exits", inputs=one, verdict="exited", status=status, tiers=tiers)
    yield Death(function="exits", inputs={"status": 0}, verdict="no_result", status=0)
    for wish, status in ((5, 5), ("bye", 1)):
        yield Death(function="leaves", inputs={"wish": wish}, verdict="exited", status=status)
    yield Death(function="leaves", inputs={"wish": None}, verdict="no_result", status=0)
    yield Death(function="execs", verdict="no_result", status=0)


def _of_its_answers() -> Iterator[Death]:
    yield Death(function="writes_garbage", verdict="protocol_violation")
    for times, is_sealed, then, verdict in (
        (1, False, "sleep", "protocol_violation"),
        (1, False, "crash", "protocol_violation"),
        (2, True, "sleep", "protocol_violation"),
        # with a seal out of its own memory a step answers for itself, as it may
        (1, True, "sleep", "ok"),
        (1, True, "exit", "ok"),
        (1, True, "crash", "ok"),
    ):
        said = {"times": times, "is_sealed": is_sealed, "then": then}
        yield Death(function="answers", inputs=said, verdict=verdict)


TABLE = (
    *_rows(),
    *_of_memory(),
    *_of_disk(),
    *_of_output(),
    *_of_its_own_doing(),
    *_of_its_answers(),
)
