"""Files that go into runs and come out of them: declared outputs, and artifacts on the host.

Rules of this file:

1. A text is never taken for a file: an input is an artifact because it is an `Artifact`.
2. A declared output is a path below the working folder, by its words: no `..`, nothing absolute.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from orq_runtime._dataclass import dataclass
from orq_runtime.errors import RequestError
from orq_runtime.model.place import absolute

__all__ = ["Artifact", "Kind", "Output", "Wanted", "outputs_of", "wanted_of"]

Kind = Literal["file", "folder"]

_LONGEST_PATH = 1024


@dataclass(frozen=True, slots=True, init=False)
class Artifact:
    """A file or folder of the host: an input that is handed over as a path, or a collected output.

    As an input it is readable for the run, and cannot be written; the function gets a path to it
    that ends with its name, as text or as the `Path` that it is annotated with. Of a collected
    output `digest` is that of the content (`sha256:...`, of a folder `tree:...`) and `size_bytes`
    what all of its files hold.
    """

    path: Path
    digest: str = ""
    size_bytes: int | None = None
    kind: Kind = "file"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        digest: str = "",
        size_bytes: int | None = None,
        kind: Kind = "file",
    ) -> None:
        put = object.__setattr__
        put(self, "path", absolute(path))
        put(self, "digest", digest)
        put(self, "size_bytes", size_bytes)
        put(self, "kind", kind)

    def __fspath__(self) -> str:
        return str(self.path)

    def to_json(self) -> dict[str, object]:
        """A JSON object from which `from_json` makes an equal artifact."""
        return {
            "path": str(self.path),
            "digest": self.digest,
            "size_bytes": self.size_bytes,
            "kind": self.kind,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """The artifact that `to_json` wrote. Raises `RequestError` on unknown or missing keys."""
        path, digest = document.get("path"), document.get("digest", "")
        size, kind = document.get("size_bytes"), document.get("kind", "file")
        if (
            not document.keys() <= {"path", "digest", "size_bytes", "kind"}
            or not isinstance(path, str)
            or not isinstance(digest, str)
            or not isinstance(size, int | None)
            or kind not in ("file", "folder")
        ):
            raise RequestError(f"not an artifact: `{dict(document)}`")
        return cls(
            path, digest=digest, size_bytes=size, kind="folder" if kind == "folder" else "file"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One declared output: its name, and the file or folder that it is in the working folder."""

    name: str
    path: str

    def __post_init__(self) -> None:
        parts = self.path.split("/")
        is_below = self.name and all(part not in ("", ".", "..") for part in parts)
        if not is_below or "\0" in self.path or len(self.path) > _LONGEST_PATH:
            raise RequestError(
                f"output `{self.name}` is not a path in the working folder: `{self.path}`",
                hint="for example: `result`, which is the file `result.json`; or `plots/loss.png`",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of the files that a run writes.

    `folder` is where they are put, in place of the artifacts of the cache; `keeps_all` takes files
    that nobody declared too.
    """

    outputs: tuple[Output, ...] = ()
    folder: Path | None = None
    keeps_all: bool = False


def wanted_of(
    declared: Iterable[Output],
    instead: Iterable[str | Output] | Mapping[str, str] | None,
    folder: str | os.PathLike[str] | None,
    *,
    keeps_all: bool,
) -> Wanted | None:
    """What a call wants of a run's files; None for nothing. Raises `RequestError`."""
    outputs = tuple(declared) if instead is None else outputs_of(instead)
    if not outputs and not keeps_all:
        return None
    place = None if folder is None else absolute(folder)
    return Wanted(outputs=outputs, folder=place, keeps_all=keeps_all)


def outputs_of(declared: Iterable[str | Output] | Mapping[str, str]) -> tuple[Output, ...]:
    """Declared outputs from what people write.

    A name stands for the file `NAME.json`; with a dot or a slash in it it is a path already, of a
    file or a folder. A mapping says the path of each name. Raises `RequestError`.
    """
    if isinstance(declared, str):
        raise RequestError(
            f"`outputs` is a list of names, not one string: `{declared}`",
            hint=f"outputs=[{declared!r}]",
        )
    if isinstance(declared, Mapping):
        found = [Output(name=name, path=path.rstrip("/")) for name, path in declared.items()]
    else:
        found = [one if isinstance(one, Output) else _output(one) for one in declared]
    for kind in ("name", "path"):
        seen = [getattr(output, kind) for output in found]
        for value in seen:
            if seen.count(value) > 1:
                raise RequestError(f"two outputs have the {kind} `{value}`")
    return tuple(found)


def _output(name: str) -> Output:
    if not isinstance(name, str):
        raise RequestError(f"an output is a name, not: `{name!r}`")
    is_path = "." in name or "/" in name
    return Output(name=name.rstrip("/"), path=name.rstrip("/") if is_path else f"{name}.json")
