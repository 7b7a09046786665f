"""`orq-runtime run`: one step, its value on stdout."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from orq_runtime._dataclass import dataclass, replace
from orq_runtime._run import drive_sync
from orq_runtime._run.drive_sync import Canceller
from orq_runtime._session import Run, Session
from orq_runtime.cli import jsontext
from orq_runtime.cli.chosen import settings_of
from orq_runtime.cli.explain import explain_error, explain_outcome, note, verdict_of_error
from orq_runtime.cli.inputs import read_inputs
from orq_runtime.cli.options import Options
from orq_runtime.cli.signals import Ended, ringing_by_signal
from orq_runtime.cli.stream import progress_of, put_document, put_error
from orq_runtime.cli.targets import Target, named_components
from orq_runtime.cli.terminal import put, say
from orq_runtime.errors import OrqRuntimeError, RequestError, SandboxError
from orq_runtime.model.artifact import Output, Wanted, outputs_of, wanted_of
from orq_runtime.model.blob import plain
from orq_runtime.model.checks import Checks
from orq_runtime.model.failure import Failure
from orq_runtime.model.limits import Limits
from orq_runtime.model.outcome import Outcome, Usage
from orq_runtime.model.plan import Manner, Purpose
from orq_runtime.model.policy import Policy
from orq_runtime.model.step import Step

__all__ = ["asked_of", "outcome_of", "run", "show_streams"]


def run(options: Options) -> int:
    """Run the step and print its value, or say why there is none; the exit code.

    Where the options' purpose is `check`, the inputs are checked and nothing is called.
    """
    started = time.monotonic()
    try:
        outcome, ended = outcome_of(options, asked_of(options), options.purpose)
    except OrqRuntimeError as error:
        if options.output_format != "text" and (verdict := verdict_of_error(error)):
            put_document(options, _refused(error, verdict, started).to_json())
        elif options.output_format == "ndjson":
            put_error(error)
        return explain_error(error)
    if options.output_format != "text":
        put_document(options, outcome.to_json())
    else:
        show_streams(outcome)
        if outcome.ok:
            _show_value(options, outcome)
    if ended is not None:
        raise ended
    explain_outcome(outcome)
    return outcome.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One run as the command line and the document, if there is one, want it."""

    step: Step
    inputs: Mapping[str, object]
    limits: Limits
    policy: Policy

    def wanted(self, options: Options) -> Wanted | None:
        """What of the run's files is collected."""
        return wanted_of(
            self.step.outputs,
            _declared(options.outputs),
            options.outputs_dir,
            keeps_all=options.keep_files,
        )


def _declared(given: Iterable[str] | None) -> tuple[Output, ...] | None:
    """The outputs of `--output NAME[=PATH]`, instead of those of a document."""
    if given is None:
        return None
    found: list[Output] = []
    for text in given:
        name, equals, path = text.partition("=")
        found += outputs_of({name: path} if equals else [name])
    return outputs_of(found)


def asked_of(options: Options) -> _Asked:
    """What the command line asks for. Raises `RequestError`."""
    given = read_inputs(options.given, allow_nan=options.nan == "allow")
    target = Target.parse(options.target)
    if not target.is_document:
        step = Step(
            file=target.path,
            function=target.name,
            components=named_components(options.component).values(),
            requirements=options.requirements,
        )
        return _Asked(
            step=step, inputs=given, limits=_limits(options, Limits()), policy=_policy(options)
        )
    # start-up budget: YAML only where it is asked for
    from orq_runtime.workflow import read_step
    from orq_runtime.workflow.resources import gpu_devices

    document = read_step(
        target.path,
        step=target.name or None,
        components=named_components(options.component),
        requirements=options.requirements,
    )
    if not options.quiet:
        for text in document.notes:
            note(text)
    devices = gpu_devices(document.resources.gpus) if document.resources.gpus else ()
    return _Asked(
        step=document.step,
        inputs={} if options.purpose == "describe" else document.inputs_with(given),
        limits=_limits(options, document.resources.limits(Limits())),
        policy=_policy(options, devices),
    )


def outcome_of(options: Options, asked: _Asked, purpose: Purpose) -> tuple[Outcome, Ended | None]:
    """The outcome, and the signal that ended the run where one did.

    The session is driven here and not through `Runtime`, which gives no outcome of a run that was
    interrupted: what the step has printed by then is wanted.
    """
    with progress_of(options) as progress:
        session = Session(
            settings=settings_of(options),
            isolation=options.isolation,
            limits=asked.limits,
            policy=asked.policy,
            spares=0,
            start=options.start,
            checks=Checks(typecheck=options.typecheck, coerce=options.coerce, nan=options.nan),
            sink=progress,
            guests=options.guests,
        )
        with contextlib.closing(session):
            wanted = asked.wanted(options) if purpose == "call" else None
            manner = Manner(
                purpose=purpose, shows_locals=options.show_locals, checks=session.manner({}).checks
            )
            prepared = session.prepare(asked.step, asked.inputs, asked.limits, wanted, manner)
            try:
                return _driven(session, prepared)
            finally:
                session.discard(prepared)


def _limits(options: Options, limits: Limits) -> Limits:
    if options.timeout is not None:
        limits = replace(limits, wall_seconds=options.timeout)
    return limits if options.memory is None else replace(limits, memory_bytes=options.memory)


def _policy(options: Options, devices: Iterable[Path] = ()) -> Policy:
    environ = {}
    for given in options.environ:
        name, equals, text = given.partition("=")
        if not equals:
            raise RequestError(f"not a variable: `{given}`", hint="give --env NAME=TEXT")
        environ[name] = text
    return Policy(
        network=options.network,
        read_only=options.allow_read,
        writable=options.allow_write,
        environ=environ,
        devices=devices,
    )


def _driven(session: Session, prepared: Run) -> tuple[Outcome, Ended | None]:
    try:
        slot, machine = session.claim(prepared)
    except SandboxError as error:
        return session.refuse(prepared, error), None
    with contextlib.closing(Canceller()) as canceller, ringing_by_signal(canceller.cancel) as rung:
        drive_sync.run(machine, slot, canceller)
    return session.finish(prepared), Ended(rung[0]) if rung else None


def show_streams(outcome: Outcome) -> None:
    """Show what the step printed, its stdout first."""
    for text in (outcome.stdout, outcome.stderr):
        if text:
            say(text)


def _show_value(options: Options, outcome: Outcome) -> None:
    if options.purpose == "call":
        put(jsontext.dump(plain(outcome.value)))
    if options.quiet:
        return
    if options.purpose == "check":
        say("orq-runtime: ok: the function takes these inputs")
    _show_files(outcome)


def _show_files(outcome: Outcome) -> None:
    for name, artifact in {**outcome.artifacts, **outcome.outputs}.items():
        say(f"orq-runtime: output `{name}`: {artifact.path}")


def _refused(error: OrqRuntimeError, verdict: str, started: float) -> Outcome:
    """The outcome of a run that was not tried, for those who read documents."""
    return Outcome(
        verdict=verdict,
        failure=Failure(message=error.message),
        hint=error.hint,
        began="no",
        usage=Usage(wall_seconds=time.monotonic() - started),
    )
