"""The entry: arguments in, exit code out; every way a command can end passes through here."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Sequence

import orq_runtime
from orq_runtime.cli.signals import Ended, ending_by_signal
from orq_runtime.cli.terminal import OutputClosed, forget_output, open_standard_streams, say

__all__ = ["main"]

_CLOSED = 128 + signal.SIGPIPE
_OURS = 125


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Reads `sys.argv` when no arguments are given."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    open_standard_streams()
    try:
        with ending_by_signal():
            code = _run(words)
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
    except Ended as ended:
        return 128 + ended.number
    except (OutputClosed, BrokenPipeError):
        forget_output()
        return _CLOSED


def _run(words: list[str]) -> int:
    if words in (["--version"], ["-V"]):  # start-up budget: no parser for this
        print(f"orq-runtime {orq_runtime.__version__}")
        return 0
    from orq_runtime.cli.arguments import parse  # start-up budget, as above
    from orq_runtime.cli.explain import explain_error
    from orq_runtime.errors import OrqRuntimeError

    try:
        options = parse(words)
        return options.command(options)
    except SystemExit as asked:  # argparse: help, or words it does not know
        return asked.code if isinstance(asked.code, int) else 2
    except OrqRuntimeError as error:
        return explain_error(error)
    except Ended as ended:
        say(f"orq-runtime: ended by {signal.Signals(ended.number).name}")
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
