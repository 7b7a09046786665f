"""The blocking facade: supply environments, run steps, from any thread."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Self, Unpack

from orq_runtime import settings
from orq_runtime._dataclass import replace
from orq_runtime._drivers import Calls, Drivers, RunFuture
from orq_runtime._executor import StepExecutor, in_chunks
from orq_runtime._run import drive_sync
from orq_runtime._run.drive_sync import Canceller
from orq_runtime._run.outcome import description
from orq_runtime._session import Asked, Run, Session
from orq_runtime.errors import OrqRuntimeError, SandboxError
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

__all__ = ["RunFuture", "Runtime"]


class Runtime:
    """Supplies environments and runs steps in them. Safe to use from many threads.

    `cache_dir`, `python`, `offline`, `index`, `default_index`, `find_links`, `exclude_newer`,
    `allow_build`, `locked` and `frozen` are the settings of `orq_runtime.settings`, given here or
    taken from the user's own. `isolation` names the tier (`auto`: the strongest this machine has),
    `limits` are the defaults of each run, `policy` is what every run may touch, up to `spares`
    children are kept parked for each environment (as many as were lately wanted at once), `start`
    is `zygote` or `exec`, and `on_event` is told of progress. `concurrency` bounds the runs of
    `submit` and `map` that are under way, `queue` those that wait for it: beyond, `submit` raises
    `RuntimeSaturated`. Steps that wait take turns, whatever their numbers.

    `zygotes` are kept at most once they have no run, each for `idle_seconds` after its last, and no
    more of them and of parked children than fit into `parked_bytes` of memory. They `preload`
    modules: by default those that a step's code imports of its declared distributions. The
    environments of the `prewarm` steps are made ready in the background.

    `typecheck` (`all`, `sample`, `off`), `coerce` (False) and `nan` (`error`, `allow`) say how
    strictly values are taken.

    Close it, or use it in a `with`: closing ends every run and every process.
    """

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
        self._drivers = Drivers(concurrency, queue)
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
        self._calls = Calls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def supply(
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
        return self._session.supply(
            [target if isinstance(target, Step) else Path(target) for target in targets],
            Freshness(upgrade=upgrade, upgrade_packages=tuple(upgrade_packages), refresh=refresh),
            is_locking=lock,
            is_vendoring=vendor,
        )

    def explain(self, *targets: Step | str | os.PathLike[str]) -> Explanation:
        """Supply as `supply` does, and say why the environment was found or had to be made.

        For a miss it names the fields that made it, and the environment that differed least.
        """
        return self._session.explain(
            [target if isinstance(target, Step) else Path(target) for target in targets]
        )

    def run(
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
        """
        wanted, manner = None, self._session.usual_manner
        if step.outputs or outputs is not None or keep_files:
            wanted = wanted_of(step.outputs, outputs, outputs_dir, keeps_all=keep_files)
        if checks or show_locals:
            manner = self._session.manner(checks, shows_locals=show_locals)
        with self._calls:
            when = When(time.monotonic_ns()) if timeout is None else When.now(timeout)
            outcome = self._run_once((step, inputs, limits, wanted, manner, when))
        return outcome if outcome.verdict == "ok" or not check else _checked(outcome)

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
    ) -> Future[Outcome]:
        """Start `run` in the background; its future's `cancel` kills the run.

        Raises `RuntimeSaturated` when as many runs wait as may.
        """
        wanted = wanted_of(step.outputs, outputs, outputs_dir, keeps_all=keep_files)
        manner = self._session.manner(checks, shows_locals=show_locals)
        asked = (step, inputs, limits, wanted, manner, When.now(timeout))

        def run(canceller: Canceller) -> Outcome:
            outcome = self._run_once(asked, canceller)
            return _checked(outcome) if check else outcome

        return self._drivers.submit(step, run, asked[-1])

    def map(
        self,
        step: Step,
        inputs: Iterable[Mapping[str, object]],
        *,
        limits: Limits | None = None,
        check: bool = True,
        ordered: bool = True,
        chunksize: int = 1,
        **checks: Unpack[ChecksGiven],
    ) -> Iterator[Outcome]:
        """Run the step for each of the inputs, several at once; outcomes come in their order.

        With `ordered=False` they come as they are there. `chunksize` inputs at a time are run by
        one thread one after another, each in a process of its own; that saves little and delays
        outcomes. Inputs are taken as they are needed.

        Raises at the failing item, as `run` does; runs that are under way are then killed.
        """
        manner = self._session.manner(checks)

        def start(chunk: Sequence[Mapping[str, object]]) -> Future[list[Outcome | Exception]]:
            when = When.now()
            wanted = wanted_of(step.outputs, None, None, keeps_all=False)
            asked = [(step, one, limits, wanted, manner, when) for one in chunk]
            work = functools.partial(self._run_chunk, asked, check=check)
            return self._drivers.submit(step, work, when)

        return in_chunks(start, inputs, chunksize, ahead=self._drivers.ahead, is_ordered=ordered)

    def executor(self, step: Step) -> StepExecutor:
        """The step as a `concurrent.futures.Executor`.

        `submit({...})` or `submit(name=...)` gives a future of what the function returns, `map`
        takes the inputs of each run.
        """

        def start(inputs: Mapping[str, object]) -> Future[object]:
            manner = self._session.manner({})
            wanted = wanted_of(step.outputs, None, None, keeps_all=False)
            when = When.now()
            asked = (step, inputs, None, wanted, manner, when)
            return self._drivers.submit(
                step, lambda bell: _checked(self._run_once(asked, bell)).value, when
            )

        return StepExecutor(start)

    def schema(self, step: Step) -> dict[str, object]:
        """JSON Schema of what the step's function takes and gives, without calling it.

        The document has `name`, `description`, and the schemas `inputs` and `output`. The step's
        file is imported behind the wall; raises as `run` does when that fails.
        """
        manner = Manner(purpose="describe")
        return description(_checked(self._once(step, None, manner)))

    def check(
        self, step: Step, inputs: Mapping[str, object] | None = None, *, check: bool = True
    ) -> Outcome:
        """Whether `run` would take these inputs: all that comes before the function is called.

        The step's file is imported behind the wall, and no line of the function runs. Raises as
        `run` does (`BadCall`, `WrongArgument`, ...) unless `check` is False.
        """
        outcome = self._once(step, inputs, Manner(purpose="check"))
        return _checked(outcome) if check else outcome

    def stats(self) -> Stats:
        """How many zygotes and children there are, and how often a child was found parked."""
        return replace(self._session.stats(), waiting=self._drivers.waiting)

    def close(self, *, drain: bool = False) -> None:
        """End every run and every process. The runtime cannot be used afterwards.

        With `drain` the runs that were asked for are waited for first. In a fork of its process it
        does nothing.
        """
        if not self._session.life.is_here:
            return
        self._calls.refuse()
        self._drivers.close(drain=drain)
        if drain:
            self._calls.wait()
        self._session.close()

    def _once(self, step: Step, inputs: Mapping[str, object] | None, manner: Manner) -> Outcome:
        with self._calls:
            return self._run_once((step, inputs, None, None, manner, When.now()))

    def _run_chunk(
        self, chunk: Sequence[Asked], canceller: Canceller, *, check: bool
    ) -> list[Outcome | Exception]:
        """Their outcomes, up to the first error."""
        found: list[Outcome | Exception] = []
        for asked in chunk:
            try:
                outcome = self._run_once(asked, canceller)
                found.append(_checked(outcome) if check else outcome)
            except OrqRuntimeError as error:
                found.append(error)
                break
        return found

    def _run_once(self, asked: Asked, canceller: Canceller | None = None) -> Outcome:
        step, inputs, limits, wanted, manner, when = asked
        if when.over_ns is not None and time.monotonic_ns() >= when.over_ns:
            return self._session.too_late(when)
        tries = 0
        while True:
            run = self._session.prepare(step, inputs, limits, wanted, manner)
            try:
                late = self._session.late(run, when)
                outcome = self._driven(run, canceller) if late is None else late
            finally:
                if not run.is_over:
                    self._session.discard(run)
            tries += 1
            if not run.goes_again(outcome, tries):
                return outcome

    def _driven(self, run: Run, canceller: Canceller | None) -> Outcome:
        try:
            slot, machine = self._session.claim(run)
        except SandboxError as error:
            return self._session.refuse(run, error)
        drive_sync.run(machine, slot, canceller)
        return self._session.finish(run)


def _checked(outcome: Outcome) -> Outcome:
    error = outcome.error()
    if error is not None:
        raise error
    return outcome
