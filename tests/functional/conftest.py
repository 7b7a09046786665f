"""One way of calling a step for every test of behaviour: both facades, both starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from orq_runtime import AsyncRuntime, Limits, Outcome, Runtime, Step
from orq_runtime.errors import WallUnavailable
from orq_runtime.model.plan import StartMode


class Call(Protocol):
    """Run a step once and give its outcome, whatever its verdict."""

    def __call__(
        self,
        step: Step,
        inputs: Mapping[str, object] | None = None,
        *,
        limits: Limits | None = None,
    ) -> Outcome: ...


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """A folder that others may read: as root a run is another user."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for the whole session of this test process."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session", params=["zygote", "exec"])
def start(request: pytest.FixtureRequest) -> StartMode:
    """Both ways to start a run."""
    return "zygote" if request.param == "zygote" else "exec"


@pytest.fixture(scope="session", params=["namespaces", "process"])
def isolation(request: pytest.FixtureRequest) -> str:
    """The strongest tier and the weakest."""
    return str(request.param)


@pytest.fixture(
    scope="session",
    params=[
        ("sync", "zygote", "namespaces"),
        ("async", "zygote", "namespaces"),
        ("sync", "exec", "namespaces"),
        ("async", "exec", "namespaces"),
        ("sync", "zygote", "process"),
        ("async", "exec", "process"),
    ],
    ids="-".join,
)
def call(request: pytest.FixtureRequest, cache_dir: Path) -> Iterator[Call]:
    """Both facades over both starts, behind a wall and without one."""
    facade, start, isolation = request.param
    make = _sync_call if facade == "sync" else _async_call
    yield from make(cache_dir, start, isolation)


def _sync_call(cache_dir: Path, start: StartMode, isolation: str) -> Iterator[Call]:
    with Runtime(cache_dir=cache_dir, start=start, isolation=isolation) as runtime:

        def call(
            step: Step,
            inputs: Mapping[str, object] | None = None,
            *,
            limits: Limits | None = None,
        ) -> Outcome:
            return runtime.run(step, inputs, limits=limits, check=False)

        yield call


def _async_call(cache_dir: Path, start: StartMode, isolation: str) -> Iterator[Call]:
    with asyncio.Runner() as runner:
        runtime = runner.run(_made(cache_dir, start, isolation))

        def call(
            step: Step,
            inputs: Mapping[str, object] | None = None,
            *,
            limits: Limits | None = None,
        ) -> Outcome:
            return runner.run(runtime.run(step, inputs, limits=limits, check=False))

        yield call
        runner.run(runtime.close())


async def _made(cache_dir: Path, start: StartMode, isolation: str) -> AsyncRuntime:
    return AsyncRuntime(cache_dir=cache_dir, start=start, isolation=isolation)


_TIERED = [
    ("zygote", "namespaces"),
    ("exec", "namespaces"),
    ("zygote", "landlock"),
    ("exec", "landlock"),
    ("zygote", "process"),
]


@pytest.fixture(scope="module", params=_TIERED, ids="-".join)
def tiered(request: pytest.FixtureRequest, cache_dir: Path) -> Iterator[Runtime]:
    """A runtime of each tier, and of both starts."""
    start, isolation = request.param
    try:
        made = Runtime(cache_dir=cache_dir, start=start, isolation=isolation)
    except WallUnavailable as error:
        pytest.skip(error.message)
    with made:
        yield made


@pytest.fixture(scope="module")
def one(cache_dir: Path) -> Iterator[Runtime]:
    """One runtime, for what has nothing to do with tiers."""
    with Runtime(cache_dir=cache_dir, isolation="namespaces") as made:
        yield made
