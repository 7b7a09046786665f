"""The blocking facade: supply environments, run steps, from any thread."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self, Unpack

from orq_runtime import settings
from orq_runtime._run import drive_sync
from orq_runtime._run.drive_sync import Canceller
from orq_runtime._run.outcome import description
from orq_runtime._session import Run, Session
from orq_runtime.errors import SandboxError
from orq_runtime.events import Sink, ignore
from orq_runtime.model.artifact import Wanted, wanted_of
from orq_runtime.model.checks import Checks, ChecksGiven
from orq_runtime.model.environment import Environment, Explanation, Freshness
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome
from orq_runtime.model.plan import Manner, StartMode
from orq_runtime.model.policy import Policy
from orq_runtime.model.step import Step

__all__ = ["RunFuture", "Runtime"]


class RunFuture(Future[Outcome]):
    """The future of one run. `cancel` works until the run is over: it kills the run."""

    def __init__(self) -> None:
        super().__init__()
        self.canceller = Canceller()
        self._is_under_way = False

    def running(self) -> bool:
        """Whether the run is under way."""
        return self._is_under_way and not self.done()

    def cancel(self) -> bool:
        """Kill the run, or keep it from starting; False when it is over already."""
        self.canceller.cancel()
        return super().cancel()

    def work(self, run: Callable[[Canceller], Outcome]) -> None:
        """Do the run and settle the future. For the runtime's own threads."""
        error: BaseException | None = None
        outcome: Outcome | None = None
        if not self.canceller.is_rung:
            self._is_under_way = True
            try:
                outcome = run(self.canceller)
            except BaseException as raised:  # noqa: BLE001 - it is the caller's, through the future
                error = raised
        # only now, for a future that says it runs can no more be cancelled
        if self.set_running_or_notify_cancel():
            if error is not None:
                self.set_exception(error)
            elif outcome is not None:
                self.set_result(outcome)
        self.canceller.close()


class Runtime:
    """Supplies environments and runs steps in them. Safe to use from many threads.

    `cache_dir`, `python`, `offline`, `index`, `default_index`, `find_links`, `exclude_newer`,
    `allow_build`, `locked` and `frozen` are the settings of `orq_runtime.settings`, given here or
    taken from the user's own. `isolation` names the tier (`auto`: the strongest this machine has),
    `limits` are the defaults of each run, `policy` is what every run may touch, up to `spares`
    children are kept parked for each environment (as many as were lately wanted at once), `start`
    is `zygote` or `exec`, `concurrency` bounds the runs of `submit` and `map`, and `on_event` is
    told of progress. `typecheck` (`all`, `sample`, `off`), `coerce` (False) and `nan` (`error`,
    `allow`) say how strictly values are taken.

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
        on_event: Sink = ignore,
        **checks: Unpack[ChecksGiven],
    ) -> None:
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
            checks=Checks().but(checks),
            sink=on_event,
        )
        self._concurrency = concurrency or max(4, 2 * (os.cpu_count() or 1))
        self._threads: ThreadPoolExecutor | None = None
        self._futures: set[Future[Outcome]] = set()

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
        `coerce` and `nan` win over the runtime's own.
        """
        wanted = wanted_of(step.outputs, outputs, outputs_dir, keeps_all=keep_files)
        manner = Manner(shows_locals=show_locals, checks=self._session.checks.but(checks))
        outcome = self._run_once(step, inputs, limits, wanted, manner)
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
        **checks: Unpack[ChecksGiven],
    ) -> Future[Outcome]:
        """Start `run` in the background; its future's `cancel` kills the run."""
        wanted = wanted_of(step.outputs, outputs, outputs_dir, keeps_all=keep_files)
        manner = Manner(shows_locals=show_locals, checks=self._session.checks.but(checks))
        future = RunFuture()

        def run(canceller: Canceller) -> Outcome:
            outcome = self._run_once(step, inputs, limits, wanted, manner, canceller)
            return _checked(outcome) if check else outcome

        self._futures.add(future)
        future.add_done_callback(lambda _: self._futures.discard(future))
        self._executor().submit(future.work, run)
        return future

    def map(
        self,
        step: Step,
        inputs: Iterable[Mapping[str, object]],
        *,
        limits: Limits | None = None,
        check: bool = True,
        **checks: Unpack[ChecksGiven],
    ) -> Iterator[Outcome]:
        """Run the step for each of the inputs, several at once; outcomes come in their order.

        Raises at the failing item, as `run` does; runs that are under way are then killed.
        """
        ahead: collections.deque[Future[Outcome]] = collections.deque()
        try:
            for one in inputs:
                ahead.append(self.submit(step, one, limits=limits, check=check, **checks))
                if len(ahead) >= 2 * self._concurrency:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def schema(self, step: Step) -> dict[str, object]:
        """JSON Schema of what the step's function takes and gives, without calling it.

        The document has `name`, `description`, and the schemas `inputs` and `output`. The step's
        file is imported behind the wall; raises as `run` does when that fails.
        """
        manner = Manner(purpose="describe")
        return description(_checked(self._run_once(step, None, None, None, manner)))

    def check(
        self, step: Step, inputs: Mapping[str, object] | None = None, *, check: bool = True
    ) -> Outcome:
        """Whether `run` would take these inputs: all that comes before the function is called.

        The step's file is imported behind the wall, and no line of the function runs. Raises as
        `run` does (`BadCall`, `WrongArgument`, ...) unless `check` is False.
        """
        outcome = self._run_once(step, inputs, None, None, Manner(purpose="check"))
        return _checked(outcome) if check else outcome

    def close(self) -> None:
        """End every run and every process. The runtime cannot be used afterwards."""
        for future in list(self._futures):
            future.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=True)
        self._session.close()

    def _executor(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._concurrency, thread_name_prefix="orq-run")
        return self._threads

    def _run_once(
        self,
        step: Step,
        inputs: Mapping[str, object] | None,
        limits: Limits | None,
        wanted: Wanted | None,
        manner: Manner,
        canceller: Canceller | None = None,
    ) -> Outcome:
        run = self._session.prepare(step, inputs, limits, wanted, manner)
        try:
            return self._driven(run, canceller)
        finally:
            self._session.discard(run)

    def _driven(self, run: Run, canceller: Canceller | None) -> Outcome:
        try:
            slot, machine = self._session.claim(run)
        except SandboxError as error:
            return self._session.refuse(run, error)
        drive_sync.run(machine, slot, run.request, canceller)
        return self._session.finish(run)


def _checked(outcome: Outcome) -> Outcome:
    error = outcome.error()
    if error is not None:
        raise error
    return outcome
