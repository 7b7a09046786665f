"""Environments as values: what was asked of supply, and what it gave."""

from __future__ import annotations

from pathlib import Path

from orq_runtime._dataclass import dataclass, field

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from typing import Literal

    Origin = Literal["built", "hit"]
else:
    Origin = str

__all__ = [
    "Component",
    "Difference",
    "Environment",
    "Explanation",
    "Freshness",
    "Interpreter",
    "LockedPackage",
    "SupplyRequest",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A folder with code and, mostly, dependency declarations at its root.

    `roots` are the folders under it from which its packages are importable, in order: `src/python`
    and `src` where they exist, then the folder itself.
    """

    name: str
    path: Path
    roots: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """One CPython on this machine, as it described itself. `path` is the real binary."""

    path: Path
    version: tuple[int, int, int]
    implementation: str
    cache_tag: str
    soabi: str
    platform: str
    libc: str
    prefix: Path

    @property
    def minor(self) -> str:
        """For example `3.11`."""
        return f"{self.version[0]}.{self.version[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One resolved distribution.

    `local` marks what was built from a component or taken from its `vendor/`, and what had to be
    built because an index had no wheel. `digests` are `sha256:...` of its files, or `content:...`
    of a local wheel, which building it again gives again; the digest of the source distribution
    follows where an index had that. `file`, `url` (without credentials) and `size` are of the file
    that fits the interpreter, where an index told them.
    """

    name: str
    version: str
    digests: tuple[str, ...] = ()
    local: bool = False
    file: str = ""
    url: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """What a supply may not take from earlier ones, by uv's words.

    `upgrade` forgets every pinned version, `upgrade_packages` those of the packages named, and
    `refresh` what was fetched from indexes. Nothing of it: the environment of last time.
    """

    upgrade: bool = False
    upgrade_packages: tuple[str, ...] = ()
    refresh: bool = False

    @property
    def is_new(self) -> bool:
        """Whether indexes are asked again."""
        return self.upgrade or self.refresh or bool(self.upgrade_packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyRequest:
    """Dependencies to supply: what a language asks of `_supply`.

    `scripts` are step files whose PEP 723 block counts. `requirements` are PEP 508 lines of the
    caller. `python` is a version such as `3.9`, an absolute path, or None for the host's own.
    """

    components: tuple[Component, ...] = ()
    scripts: tuple[Path, ...] = ()
    requirements: tuple[str, ...] = ()
    python: str | None = None
    freshness: Freshness = field(default_factory=Freshness)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A complete, immutable environment in the store.

    `key` names its folder here; `content_key` means the same on every machine: it is of what is
    installed, for which interpreter, and not of where that lies.

    `python` runs it by hand; `site_packages` is what the guest adds to its path; `support` is the
    guest's private typeguard and orjson. `modules` are the top-level module names that its
    registry packages provide, `local_modules` those of components and `vendor/`. `origin` says
    whether this call made it (`built`) or found it (`hit`).
    """

    key: str
    path: Path
    python: Path
    site_packages: Path
    support: Path
    interpreter: Interpreter
    lock: tuple[LockedPackage, ...] = ()
    modules: tuple[str, ...] = ()
    local_modules: tuple[str, ...] = ()
    content_key: str = ""
    origin: Origin = field(default="hit", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field of a key that is not as it was: what is wanted, what another was made from."""

    field: str
    wanted: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a supply found its environment, or had to make it.

    For one that was made, `nearest` is the key of the environment that differed least, empty where
    there was none, and `differences` are the fields that made the miss: of the declarations where
    those were new, and of the environment itself.
    """

    environment: Environment
    reason: str
    nearest: str = ""
    differences: tuple[Difference, ...] = ()
