"""How strictly the values of a call are taken: what is checked, what is helped, what NaN is."""

from __future__ import annotations

from typing import Final, Literal, TypedDict, get_args

from orq_runtime._dataclass import dataclass, replace
from orq_runtime.errors import RequestError

__all__ = ["STRICT", "Checks", "ChecksGiven", "Coercion", "Nan", "Typecheck"]

Typecheck = Literal["all", "sample", "off"]
Nan = Literal["error", "allow"]


class ChecksGiven(TypedDict, total=False):
    """The parts of `Checks`, as `Runtime` and its calls take them by name."""

    typecheck: Typecheck
    coerce: bool
    nan: Nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """How values are checked on their way in and out.

    `typecheck` looks at every element (`all`), at some of each collection (`sample`) or at none
    (`off`); conversion takes place in any case. `coerce` lets old habits pass where the strict
    check failed: JSON text for an object, the text "None" for null, a number given as text; the
    outcome says what it changed. `nan` is what a NaN or an infinity is, in inputs and results: an
    `error`, or a number like any other (`allow`).

    Raises `RequestError` on a word that is none of these.
    """

    typecheck: Typecheck = "all"
    coerce: bool = False
    nan: Nan = "error"

    def __post_init__(self) -> None:
        for name, known in _WORDS.items():
            value = getattr(self, name)
            if value not in known:
                choices = ", ".join(f"`{word}`" for word in known)
                raise RequestError(f"unknown `{name}`: `{value}`", hint=f"one of: {choices}")

    def but(self, given: ChecksGiven) -> Checks:
        """These checks with the given parts in place of their own."""
        return replace(self, **given) if given else self


_WORDS: Final = {"typecheck": get_args(Typecheck), "coerce": (False, True), "nan": get_args(Nan)}


STRICT: Final = Checks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coercion:
    """One input that did not fit and was changed until it did, because the caller allowed it.

    `path` says where, `how` what was done; `value` is the clipped value that came, `became` the one
    that was passed on.
    """

    path: str
    how: str
    value: str
    became: str
