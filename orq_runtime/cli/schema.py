"""`orq-runtime schema`: the published JSON schemas."""

from __future__ import annotations

from orq_runtime.cli.options import Options
from orq_runtime.cli.terminal import put
from orq_runtime.model.schema import schema_text

__all__ = ["schema"]


def schema(options: Options) -> int:
    """Print the schema that is asked for; the exit code."""
    put(schema_text(options.document).encode())
    return 0
