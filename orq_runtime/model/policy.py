"""What a run may touch beyond its own folders. How much it may use is `model.limits`.

Rules of this file:

1. The default permits nothing: no network, no path, no variable, no device.
2. A policy is a value of the caller: nothing of a component is read to make one, and nothing is
   looked up on the disk. Paths are made absolute by their words, links are not followed; whoever
   grants one checks what it leads to with `check_place`.
3. What one tier of isolation could not keep is refused for all of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from orq_runtime._dataclass import dataclass, field
from orq_runtime.errors import RequestError
from orq_runtime.model.place import absolute

__all__ = ["Network", "Policy", "check_place"]

Network = Literal["none", "full"]

_NETWORKS: Final = ("none", "full")
_KERNEL_PLACES: Final = (Path("/proc"), Path("/sys"), Path("/dev"))
_HOST_MEMORY: Final = frozenset({"mem", "kmem", "port", "kmsg"})
_NO_DEVICES: Final = frozenset({"shm", "mqueue", "pts", "fd"})
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_VARIABLE: Final = 128 * 1024 - 1  # the kernel's MAX_ARG_STRLEN, less the final NUL
_LONGEST_ENVIRON: Final = 512 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The permissions of a run, all of the caller's choice.

    - `network` (`none`): `full` is the host's own network, with all that listens on it.
    - `read_only`, `writable` (none): files and folders of the host, seen under their own paths. A
      writable folder may lie in a read-only one, and not the other way round: the `landlock` tier
      cannot take back what it granted further up.
    - `environ` (none): environment variables of the step. Nothing is inherited. `LD_*` and the
      like would load code before the wall stands; the step's isolated interpreter ignores
      `PYTHON*`, and what cannot be obeyed is refused: a step may set both for its own children.
    - `devices` (none): device files by name, such as `/dev/nvidia0`.

    Equal whatever the order it was given in, hashable, and JSON both ways. Raises `RequestError`.
    """

    network: Network = "none"
    read_only: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    devices: tuple[Path, ...] = ()

    def __init__(
        self,
        *,
        network: Network = "none",
        read_only: Iterable[str | os.PathLike[str]] = (),
        writable: Iterable[str | os.PathLike[str]] = (),
        environ: Mapping[str, str] | None = None,
        devices: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        if network not in _NETWORKS:
            raise RequestError(
                f"`network` is a word, not: `{network!r}`", hint="one of: `none`, `full`"
            )
        put = object.__setattr__
        put(self, "network", network)
        put(self, "read_only", _paths("read_only", read_only))
        put(self, "writable", _paths("writable", writable))
        put(self, "environ", MappingProxyType(_variables(environ or {})))
        put(self, "devices", _paths("devices", devices))
        for path in (*self.read_only, *self.writable):
            check_place(path)
        for path in self.devices:
            _check_device(path)
        _check_overlap(self.read_only, self.writable)

    def __hash__(self) -> int:
        variables = tuple(self.environ.items())
        return hash((self.network, self.read_only, self.writable, variables, self.devices))

    def __reduce__(self) -> tuple[object, tuple[dict[str, object]]]:
        """Copies and pickles are made anew: a mapping that cannot change cannot be pickled."""
        return type(self).from_json, (self.to_json(),)

    def before_parking(self) -> Policy:
        """What a child must know before it is parked: all but the variables, which travel later."""
        return Policy(
            network=self.network,
            read_only=self.read_only,
            writable=self.writable,
            devices=self.devices,
        )

    def joined(self, more: Policy) -> Policy:
        """What this policy or the other permits; of a variable in both, the other's value."""
        writable = {*self.writable, *more.writable}
        read_only = {*self.read_only, *more.read_only}
        contained = {path for path in read_only for at in writable if path.is_relative_to(at)}
        return Policy(
            network="full" if "full" in (self.network, more.network) else "none",
            read_only=read_only - contained,
            writable=writable,
            environ={**self.environ, **more.environ},
            devices={*self.devices, *more.devices},
        )

    def to_json(self) -> dict[str, object]:
        """A JSON object from which `from_json` makes an equal policy. It holds the variables."""
        return {
            "network": self.network,
            "read_only": [str(path) for path in self.read_only],
            "writable": [str(path) for path in self.writable],
            "environ": dict(self.environ),
            "devices": [str(path) for path in self.devices],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Policy:
        """The policy of a JSON object; what it leaves out is not permitted."""
        try:
            return cls(**document)  # type: ignore[arg-type]  # checked by the constructor
        except TypeError as error:
            raise RequestError(f"not a policy: {error}") from error


def check_place(path: Path) -> None:
    """Raise `RequestError` for a path that no run may be given.

    For paths as written and, by whoever grants them, once more for what they lead to.
    """
    if path == Path("/"):
        raise RequestError("a run cannot be given the root folder: `/`", hint="name what it needs")
    if path == Path("/tmp"):
        raise RequestError(
            "a run has its own /tmp and cannot be given the host's", hint="name a folder in it"
        )
    for place in _KERNEL_PLACES:
        if path.is_relative_to(place):
            hint = "devices are given by `devices`" if place.name == "dev" else None
            raise RequestError(
                f"a run cannot be given `{path}`: it has its own `{place}`", hint=hint
            )


def _check_device(path: Path) -> None:
    inside = path.relative_to("/dev").parts if path.is_relative_to("/dev") else ()
    if not inside or inside[0] in _NO_DEVICES:
        raise RequestError(f"not a device's path: `{path}`", hint="for example: `/dev/nvidia0`")
    if inside[0] in _HOST_MEMORY:
        raise RequestError(f"a run cannot be given the machine's memory or log: `{path}`")


def _check_overlap(read_only: tuple[Path, ...], writable: tuple[Path, ...]) -> None:
    for path in read_only:
        for outer in writable:
            if path == outer:
                raise RequestError(f"both read-only and writable: `{path}`")
            if path.is_relative_to(outer):
                raise RequestError(
                    f"read-only `{path}` lies in writable `{outer}`",
                    hint="grant folders beside each other",
                )


def _paths(name: str, given: Iterable[object]) -> tuple[Path, ...]:
    if isinstance(given, str | bytes | os.PathLike):
        raise RequestError(f"`{name}` is a list of paths, not one: `{given!r}`")
    found = set()
    for item in given:
        text: object = os.fspath(item) if isinstance(item, str | os.PathLike) else None
        if not isinstance(text, str):
            raise RequestError(f"`{name}` is a list of paths; this is none: `{item!r}`")
        if not text or "\0" in text:
            raise RequestError(f"a path in `{name}` is empty or has a NUL in it: `{text!r}`")
        # not resolve(), by rule 2; the leading slashes because two of them are left alone
        found.add(Path("/" + str(absolute(text)).lstrip("/")))
    return tuple(sorted(found))


def _variables(given: object) -> dict[str, str]:
    """The variables, checked and in order. No message shows a value."""
    if not isinstance(given, Mapping):
        raise RequestError("`environ` is a mapping of names to texts")
    found: dict[str, str] = {}
    total = 0
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise RequestError(f"not an environment variable's name: `{name!r}`")
        if name.startswith("LD_") or name in ("GLIBC_TUNABLES", "GCONV_PATH"):
            raise RequestError(f"`{name}` changes what a process loads; it cannot be given")
        if name.startswith("PYTHON"):
            raise RequestError(
                f"the step's interpreter does not read `{name}`",
                hint="a step may set it in `os.environ` for processes that it starts",
            )
        if not isinstance(value, str) or "\0" in value:
            raise RequestError(f"the value of `{name}` is text without NUL; this is not")
        try:
            length = len(name) + 1 + len(value.encode())
        except UnicodeEncodeError:
            raise RequestError(f"the value of `{name}` is not UTF-8 text") from None
        total += length
        if length > _LONGEST_VARIABLE or total > _LONGEST_ENVIRON:
            raise RequestError(f"the environment is too large, at `{name}`")
        found[name] = value
    return dict(sorted(found.items()))
