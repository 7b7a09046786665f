"""`orq-runtime install`: what a language itself needs, ahead of time."""

from __future__ import annotations

from orq_runtime._workshop import supplying
from orq_runtime.cli.chosen import settings_of
from orq_runtime.cli.options import Options
from orq_runtime.cli.stream import ending_a_stream, progress_of, put_document
from orq_runtime.cli.terminal import put
from orq_runtime.languages import language

__all__ = ["install"]

_PREPARED = ("interpreter description", "support layer", "build kit")


def install(options: Options) -> int:
    """Prepare a language and say what was prepared; the exit code."""
    language(options.language)
    with (
        ending_a_stream(options),
        progress_of(options) as progress,
        supplying(settings_of(options), sink=progress, isolation=options.isolation) as supplier,
    ):
        interpreter = supplier.prepare(options.python)
    version = ".".join(map(str, interpreter.version))
    if options.output_format != "text":
        document = {
            "language": options.language,
            "interpreter": {
                "path": str(interpreter.path),
                "implementation": interpreter.implementation,
                "version": version,
            },
            "prepared": list(_PREPARED),
        }
        put_document(options, document)
    else:
        parts = ", ".join(_PREPARED)
        text = f"{options.language} is ready on Python {version} ({interpreter.path}): {parts}\n"
        put(text.encode("utf-8", "surrogateescape"))
    return 0
