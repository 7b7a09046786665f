"""The facade for asyncio: the same names, no thread while a run is under way."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

from orq_runtime import settings
from orq_runtime._aturns import AsyncTurns
from orq_runtime._dataclass import replace
from orq_runtime._executor import checked_size
from orq_runtime._run import drive_async
from orq_runtime._run.outcome import description
from orq_runtime._session import Asked, Run, Session
from orq_runtime.errors import OrqRuntimeError, RequestError, SandboxError
from orq_runtime.events import Sink, ignore
from orq_runtime.model.artifact import wanted_of
from orq_runtime.model.checks import Checks, ChecksGiven
from orq_runtime.model.environment import Environment, Explanation, Freshness
from orq_runtime.model.keeps import RuntimeGiven, keeps_of
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome
from orq_runtime.model.plan import Manner, StartMode
from orq_runtime.model.policy import Policy
from orq_runtime.model.stats import Stats
from orq_runtime.model.step import Step
from orq_runtime.model.when import When

__all__ = ["AsyncRuntime"]

T = TypeVar("T")


class AsyncRuntime:
    """`Runtime` for asyncio: the same parameters, the same methods, to be awaited.

    Cancelling a task that awaits `run` kills the run before the task goes on. Close it, or use it
    in an `async with`.
    """

    _is_closed = False

    def __init__(
        self,
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        python: str | None = None,
        offline: bool | None = None,
        index: Iterable[str] | None = None,
        default_index: str | None = None,
        find_links: Iterable[str] | None = None,
        exclude_newer: str | None = None,
        allow_build: Iterable[str] | None = None,
        locked: bool | None = None,
        frozen: bool | None = None,
        isolation: str = "auto",
        limits: Limits | None = None,
        policy: Policy | None = None,
        spares: int = 4,
        start: StartMode = "zygote",
        concurrency: int | None = None,
        queue: int = 10_000,
        preload: Iterable[str] | None = None,
        prewarm: Iterable[Step] = (),
        on_event: Sink = ignore,
        **given: Unpack[RuntimeGiven],
    ) -> None:
        self._turns = AsyncTurns(concurrency, queue)
        self._session = Session(
            settings=settings.load(
                cache_dir=cache_dir if cache_dir is None else os.fspath(cache_dir),
                python=python,
                offline=offline,
                index=None if index is None else list(index),
                default_index=default_index,
                find_links=None if find_links is None else list(find_links),
                exclude_newer=exclude_newer,
                allow_build=None if allow_build is None else list(allow_build),
                locked=locked,
                frozen=frozen,
            ),
            isolation=isolation,
            limits=limits or Limits(),
            policy=policy or Policy(),
            spares=spares,
            start=start,
            keeps=keeps_of(preload, prewarm, given),  # first: the rest is the checks
            checks=Checks().but(given),
            sink=on_event,
        )
        self._under_way: set[asyncio.Future[None]] = set()
        self._tasks: set[asyncio.Task[Outcome]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def supply(
        self,
        *targets: Step | str | os.PathLike[str],
        lock: bool = False,
        upgrade: bool = False,
        upgrade_packages: Iterable[str] = (),
        refresh: bool = False,
        vendor: bool = False,
    ) -> Environment:
        """Make or find the joint environment of steps and component folders.

        `lock` writes what is resolved as `pylock.toml` beside the first component, or as
        `pylock.NAME.toml` beside a step's file. `upgrade` resolves anew to the newest versions,
        `upgrade_packages` to those of the packages named, and `refresh` asks the indexes again.
        `vendor` fills the first component's `vendor/`, so that it supplies offline elsewhere.

        Raises `SupplyError` when it cannot be made and `RequestError` when nothing was named.
        """
        wanted = [target if isinstance(target, Step) else Path(target) for target in targets]
        freshness = Freshness(
            upgrade=upgrade, upgrade_packages=tuple(upgrade_packages), refresh=refresh
        )
        return await asyncio.to_thread(
            self._session.supply, wanted, freshness, is_locking=lock, is_vendoring=vendor
        )

    async def explain(self, *targets: Step | str | os.PathLike[str]) -> Explanation:
        """Supply as `supply` does, and say why the environment was found or had to be made.

        For a miss it names the fields that made it, and the environment that differed least.
        """
        wanted = [target if isinstance(target, Step) else Path(target) for target in targets]
        return await asyncio.to_thread(self._session.explain, wanted)

    async def run(
        self,
        step: Step,
        inputs: Mapping[str, object] | None = None,
        *,
        limits: Limits | None = None,
        check: bool = True,
        outputs: Iterable[str] | Mapping[str, str] | None = None,
        outputs_dir: str | os.PathLike[str] | None = None,
        keep_files: bool = False,
        show_locals: bool = False,
        timeout: float | None = None,
        **checks: Unpack[ChecksGiven],
    ) -> Outcome:
        """Call the step's function once, by keyword, and wait for its outcome.

        Raises the exception of the outcome's verdict unless it is `ok`; with `check=False` the
        outcome of every run is returned. What keeps a run from being tried raises in any case:
        `SupplyError`, and `RequestError` for inputs that are no JSON or a missing file.

        `outputs` are declared in place of the step's own. What was declared is collected from the
        run's working folder into artifacts of the cache, or into `outputs_dir`; `keep_files` keeps
        what nobody declared too. An input may be an `Artifact`: the run can read it, and gets a
        path to it. `show_locals` has a failure tell the variables of its frames. `typecheck`,
        `coerce` and `nan` win over the runtime's own. All must be over within `timeout` seconds
        from now, also what comes before the run; `limits.wall_seconds` is for the run alone.

        Raises `RuntimeSaturated` when as many runs wait as may.
        """
        self._confirm_open()
        wanted = wanted_of(step.outputs, outputs, outputs_dir, keeps_all=keep_files)
        manner = self._session.manner(checks, shows_locals=show_locals)
        when = When.now(timeout)
        outcome = await self._run_once((step, inputs, limits, wanted, manner, when))
        return _checked(outcome) if check else outcome

    def submit(
        self,
        step: Step,
        inputs: Mapping[str, object] | None = None,
        *,
        limits: Limits | None = None,
        check: bool = True,
        outputs: Iterable[str] | Mapping[str, str] | None = None,
        outputs_dir: str | os.PathLike[str] | None = None,
        keep_files: bool = False,
        show_locals: bool = False,
        timeout: float | None = None,
        **checks: Unpack[ChecksGiven],
    ) -> asyncio.Task[Outcome]:
        """Start `run` in the background; its future's `cancel` kills the run."""
        self._confirm_open()
        wanted = wanted_of(step.outputs, outputs, outputs_dir, keeps_all=keep_files)
        manner = self._session.manner(checks, shows_locals=show_locals)
        when = When.now(timeout)

        async def run() -> Outcome:
            outcome = await self._run_once((step, inputs, limits, wanted, manner, when))
            return _checked(outcome) if check else outcome

        task = asyncio.ensure_future(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def map(
        self,
        step: Step,
        inputs: Iterable[Mapping[str, object]],
        *,
        limits: Limits | None = None,
        check: bool = True,
        ordered: bool = True,
        chunksize: int = 1,
        **checks: Unpack[ChecksGiven],
    ) -> AsyncIterator[Outcome]:
        """Run the step for each of the inputs, several at once; outcomes come in their order.

        With `ordered=False` they come as they are there. `chunksize` inputs at a time are run by
        one task one after another, each in a process of its own; that saves little and delays
        outcomes. Inputs are taken as they are needed.

        Raises at the failing item, as `run` does; runs that are under way are then killed.
        """
        size = checked_size(chunksize)
        manner = self._session.manner(checks)
        left = iter(inputs)
        pending: dict[asyncio.Task[list[Outcome | Exception]], None] = {}
        chunk = list(itertools.islice(left, size))
        try:
            while chunk or pending:
                while chunk and len(pending) < self._turns.ahead:
                    task = asyncio.ensure_future(
                        self._run_chunk(step, chunk, limits, manner, check=check)
                    )
                    pending[task] = None
                    chunk = list(itertools.islice(left, size))
                first = [next(iter(pending))] if ordered else pending
                done, _ = await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    for found in task.result():
                        if isinstance(found, Exception):
                            raise found
                        yield found
                    del pending[task]
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def schema(self, step: Step) -> dict[str, object]:
        """JSON Schema of what the step's function takes and gives, without calling it.

        The document has `name`, `description`, and the schemas `inputs` and `output`. The step's
        file is imported behind the wall; raises as `run` does when that fails.
        """
        manner = Manner(purpose="describe")
        return description(
            _checked(await self._run_once((step, None, None, None, manner, When.now())))
        )

    async def check(
        self, step: Step, inputs: Mapping[str, object] | None = None, *, check: bool = True
    ) -> Outcome:
        """Whether `run` would take these inputs: all that comes before the function is called.

        The step's file is imported behind the wall, and no line of the function runs. Raises as
        `run` does (`BadCall`, `WrongArgument`, ...) unless `check` is False.
        """
        manner = Manner(purpose="check")
        outcome = await self._run_once((step, inputs, None, None, manner, When.now()))
        return _checked(outcome) if check else outcome

    def stats(self) -> Stats:
        """How many zygotes and children there are, and how often a child was found parked."""
        return replace(self._session.stats(), waiting=self._turns.waiting)

    async def close(self, *, drain: bool = False) -> None:
        """End every run and every process. The runtime cannot be used afterwards.

        With `drain` the runs that were asked for are waited for first. In a fork of its process it
        does nothing.
        """
        if not self._session.life.is_here:
            return
        self._is_closed = True
        while drain and (self._tasks or self._under_way):
            left: list[asyncio.Future[Any]] = [*self._tasks, *self._under_way]
            await asyncio.wait(left)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._session.close)

    def _confirm_open(self) -> None:
        self._session.life.confirm()
        if self._is_closed:
            raise RequestError("the runtime is closed", hint="make another `Runtime`")

    async def _run_chunk(
        self,
        step: Step,
        chunk: Iterable[Mapping[str, object]],
        limits: Limits | None,
        manner: Manner,
        *,
        check: bool,
    ) -> list[Outcome | Exception]:
        """Their outcomes, up to the first error."""
        found: list[Outcome | Exception] = []
        wanted = wanted_of(step.outputs, None, None, keeps_all=False)
        for one in chunk:
            try:
                asked = step, one, limits, wanted, manner, When.now()
                outcome = await self._run_once(asked)
                found.append(_checked(outcome) if check else outcome)
            except OrqRuntimeError as error:
                found.append(error)
                break
        return found

    async def _run_once(self, asked: Asked) -> Outcome:
        session, (step, *_, when) = self._session, asked
        mark: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(mark)
        try:
            if not await self._turns.take(step, when):
                return session.too_late(when)
            try:
                tries = 0
                while True:
                    outcome, run = await self._tried(asked)
                    tries += 1
                    if not run.goes_again(outcome, tries):
                        return outcome
            finally:
                self._turns.give()
        finally:
            self._under_way.discard(mark)
            mark.set_result(None)

    async def _tried(self, asked: Asked) -> tuple[Outcome, Run]:
        session, (step, inputs, limits, wanted, manner, when) = self._session, asked
        session.life.confirm()
        run = session.prepare_at_hand(step, inputs, limits, wanted, manner)
        if run is None:
            run = await _in_thread(
                lambda: session.prepare(step, inputs, limits, wanted, manner),
                undo=session.discard,
            )
        try:
            late = session.late(run, when)
            return await self._driven(run) if late is None else late, run
        finally:
            session.discard(run)

    async def _driven(self, run: Run) -> Outcome:
        session = self._session
        try:
            claimed = session.claim_at_hand(run)
            if claimed is None:
                claimed = await _in_thread(
                    lambda: session.claim(run), undo=lambda _: session.discard(run)
                )
            slot, machine = claimed
        except SandboxError as error:
            return session.refuse(run, error)
        await drive_async.run(machine, slot)
        if run.wanted is None and not slot.has_blobs:
            return session.finish(run)
        collecting = asyncio.ensure_future(asyncio.to_thread(session.finish, run))
        try:
            return await asyncio.shield(collecting)
        except asyncio.CancelledError:
            await asyncio.wait([collecting])  # it holds the run's folder
            raise


async def _in_thread(work: Callable[[], T], *, undo: Callable[[T], object]) -> T:
    """Do blocking work in a thread; when cancelled meanwhile, undo what it will have made."""
    future = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(lambda done: None if done.exception() else undo(done.result()))
        raise


def _checked(outcome: Outcome) -> Outcome:
    error = outcome.error()
    if error is not None:
        raise error
    return outcome
