"""What a caller asks to run: a step, and where its code and dependencies are declared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from orq_runtime._dataclass import dataclass, field
from orq_runtime.errors import RequestError
from orq_runtime.model.artifact import Output, outputs_of
from orq_runtime.model.place import absolute

__all__ = ["Step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One Python function to call, with the place of its code and of its dependencies.

    Give either `file` (a path) or `source` (the code itself), and the name of the `function`; or in
    their place a `command`, a program and its arguments, in which `{name}` stands for an input: a
    text as it is, anything else as JSON. It runs in the step's environment and behind the same
    wall, and ends well with exit status 0. A `file` beside a command names its component only.

    The component of a file is the nearest folder upwards that holds a declaration file, unless
    `components` names folders. `requirements` are PEP 508 lines in addition to what the components
    declare; `python` asks for an interpreter (`"3.9"` or an absolute path). `outputs` names what
    the function must have written when it returns: `"result"` is the file `result.json` in its
    working folder, a name with a dot or a slash is a file or folder there, and a mapping says each
    name's path.

    Raises `RequestError` when it names neither or both of `file` and `source`.
    """

    function: str
    command: tuple[str, ...] = ()
    file: Path | None = None
    source: str | None = None
    components: tuple[Path, ...] = ()
    requirements: tuple[str, ...] = ()
    python: str | None = None
    language: str = "python3"
    outputs: tuple[Output, ...] = ()
    name: str = field(default="")

    def __init__(
        self,
        file: str | os.PathLike[str] | None = None,
        function: str = "",
        *,
        command: Iterable[str] = (),
        source: str | None = None,
        components: Iterable[str | os.PathLike[str]] = (),
        requirements: Iterable[str] = (),
        python: str | os.PathLike[str] | None = None,
        language: str = "python3",
        outputs: Iterable[str | Output] | Mapping[str, str] = (),
        name: str = "",
    ) -> None:
        words = _words(command)
        _check_code(file, function, words, source)
        if isinstance(requirements, str):
            raise RequestError(
                f"`requirements` is a list of lines, not one string: `{requirements}`",
                hint=f"requirements=[{requirements!r}]",
            )
        put = object.__setattr__
        put(self, "file", None if file is None else absolute(file))
        put(self, "function", function)
        put(self, "command", words)
        put(self, "source", source)
        put(self, "components", tuple(absolute(folder) for folder in components))
        put(self, "requirements", tuple(requirements))
        put(self, "python", None if python is None else os.fspath(python))
        put(self, "language", language)
        put(self, "outputs", outputs_of(outputs))
        put(self, "name", name or function or words[0])

    def to_json(self) -> dict[str, object]:
        """A JSON object from which `from_json` makes an equal step, here or on another machine."""
        return {
            "file": None if self.file is None else str(self.file),
            "source": self.source,
            "function": self.function,
            "command": list(self.command),
            "components": [str(folder) for folder in self.components],
            "requirements": list(self.requirements),
            "python": self.python,
            "language": self.language,
            "outputs": {output.name: output.path for output in self.outputs},
            "name": self.name,
        }

    @classmethod
    def from_json(cls, document: dict[str, object]) -> Step:
        """The step that `to_json` wrote. Raises `RequestError` on unknown or missing keys."""
        try:
            return cls(**document)  # type: ignore[arg-type]  # the constructor checks what matters
        except TypeError as error:
            raise RequestError(f"not a step: {error}") from error


def _words(command: Iterable[str]) -> tuple[str, ...]:
    if isinstance(command, str):
        raise RequestError(
            f"`command` is a list of words, not one string: `{command}`",
            hint=f"command={command.split()!r}; no shell reads it",
        )
    words: tuple[object, ...] = tuple(command)
    for word in words:
        if not isinstance(word, str) or "\0" in word:
            raise RequestError(f"a word of `command` is no text, or has a NUL in it: `{word!r}`")
    return tuple(str(word) for word in words)


def _check_code(file: object, function: str, command: tuple[str, ...], source: str | None) -> None:
    """Raise `RequestError` unless exactly one thing is named that can be run."""
    if command:
        if function or source is not None:
            raise RequestError(
                "a step has either a `command` or a `function`",
                hint="give Step(command=[...]) or Step(file=..., function=...)",
            )
        return
    if (file is None) == (source is None):
        raise RequestError(
            "a step has either a `file` or a `source`",
            hint="give Step(file=..., function=...) or Step(source=..., function=...)",
        )
    if not function:
        raise RequestError("a step names its `function`", hint="Step(..., function='main')")
