"""`orq-runtime schema`: the published JSON schemas, and those of a step's function."""

from __future__ import annotations

import json

from orq_runtime.cli.options import Options
from orq_runtime.cli.terminal import put
from orq_runtime.model.schema import DOCUMENTS, schema_text

__all__ = ["schema"]


def schema(options: Options) -> int:
    """Print the schema that is asked for; the exit code."""
    if options.target == "event":
        from orq_runtime.cli import event_schema  # start-up budget: a schema of ours alone

        put(event_schema.schema_text().encode())
        return 0
    if options.target in DOCUMENTS:
        put(schema_text(options.target).encode())
        return 0
    # start-up budget: a published schema starts nothing
    from orq_runtime._run.outcome import description
    from orq_runtime.cli.explain import explain_outcome
    from orq_runtime.cli.run import asked_of, outcome_of, show_streams

    outcome, ended = outcome_of(options, asked_of(options), "describe")
    show_streams(outcome)
    if ended is not None:
        raise ended
    if outcome.ok:
        text = json.dumps(description(outcome), indent=2, ensure_ascii=False)
        put((text + "\n").encode("utf-8", "backslashreplace"))
    explain_outcome(outcome)
    return outcome.exit_code
