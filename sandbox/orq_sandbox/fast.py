"""Checkers generated as source for values of exactly the expected classes.

Rules of this file:

1. What a generated expression accepts, the full checker accepts. What it does not decide goes to
   the full checker: it never refuses by itself. A checker's `sort` says what it is.
2. It runs no code of the step's but attribute access, which the full checker does as well.
"""

from __future__ import annotations

import typing

__all__ = ["checker", "expression_of"]

_DEEPEST = 8


class _Undecided(Exception):
    """The form is not for generated code."""


def checker(full: typing.Any) -> typing.Callable[[typing.Any], bool]:
    """`full.accepts`, asked only where generated code cannot decide."""
    made = expression_of(full)
    if made is None:
        return full.accepts
    source, names = made
    names["full"] = full.accepts
    text = "def accepts(v):\n%s\n    return full(v)\n" % _guarded(source)
    exec(compile(text, "<fast>", "exec"), names)
    return names["accepts"]


def _guarded(source: str) -> str:
    """The body, for values that may lack an attribute: those are for the full checker."""
    if "." not in source:
        return source
    lines = ["    " + line for line in source.split("\n")]
    return "\n".join(["    try:", *lines, "    except AttributeError:", "        pass"])


def expression_of(full: typing.Any) -> typing.Optional[typing.Tuple[str, dict]]:
    """The body of a function of `v` that returns True for what it accepts, and its names."""
    writer = _Writer()
    try:
        if full.sort == "fields" and full.is_dict:
            return writer.keyed(full), writer.names
        return "    if %s:\n        return True" % writer.test(full, "v", 0), writer.names
    except _Undecided:
        return None


class _Writer:
    """Writes tests; `names` are what they refer to."""

    def __init__(self) -> None:
        self.names: dict = {"absent": object()}

    def _name(self, value: object) -> str:
        name = "k%d" % len(self.names)
        self.names[name] = value
        return name

    def keyed(self, full: typing.Any) -> str:
        """The body for a TypedDict: its required keys by index, the others by `get`."""
        required = [part for part in full.parts if part[0].is_required]
        others = [part for part in full.parts if not part[0].is_required]
        lines, tests = [], []
        for index, (field, inner) in enumerate(required):
            lines.append("            a%d = v[%r]" % (index, field.key))
            tests.append(self.test(inner, "a%d" % index, 1))
        count = "%d" % len(required)
        for index, (field, inner) in enumerate(others):
            lines.append("            b%d = v.get(%r, absent)" % (index, field.key))
            tests.append("(b%d is absent or %s)" % (index, self.test(inner, "b%d" % index, 1)))
            count += " + (b%d is not absent)" % index
        return "\n".join(
            [
                "    if type(v) is dict:",
                "        try:",
                *(lines or ["            pass"]),
                "        except KeyError:",
                "            pass",
                "        else:",
                "            if len(v) == %s and %s:" % (count, " and ".join(tests) or "True"),
                "                return True",
            ]
        )

    def test(self, full: typing.Any, name: str, depth: int) -> str:
        """An expression that is true only for what the checker accepts."""
        if depth > _DEEPEST:
            raise _Undecided
        kinds = getattr(full, "kinds", None)
        if kinds is not None:
            return self._kinds(kinds, name)
        if full.sort == "anything":
            return "True"
        if full.sort == "oneof":
            return "(%s)" % " or ".join(self.test(one, name, depth + 1) for one in full.members)
        if full.sort == "choice":
            return self._choice(full, name)
        if full.sort == "items":
            return self._items(full, name)
        if full.sort == "fields" and not full.is_dict and full.parts:
            return self._held(full, name, depth)
        raise _Undecided

    def _kinds(self, kinds: frozenset, name: str) -> str:
        if len(kinds) == 1:
            return "type(%s) is %s" % (name, self._name(next(iter(kinds))))
        return "type(%s) in %s" % (name, self._name(kinds))

    def _choice(self, full: typing.Any, name: str) -> str:
        kinds = {type(value) for value in full.values}
        if kinds != {str}:
            raise _Undecided
        text, values = self._name(str), self._name(frozenset(full.values))
        return "(type(%s) is %s and %s in %s)" % (name, text, name, values)

    def _items(self, full: typing.Any, name: str) -> str:
        kinds = getattr(full.item, "kinds", None)
        if full.kind is not list or kinds is None:
            raise _Undecided
        held = self._name(kinds)
        of_all = "%s.issuperset(map(type, %s))" % (held, name)
        return "(type(%s) is %s and %s)" % (name, self._name(list), of_all)

    def _held(self, full: typing.Any, name: str, depth: int) -> str:
        tests = ["type(%s) is %s" % (name, self._name(full.kind))]
        for field, inner in full.parts:
            if field.attribute:
                if not field.attribute.isidentifier() or not field.is_given:
                    raise _Undecided  # it may not be there
                tests.append(self.test(inner, "%s.%s" % (name, field.attribute), depth + 1))
        return "(%s)" % " and ".join(tests)
