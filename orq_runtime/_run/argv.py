"""The words of a command: placeholders filled with inputs, and the request that carries them.

No shell reads a command: an input is one word, or part of one, whatever is in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from orq_runtime.errors import BadCall, RequestError
from orq_runtime.model.plan import Manner, RunPlan
from orq_sandbox import wire

__all__ = ["command_request", "filled", "step_request"]

_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)\}")


def filled(command: Sequence[str], texts: Mapping[str, str]) -> tuple[str, ...]:
    """The command with its inputs. `{{` and `}}` are braces; what is no name stays as it is.

    Raises `BadCall` for a name without an input, an input without a place, and a NUL.
    """
    used: set[str] = set()

    def put(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0][0]
        if name not in texts:
            raise BadCall(f"the command needs an input that is not given: `{name}`")
        if "\0" in texts[name]:
            raise BadCall(f"input `{name}` has a NUL in it: a program cannot be given that")
        used.add(name)
        return texts[name]

    words = tuple(_PLACEHOLDER.sub(put, word) for word in command)
    if unused := sorted(texts.keys() - used):
        raise BadCall(
            f"the command has no place for an input: `{unused[0]}`",
            hint=f"write `{{{unused[0]}}}` where it belongs",
        )
    return words


def command_request(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str],
    folder: Path | None,
    seal: bytes,
    source: str | None = None,
) -> bytes:
    """The REQUEST of a command; without a folder it starts in the run's own."""
    document = {
        "argv": list(argv),
        "environ": dict(environ),
        "folder": None if folder is None else str(folder),
        "source": source,
    }
    return wire.frame(wire.REQUEST, seal + json.dumps(document).encode())


def step_request(
    plan: RunPlan,
    texts: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    seal: bytes,
    manner: Manner,
) -> bytes:
    """The REQUEST of a step that is a command: its environment's programs come first.

    Raises `BadCall` as `filled` does, and `RequestError` for what only a function has.
    """
    if manner.purpose != "call":
        raise RequestError(
            "a command has no signature to be looked at", hint="only a function can be described"
        )
    environment = plan.environment
    variables = {
        **environ,
        "PATH": f"{environment.path / 'bin'}:{environ['PATH']}",
        "VIRTUAL_ENV": str(environment.path),
    }
    if plan.import_roots:
        variables["PYTHONPATH"] = ":".join(map(str, plan.import_roots))
    words = filled(plan.command, texts)
    return command_request(words, environ=variables, folder=None, seal=seal)
