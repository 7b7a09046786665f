"""A command's events as NDJSON on stdout: one document a line, the result or the error last.

The lines follow docs/event.schema.json; `schema event` prints it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

from orq_runtime.cli.options import Options
from orq_runtime.cli.progress import Progress
from orq_runtime.cli.terminal import put
from orq_runtime.errors import OrqRuntimeError
from orq_runtime.events import EVENT_VERSION, Event

__all__ = [
    "ending_a_stream",
    "progress_of",
    "put_document",
    "put_error",
    "put_event",
    "put_result",
]


def progress_of(options: Options) -> Progress:
    """The sink of a command's events, as its options want them shown."""
    return Progress(
        is_drawn=not options.no_progress,
        is_quiet=options.quiet,
        is_streamed=options.output_format == "ndjson",
    )


def put_document(options: Options, document: Mapping[str, object]) -> None:
    """A command's result as a document, or as the last line of its stream."""
    if options.output_format == "ndjson":
        put_result(document)
    else:
        put(_as_line(document))


@contextlib.contextmanager
def ending_a_stream(options: Options) -> Iterator[None]:
    """Where events are streamed, an error inside is the stream's last line, too."""
    try:
        yield
    except OrqRuntimeError as error:
        if options.output_format == "ndjson":
            put_error(error)
        raise


def put_event(event: Event) -> None:
    """One event. Raises `OutputClosed` when nobody reads: who asked for the stream has left."""
    _put(event.to_json())


def put_result(document: Mapping[str, object]) -> None:
    """What the command gives, as its last line."""
    _put({"event": "result", "result": document})


def put_error(error: OrqRuntimeError) -> None:
    """Why it gives nothing, as its last line."""
    from orq_runtime.cli.explain import verdict_of_error  # start-up budget: a path's name is text
    from orq_runtime.model.verdict import exit_code_of_error

    _put(
        {
            "event": "error",
            "error": {
                "verdict": verdict_of_error(error),
                "message": error.message,
                "hint": error.hint,
                "fault": error.fault.value,
                "retryable": error.retryable,
                "exit_code": exit_code_of_error(error),
            },
        }
    )


def _put(document: Mapping[str, object]) -> None:
    seconds, fraction = divmod(time.time_ns() // 1_000_000, 1000)
    now = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction:03d}Z"
    put(_as_line({"v": EVENT_VERSION, "time": now, **document}))


def _as_line(document: Mapping[str, object]) -> bytes:
    from orq_runtime.cli import jsontext  # start-up budget: text needs none

    return jsontext.dump(document)
