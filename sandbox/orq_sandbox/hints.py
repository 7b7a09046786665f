"""Annotations with their names looked up: those of a function and those of a class's fields.

What is left as a name inside an annotation (a type that holds itself) is looked up later, in the
names of the module that wrote it: a `Scope`.
"""

from __future__ import annotations

import sys
import typing

from orq_sandbox import later

__all__ = ["Scope", "of_class", "of_function"]

# Annotated is looked at, and 3.8 keeps it by itself
_EXTRAS: typing.Any = {} if sys.version_info < (3, 9) else {"include_extras": True}


class Scope:
    """Where names inside annotations are looked up, and what was already made of some of them.

    `most` is how many items of a collection are looked at; 0 for all. `allow_nan` is the policy for
    what JSON has no number for, `owner` the class whose annotations are read: `Self`. `sets_made`
    counts the lists that became sets, and so lost their order and equal items.
    """

    def __init__(self, names: dict, most: int = 0, *, allow_nan: bool = False) -> None:
        self.names = names
        self.most = most
        self.allow_nan = allow_nan
        self.owner: typing.Optional[type] = None
        self.checkers: dict = {}
        self.converters: dict = {}
        self.sets_made = [0]
        self._made = {id(names): (self.checkers, self.converters)}

    def of(self, kind: type) -> Scope:
        """The scope of a class's annotations: the names of its own module."""
        module = sys.modules.get(kind.__module__)
        names = self.names if module is None else vars(module)
        found = Scope(names, self.most, allow_nan=self.allow_nan)
        found.owner = kind
        found._made = self._made
        found.sets_made = self.sets_made
        # what was made of a name is shared by all that mean the same by it
        found.checkers, found.converters = self._made.setdefault(
            id(names), (found.checkers, found.converters)
        )
        return found

    def look_up(self, reference: typing.Any) -> typing.Any:
        """The annotation that a name, or an expression in a string, stands for."""
        text = reference if isinstance(reference, str) else reference.__forward_arg__
        try:
            return eval(text, self.names)  # the step's own text, as the interpreter would
        except TypeError:
            modern = later.part("modern")  # only what this interpreter cannot evaluate

            return modern.evaluate(text, self.names)


def of_function(function: typing.Any) -> dict:
    """The annotations of a function by parameter. Raises `modern.Unresolved`."""
    try:
        return typing.get_type_hints(function, **_EXTRAS)
    except Exception:  # evaluating an annotation runs the step's code
        modern = later.part("modern")

        return modern.of_function(function)


def of_class(kind: typing.Any) -> dict:
    """The annotations of a class's fields. Raises `modern.Unresolved`."""
    try:
        return typing.get_type_hints(kind, **_EXTRAS)
    except Exception:  # evaluating an annotation runs the step's code
        modern = later.part("modern")

        return modern.of_class(kind)
