"""The entry: arguments in, exit code out; every way a command can end passes through here."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Sequence

import orq_runtime
from orq_runtime.cli.signals import CLOSED, Ended, ending_by_signal
from orq_runtime.cli.terminal import OutputClosed, forget_output, open_standard_streams, say

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from typing import NoReturn

    from orq_runtime._run.guest import Guests

__all__ = ["command", "main"]

_STARTS_NOTHING = {"-h", "--help", "outcome", "failure", "event"}
_MANY = 50_000
_OURS = 125


def command() -> NoReturn:
    """The whole process: `main`, and the end.

    Start-up budget: what is imported is no garbage to look for, and the interpreter is not taken
    apart: all that was begun has been ended by then.
    """
    gc.set_threshold(_MANY, *gc.get_threshold()[1:])
    code = _main(sys.argv[1:], is_alone=True)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Reads `sys.argv` when no arguments are given."""
    return _main(list(sys.argv[1:] if arguments is None else arguments), is_alone=False)


def _main(words: list[str], *, is_alone: bool) -> int:
    open_standard_streams()
    try:
        with ending_by_signal():
            code = _run(words, is_alone=is_alone)
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
    except Ended as ended:
        return 128 + ended.number
    except (OutputClosed, BrokenPipeError):
        forget_output()
        return CLOSED


def _run(words: list[str], *, is_alone: bool) -> int:
    if words in (["--version"], ["-V"]):  # start-up budget: no parser for this
        print(f"orq-runtime {orq_runtime.__version__}")
        return 0
    if is_alone:
        from orq_runtime.cli import lean  # start-up budget, as above

        lean.load_pathlib()
        with _guest_ahead(words) as guests:
            lean.load_argparse()
            if _needs_json(words):
                lean.load_orjson()
            return _command(words, guests)
    with _guest_ahead(words) as guests:
        return _command(words, guests)


@contextlib.contextmanager
def _guest_ahead(words: list[str]) -> Iterator[Guests | None]:
    """A guest that boots while we understand the words, where they look like a run."""
    if not _is_of_a_run(words) or not _STARTS_NOTHING.isdisjoint(words):
        yield None
        return
    from orq_runtime.cli.ahead import likely_guests  # start-up budget, as above

    with contextlib.closing(likely_guests(words)) as guests:
        yield guests


def _is_of_a_run(words: list[str]) -> bool:
    return words[:1] in (["run"], ["check"], ["schema"])


def _needs_json(words: list[str]) -> bool:
    """Whether it is likely to be spoken; who needs it all the same imports it for itself."""
    return _is_of_a_run(words) or any(word.startswith("--output-format") for word in words)


def _command(words: list[str], guests: Guests | None) -> int:
    from orq_runtime.cli.arguments import parse  # start-up budget, as above
    from orq_runtime.errors import OrqRuntimeError

    try:
        options = parse(words)
        options.guests = guests
        return options.command(options)
    except SystemExit as asked:  # argparse: help, or words it does not know
        return asked.code if isinstance(asked.code, int) else 2
    except OrqRuntimeError as error:
        from orq_runtime.cli.explain import explain_error  # start-up budget, as above

        return explain_error(error)
    except Ended as ended:
        say(f"orq-runtime: ended by {ended.name}")
        raise
    except OutputClosed:
        raise
    except Exception as error:  # noqa: BLE001 - the rim: nothing of ours may show as a traceback
        return _confess(error)


def _confess(error: Exception) -> int:
    from orq_runtime import settings  # start-up budget: only a crash needs it

    with contextlib.suppress(Exception):
        if settings.load().debug:
            import traceback

            say("".join(traceback.format_exception(error)))
    say(f"orq-runtime: internal error: {type(error).__name__}: {error}")
    say("hint: please report this, with what `ORQ_RUNTIME_DEBUG=1` shows of it")
    return _OURS
