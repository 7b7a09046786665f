"""Locks as values: every distribution of an environment, pinned, hashed, and where it is had."""

from __future__ import annotations

from collections.abc import Mapping

from orq_runtime._dataclass import dataclass
from orq_runtime.model.environment import LockedPackage

__all__ = ["Lock", "Pinned", "lock_document", "lock_of", "pins_document", "pins_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One distribution of a lock. `content` is a local wheel's; `digests` may be installed.

    What was built from an index's source distribution has both: that file's digests and a content.

    `file`, `url` and `size` are of the file that was chosen for the interpreter, for whoever
    fetches or counts it: empty and 0 where not known, and never part of a key.
    """

    name: str
    version: str
    digests: tuple[str, ...]
    content: str | None = None
    file: str = ""
    url: str = ""
    size: int = 0

    @property
    def package(self) -> LockedPackage:
        """As the rest of the library sees it."""
        return LockedPackage(
            name=self.name,
            version=self.version,
            digests=self.digests
            if self.content is None
            else (f"content:{self.content}", *self.digests),
            local=self.content is not None,
            file=self.file,
            url=self.url,
            size=self.size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The distributions of an environment, sorted by name. `direct` are those asked for by name."""

    packages: tuple[Pinned, ...]
    direct: tuple[str, ...]


def lock_document(lock: Lock) -> dict[str, object]:
    """The lock as the store keeps it."""
    return {"direct": list(lock.direct), "packages": pins_document(lock.packages)}


def lock_of(document: Mapping[str, object]) -> Lock:
    """The lock that `lock_document` wrote."""
    direct = document["direct"]
    assert isinstance(direct, list)
    return Lock(packages=pins_of(document["packages"]), direct=tuple(direct))


def pins_document(pins: tuple[Pinned, ...]) -> list[dict[str, object]]:
    """Pins as the store keeps them."""
    return [
        {
            "name": item.name,
            "version": item.version,
            "digests": list(item.digests),
            "content": item.content,
            "file": item.file,
            "url": item.url,
            "size": item.size,
        }
        for item in pins
    ]


def pins_of(documents: object) -> tuple[Pinned, ...]:
    """The pins that `pins_document` wrote."""
    assert isinstance(documents, list)
    return tuple(Pinned(**{**item, "digests": tuple(item["digests"])}) for item in documents)
