"""Does anything grow? Many runs through one runtime, with all that it holds counted on the way.

    python -m benchmarks.soak [--runs N] [--isolation TIER] [--start zygote|exec] [--json FILE]

Counted are descriptors, threads, processes under this one, mounts, folders of runs and of their
cgroups, and the resident memory of this process.

Rules of this file:

1. A run that does not end as it must ends the soak; so does anything that is still more than
   before, once the runtime is closed.
2. While runs go on only growth counts: the last tenth is compared with the first, and spares,
   the dying and caches that fill may differ by a bounded number.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import describe_machine, source_version
from orq_runtime import Runtime, Step
from orq_runtime.model.plan import StartMode

__all__ = ["Held", "Soak", "main", "soak"]

_SAMPLES = 10
_STEP = Step(
    source=(
        "import os\n"
        "def f(n: int) -> int:\n"
        "    print('x' * 1000)\n"
        "    with open('file', 'w') as file:\n"
        "        file.write('y' * 1000)\n"
        "    if n % 50 == 49:\n"
        "        os._exit(3)\n"
        "    if n % 50 == 48:\n"
        "        raise ValueError(n)\n"
        "    return n\n"
    ),
    function="f",
)
_SLACK = {"resident_kib": 16 * 1024}
_MOST_MORE = 80
"""What one sample may hold more than another of a runtime with eight runs at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What this process and all under it hold at a moment."""

    descriptors: int
    threads: int
    processes: int
    mounts: int
    folders: int
    resident_kib: int

    def grown_from(self, before: Held, *, at_rest: bool) -> list[str]:
        """What is more than before, in words, beyond what may be."""
        found = []
        for one in fields(self):
            old, new = getattr(before, one.name), getattr(self, one.name)
            slack = _SLACK.get(one.name, 0 if at_rest else _MOST_MORE)
            if new > old + slack:
                found.append(f"{one.name}: {old} -> {new}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """What was held before, at even steps on the way, and after the runtime was closed."""

    runs: int
    seconds: float
    before: Held
    samples: tuple[Held, ...]
    after: Held

    def grown(self) -> list[str]:
        """What grew, in words; nothing when all is well."""
        on_the_way = self.samples[-1].grown_from(self.samples[0], at_rest=False)
        return [*on_the_way, *self.after.grown_from(self.before, at_rest=True)]


def held(places: set[Path]) -> Held:
    """What is held now. `places` are folders of ours that were met; those of now are added."""
    descriptors = _descriptors()
    places |= {place for target in descriptors if (place := _place(target)) is not None}
    inside = [len(list(place.iterdir())) for place in places if place.is_dir()]
    return Held(
        descriptors=len(descriptors),
        threads=len(list(Path("/proc/self/task").iterdir())),
        processes=sum(1 for _ in _under(os.getpid())),
        mounts=Path("/proc/self/mountinfo").read_text("utf-8").count("\n"),
        folders=len(inside) + sum(inside),
        resident_kib=_resident_kib(),
    )


def _descriptors() -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found.append(str(link.readlink()))
    return found


def _place(target: str) -> Path | None:
    """The folder of a session that a descriptor keeps: that of its runs, or of its cgroups."""
    if "/orq-runtime-" in target and target.endswith(".lock"):
        return Path(target.removesuffix(".lock"))
    if "/orq-runtime." in target:
        before, name = target.split("/orq-runtime.", 1)
        return Path(f"{before}/orq-runtime.{name.partition('/')[0]}")
    return None


def _under(pid: int) -> Iterator[int]:
    """All processes under one."""
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text("ascii").split():
                yield int(child)
                yield from _under(int(child))
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return


def _resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def soak(
    cache_dir: Path, runs: int, *, isolation: str = "auto", start: StartMode = "zygote"
) -> Soak:
    """Do the runs and count. Raises AssertionError for a run that ended otherwise than it must."""
    samples, places = list[Held](), set[Path]()
    with Runtime(cache_dir=cache_dir, isolation=isolation, start=start) as runtime:
        runtime.run(_STEP, {"n": 0})  # what is made once is made
    before, begun = held(places), time.monotonic()
    with Runtime(cache_dir=cache_dir, isolation=isolation, start=start, concurrency=8) as runtime:
        outcomes = runtime.map(_STEP, ({"n": n} for n in range(runs)), check=False)
        for number, outcome in enumerate(outcomes):
            expected = {49: "exited", 48: "raised"}.get(number % 50, "ok")
            assert expected == outcome.verdict, (number, outcome)
            assert outcome.value == (number if expected == "ok" else None), (number, outcome)
            if (number + 1) % max(1, runs // _SAMPLES) == 0:
                samples.append(held(places))
    return Soak(
        runs=runs,
        seconds=time.monotonic() - begun,
        before=before,
        samples=tuple(samples),
        after=held(places),
    )


def _told(found: Soak) -> dict[str, object]:
    return {
        "benchmark": "soak",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "source": source_version(),
        **asdict(found),
        "grown": found.grown(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, show what was held, and say what grew; 1 when anything did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--isolation", default="auto")
    parser.add_argument("--start", choices=["zygote", "exec"], default="zygote")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="orq-soak-") as folder:
        found = soak(Path(folder), options.runs, isolation=options.isolation, start=options.start)
    for name, one in [
        ("before", found.before),
        *((f"{10 * (i + 1)} %", sample) for i, sample in enumerate(found.samples)),
        ("after", found.after),
    ]:
        print(f"{name:8}", " ".join(f"{key}={value}" for key, value in asdict(one).items()))
    print(f"{found.runs} runs in {found.seconds:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(_told(found), indent=1) + "\n", "utf-8")
    for line in found.grown():
        print(f"grown: {line}", file=sys.stderr)
    return 1 if found.grown() else 0


if __name__ == "__main__":
    sys.exit(main())
