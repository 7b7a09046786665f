"""What a runtime keeps ready, for how long, and how much of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any  # Any: what must not be given

import pytest

import orq_runtime as orq
from orq_runtime import errors
from orq_runtime._prepared import Preparations
from orq_runtime._provision import Provision
from tests.supply_fixtures import make_wheel

_DOUBLE = orq.Step(source="def f(n: int) -> int:\n    return 2 * n\n", function="f")


def test_an_environment_can_be_warmed_ahead(cache_dir: Path) -> None:
    """With `prewarm` the first run of a step finds a child parked."""
    with orq.Runtime(cache_dir=cache_dir, prewarm=[_DOUBLE]) as runtime:
        while runtime.stats().parked == 0:
            threading.Event().wait(0.01)  # nothing tells when it is ready
        outcome = runtime.run(_DOUBLE, {"n": 1})
        stats = runtime.stats()

    assert "hot" == outcome.start
    assert (1, 1, 1, 1.0) == (stats.starts, stats.claims, stats.hits, stats.hit_rate)


@pytest.mark.parametrize("fails", [False, True])
def test_of_those_who_want_a_step_at_once_one_prepares_it(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """The others wait for it, and find it there; if it fails, each tries for itself."""
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        runtime.supply(_DOUBLE)
    asked: list[object] = []
    came, goes_on = threading.Semaphore(0), threading.Event()
    of, request_of = Preparations.of, Provision.request_of

    def arrive(self: Preparations, *args: Any, **named: Any) -> Any:
        came.release()
        return of(self, *args, **named)

    def ask(self: Provision, target: Any) -> Any:
        asked.append(target)
        goes_on.wait()
        if fails and len(asked) == 1:
            raise errors.SupplyError("not this time")
        return request_of(self, target)

    monkeypatch.setattr(Preparations, "of", arrive)
    monkeypatch.setattr(Provision, "request_of", ask)
    with orq.Runtime(cache_dir=cache_dir, concurrency=3) as runtime:
        futures = [runtime.submit(_DOUBLE, {"n": n}) for n in range(3)]
        for _ in futures:
            came.acquire()
        goes_on.set()
        ended = [future.exception() or future.result().value for future in futures]

    if fails:
        assert 1 == sum(isinstance(one, errors.SupplyError) for one in ended)
    else:
        assert ([0, 2, 4], 1) == (ended, len(asked))


def test_modules_can_be_named_for_the_preload(cache_dir: Path, tmp_path: Path) -> None:
    """`preload` takes the place of what the step's code was seen to import."""
    make_wheel(tmp_path, "ahead", files={"ahead.py": "import os\nPID = os.getpid()\n"})
    source = "import os\ndef f() -> bool:\n    import ahead\n    return ahead.PID == os.getpid()\n"
    step = orq.Step(source=source, function="f", requirements=["ahead"])
    values = []
    for preload in ([], ["ahead"]):
        with orq.Runtime(
            cache_dir=cache_dir,
            offline=True,
            find_links=[str(tmp_path)],
            isolation="process",
            preload=preload,
        ) as runtime:
            values.append(runtime.run(step).value)

    assert [True, False] == values


def test_modules_that_runs_keep_importing_are_told(cache_dir: Path, tmp_path: Path) -> None:
    """By run and in all: packages of the environment, none of the step's, none that was ready."""
    make_wheel(tmp_path, "ahead", files={"ahead.py": "import os\nimport json.tool\n"})
    (tmp_path / "mine.py").write_text("import ahead\n")
    (tmp_path / "step.py").write_text("def f() -> int:\n    import mine\n    return 1\n")
    step = orq.Step(
        file=tmp_path / "step.py",
        function="f",
        components=[tmp_path],
        requirements=["ahead"],
    )
    with orq.Runtime(
        cache_dir=cache_dir, offline=True, find_links=[str(tmp_path)], isolation="process"
    ) as runtime:
        told = [runtime.run(step).imported for _ in range(3)]
        counted = runtime.stats().imported
    with orq.Runtime(
        cache_dir=cache_dir,
        offline=True,
        find_links=[str(tmp_path)],
        isolation="process",
        preload=["ahead"],
    ) as runtime:
        told.append(runtime.run(step).imported)

    assert ([("ahead",)] * 3 + [()], {"ahead": 3}) == (told, counted)


def test_the_least_recently_used_zygote_goes_first(cache_dir: Path) -> None:
    """With room for one zygote without runs, the older of two is gone soon after the second ran."""
    with orq.Runtime(cache_dir=cache_dir, zygotes=1) as runtime:
        runtime.run(_DOUBLE, {"n": 1})
        runtime.run(_DOUBLE, {"n": 1}, limits=orq.Limits(tmp_bytes=1 << 20))
        while runtime.stats().retired == 0:
            threading.Event().wait(0.01)  # nothing tells when it is gone
        stats = runtime.stats()

    assert (1, 2, 1) == (stats.zygotes, stats.starts, stats.retired)


def test_an_idle_zygote_is_retired_and_made_anew(cache_dir: Path) -> None:
    """After `idle_seconds` nothing of it is left, and the next run is warm again."""
    with orq.Runtime(cache_dir=cache_dir, idle_seconds=0.2) as runtime:
        runtime.run(_DOUBLE, {"n": 1})
        while runtime.stats().zygotes:
            threading.Event().wait(0.01)  # nothing tells when it is gone
        outcome = runtime.run(_DOUBLE, {"n": 1})

    assert "warm" == outcome.start


def test_what_is_parked_fits_under_its_ceiling(cache_dir: Path) -> None:
    """What the kernel counts is told; without room nothing is kept, and every run is warm."""
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        runtime.run(_DOUBLE, {"n": 1})
        while not (kept := runtime.stats()).parked_bytes:
            threading.Event().wait(0.01)  # nothing tells when it is weighed
    with orq.Runtime(cache_dir=cache_dir, parked_bytes=0) as runtime:
        starts = []
        for n in range(2):
            starts.append(runtime.run(_DOUBLE, {"n": n}).start)
            while runtime.stats().zygotes:
                threading.Event().wait(0.01)  # nothing tells when it is gone
        stats = runtime.stats()

    assert 1 << 20 < kept.parked_bytes < 1 << 30
    assert (["warm", "warm"], 2, 0, 0) == (starts, stats.retired, stats.parked, stats.parked_bytes)


@pytest.mark.parametrize(
    "given",
    [
        {"parked_bytes": -1},
        {"parked_bytes": 1.5},
        {"parked_bytes": True},
        {"idle_seconds": float("nan")},
        {"idle_seconds": -1},
        {"zygotes": -1},
        {"spares": -1},
        {"spares": 1.5},
        {"concurrency": 0},
        {"queue": -1},
    ],
)
def test_a_runtime_refuses_quantities_that_are_none(cache_dir: Path, given: dict[str, Any]) -> None:
    """By name, before anything is started."""
    (name,) = given
    with pytest.raises(errors.RequestError, match=f"`{name}`"):
        orq.Runtime(cache_dir=cache_dir, **given)
