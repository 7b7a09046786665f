"""What a step's document says it needs: `resources`, in the words of Kubernetes.

::

    resources: {cpu: "1000m", memory: "1Gi", disk: "10Gi", gpu: "1"}

Rules of this file:

1. `cpu` is a speed in cores and becomes `cpu_millicores`; `memory` and `disk` are bytes and become
   `memory_bytes` and `tmp_bytes`; `gpu` is a number of devices, which only the caller's policy can
   grant. What was a request there is a limit here.
2. Numbers are exact: what is not a whole number of the unit is rounded up.
3. An error names the field and, where there is a document, its line and column.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Context, Decimal
from pathlib import Path
from typing import Final

import yaml

from orq_runtime._dataclass import dataclass, replace
from orq_runtime.errors import BadDocument, RequestError, SandboxError
from orq_runtime.model.limits import Limits
from orq_runtime.workflow.document import Document

__all__ = ["Resources", "gpu_devices", "parse_resources", "quantity", "read_resources"]

_NUMBER = re.compile(r"([+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))(.*)", re.DOTALL)
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]{1,2})")
_SUFFIXES: Final[Mapping[str, Decimal]] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", 1)},
    **{name + "i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", 1)},
}
_EXACT = Context(prec=200)
_LARGEST: Final = 2**60

_GPU = re.compile(r"nvidia[0-9]+")
_GPU_COMMON: Final = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
_FIELDS: Final = {
    "cpu": "cpu_millicores",
    "memory": "memory_bytes",
    "disk": "disk_bytes",
    "gpu": "gpus",
}
_EXAMPLES: Final = {"cpu": "1000m", "memory": "1Gi", "disk": "10Gi", "gpu": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a document asks for; None and 0 where it asks for nothing."""

    cpu_millicores: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    gpus: int = 0

    def limits(self, base: Limits) -> Limits:
        """The limits of a run of this step; what the document leaves out is as in `base`.

        `gpus` is no quantity that a limit holds: `gpu_devices` says what a policy must permit.
        """
        found = base
        for name, value in (
            ("cpu_millicores", self.cpu_millicores),
            ("memory_bytes", self.memory_bytes),
            ("tmp_bytes", self.disk_bytes),
        ):
            if value is not None:
                found = replace(found, **{name: value})
        return found


class _WrongError(Exception):
    """What is wrong with one field, before it is known where it stands."""

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def read_resources(document: Document, node: yaml.Node) -> Resources:
    """The resources of a document's node. Raises `BadDocument` at the place of what is wrong."""
    if document.is_null(node):
        return Resources()
    found: dict[str, int] = {}
    for name, (key, value) in document.mapping(node, "`resources`").items():
        where = value if name in _FIELDS else key
        try:
            found.update(_field(name, document.value(value)))
        except _WrongError as error:
            raise document.error(where, error.message, hint=error.hint) from None  # same words
    return Resources(**found)


def parse_resources(values: Mapping[str, object]) -> Resources:
    """The resources of a mapping that is in no document. Raises `BadDocument`."""
    found: dict[str, int] = {}
    for name, value in values.items():
        try:
            found.update(_field(name, value))
        except _WrongError as error:
            raise BadDocument(error.message, hint=error.hint) from None  # same words
    return Resources(**found)


def _field(name: str, value: object) -> dict[str, int]:
    if name not in _FIELDS:
        close = difflib.get_close_matches(name, _FIELDS, 1)
        known = ", ".join(f"`{one}`" for one in _FIELDS)
        hint = f"did you mean `{close[0]}`?" if close else f"known are: {known}"
        raise _WrongError(f"`resources` has no `{name}`", hint)
    if value is None:
        return {}
    hint = f'for example: {name}: "{_EXAMPLES[name]}"'
    try:
        exact = quantity(value)
    except ValueError as error:
        raise _WrongError(f"`resources.{name}`: {error}", hint) from None  # its words are ours
    if name == "gpu":
        if exact < 0 or exact != exact.to_integral_value() or exact > _LARGEST:
            raise _WrongError(f"`resources.gpu` is a number of devices, not: `{value}`", hint)
        return {"gpus": int(exact)}
    amount = _rounded_up(_EXACT.multiply(exact, Decimal(1000 if name == "cpu" else 1)))
    target = _FIELDS[name]
    _check_limit(name, target, amount, value)
    return {target: amount}


def _check_limit(name: str, target: str, amount: int, value: object) -> None:
    """Refuse what `Limits` would refuse, in the document's words."""
    limit = {"disk_bytes": "tmp_bytes"}.get(target, target)
    try:
        Limits(**{limit: amount})
    except RequestError as error:
        _, _, reason = error.message.rpartition(f"`{limit}` ")
        hint = None
        if name != "cpu" and str(value).endswith("m"):
            hint = f"`m` is a thousandth; did you mean `{str(value)[:-1]}Mi`?"
        raise _WrongError(f"`resources.{name}: {value}`: {reason}", hint) from None  # same words


def _rounded_up(exact: Decimal) -> int:
    return int(exact.to_integral_value(rounding=ROUND_CEILING))


def quantity(value: object) -> Decimal:
    """The exact number that a Kubernetes quantity stands for. Raises ValueError.

    A number, or a text of a number and a suffix: `n u m k M G T P E` are powers of a thousand,
    `Ki Mi Gi Ti Pi Ei` of 1024, `e3` and `E3` of ten.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"not a quantity: `{value!r}`")
    text = str(value).strip()
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"not a quantity: `{text[:80]}`")
    number, suffix = match.groups()
    exponent = _EXPONENT.fullmatch(suffix)
    if exponent is not None:
        return _EXACT.multiply(Decimal(number), _EXACT.power(Decimal(10), int(exponent[1])))
    if suffix not in _SUFFIXES:
        raise ValueError(f"unknown unit `{suffix[:20]}` in `{text[:80]}`{_meant(suffix)}")
    return _EXACT.multiply(Decimal(number), _SUFFIXES[suffix])


def _meant(suffix: str) -> str:
    if suffix == "K":
        return "; `k` is 1000 and `Ki` is 1024"
    close = [known for known in _SUFFIXES if known and known.lower() == suffix.lower().rstrip("b")]
    return f"; did you mean `{close[-1]}`?" if close else ""


def gpu_devices(count: int, *, folder: Path = Path("/dev")) -> tuple[Path, ...]:
    """The device files that a policy permits for that many GPUs.

    Knows NVIDIA's. Raises `SandboxError` when this machine has fewer. Not run on a machine with
    one: tested with a folder of ordinary files.
    """
    if count == 0:
        return ()
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    found = sorted((name for name in names if _GPU.fullmatch(name)), key=lambda name: int(name[6:]))
    if len(found) < count:
        raise SandboxError(
            f"the step asks for {count} GPUs and this machine has: {len(found)}",
            hint="leave `resources.gpu` out, or run it where there is one",
        )
    common = [name for name in _GPU_COMMON if name in names]
    return tuple(folder / name for name in (*found[:count], *common))
