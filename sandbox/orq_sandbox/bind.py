"""Inputs to parameters: by name, converted, checked, and all that is wrong said at once.

A `Call` is made from a function once, before its inputs are looked at: an annotation that cannot be
resolved is an error even where no input uses it.

Rules of this file:

1. An input goes to the parameter of its name, whatever its kind. That of `*args` takes a list,
   which is spread; names that no parameter has go to `**kwargs`, identifiers or not.
2. A default of None makes a parameter Optional. A default that is used is checked as well.
3. `coerce` is tried where the strict check failed, and only there.
"""

from __future__ import annotations

import inspect
import sys
import time
import typing

from orq_sandbox import convert, forms, hints, later, typecheck
from orq_sandbox.failure import Refusal, describe
from orq_sandbox.mismatch import Unmade, mismatch

__all__ = ["Call"]

_now = time.monotonic
_MISSING = inspect.Parameter.empty
_SAMPLE = 32
_FUNCTIONS = ("function", "method", "builtin_function_or_method")


class Call:
    """A function with the meaning of its annotations: `bind` inputs, `check_result` its value."""

    def __init__(
        self,
        function: typing.Callable,
        *,
        typecheck: str = "all",
        coerce: bool = False,
        nan: str = "error",
        spent: typing.Optional[typing.List[float]] = None,
    ) -> None:
        """`spent` is a sum that the seconds of converting inputs are added to."""
        self._spent = [0.0] if spent is None else spent
        self.function = function
        self.coerced: list = []
        self.may_be_large = False
        self._parameters = _parameters(function)
        self._is_checked = typecheck != "off"
        self._may_coerce = coerce
        self._annotated = _annotated(function)
        most = _SAMPLE if typecheck == "sample" else 0
        self._scope = hints.Scope(_names(self._annotated), most, allow_nan=nan == "allow")
        kinds = {one.kind: one for one in self._parameters.values()}
        self._list = kinds.get(inspect.Parameter.VAR_POSITIONAL)
        self._open = kinds.get(inspect.Parameter.VAR_KEYWORD)
        self._rest: typing.Optional[dict] = None
        self._is_one_tuple = False  # what `*args` takes, with types for its places
        self._hints = self._resolved(function)
        self._slots = {
            name: self._slot(name, parameter)
            for name, parameter in self._parameters.items()
            if name in self._hints
        }
        self._result = self._result_checker()

    # -- before a call -------------------------------------------------------------------------

    def _resolved(self, function: typing.Any) -> dict:
        try:
            found = hints.of_function(self._annotated)
        except Exception as error:  # evaluating an annotation runs the step's code
            if self._is_checked:
                raise _unresolved("?", None, error) from error
            found = later.part("modern").of_function(self._annotated, skips=True)
        if inspect.isclass(function):
            found = dict(found)
            found.pop("return", None)  # a class gives an object of its own
        return found

    def _slot(self, name: str, parameter: inspect.Parameter) -> tuple:
        """Converter and checker of a parameter."""
        hint = self._hints[name]
        if parameter.kind is parameter.VAR_KEYWORD and forms.is_unpacked(hint):
            self._rest = self._fields(name, forms.args_of(hint)[0])
            return None, None
        if parameter is self._list and forms.is_unpacked(hint):
            self._is_one_tuple = True
            hint = forms.tuple_of_unpacked(hint)
        if parameter.default is None and not forms.is_optional(hint):
            hint = typing.Optional[hint]  # what 3.10 and older do by themselves
        return self._compiled(name, hint)

    def _fields(self, name: str, hint: typing.Any) -> dict:
        """For `**name: Unpack[SomeTypedDict]`: its keys are parameters."""
        found = later.part("records").fields_of(hint)
        return {
            one.key: (self._compiled(name, one.hint), one.is_required, one.hint) for one in found
        }

    def _compiled(self, name: str, hint: typing.Any) -> tuple:
        try:
            converter = convert.compile(hint, self._scope)
            return converter, typecheck.compile(hint, self._scope)
        except Exception as error:  # a name inside has no meaning; a class's field neither
            if not self._is_checked:
                return None, None
            raise _unresolved(name, hint, error) from error

    def _result_checker(self) -> typing.Any:
        hint = self._hints.get("return", _MISSING)
        if hint is _MISSING or not self._is_checked:
            return None
        if _may_need_collecting(hint):
            collect = later.part("collect")  # only for results that are collected
            hint = collect.result_hint(hint)
        try:
            return typecheck.compile(hint, self._scope)
        except Exception as error:  # a name inside has no meaning
            raise _unresolved("return", hint, error) from error

    # -- the inputs ----------------------------------------------------------------------------

    def annotations(self) -> typing.Tuple[typing.Mapping[str, typing.Any], hints.Scope]:
        """The resolved annotations, by parameter and `return`, and where names in them are."""
        return self._hints, self._scope

    def bind(self, inputs: typing.Dict[str, typing.Any]) -> typing.Tuple[list, dict]:
        """Positional and keyword arguments. Raises `Refusal`: `bad_call` or `wrong_type`."""
        self._confirm_names(inputs)
        if self._list is not None and self._is_one_tuple:
            inputs = {self._list.name: [], **inputs}
        wrong: list = []
        named = {name: self._taken(name, value, wrong) for name, value in inputs.items()}
        if self._is_checked:
            for name, parameter in self._parameters.items():
                if name in self._slots and name not in named:
                    self._check_default(name, parameter, wrong)
        if wrong:
            raise self._refusal("wrong_type", wrong)
        return self._arranged(named)

    def _arranged(self, named: dict) -> typing.Tuple[list, dict]:
        spread = self._list is not None and self._list.name in named
        by_position = spread or self._wants_positions(named)
        positional: list = []
        for name, parameter in self._parameters.items():
            is_placed = parameter.kind is parameter.POSITIONAL_ONLY
            is_named = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            is_placed = is_placed or (by_position and is_named)
            if not is_placed:
                continue
            if name in named:
                positional.append(named.pop(name))
            elif spread or self._is_followed(name, named):
                positional.append(parameter.default)
            else:
                break
        if spread and self._list is not None:
            positional += named.pop(self._list.name)
        return positional, named

    def _wants_positions(self, named: dict) -> bool:
        """Whether a decorator hides a function that would not get its arguments by name."""
        if not hasattr(self.function, "__wrapped__"):
            return False
        if hasattr(self.function, "dispatch"):  # functools.singledispatch looks at the first
            return True
        try:
            own = inspect.signature(self.function, follow_wrapped=False).parameters
        except ValueError:  # functools' own in C, which pass on what they get
            return False
        if any(one.kind is one.VAR_KEYWORD for one in own.values()):
            return False
        return not named.keys() <= own.keys()

    def _is_followed(self, name: str, named: dict) -> bool:
        """Whether a positional-only parameter after this one is given."""
        names = [n for n, one in self._parameters.items() if one.kind is one.POSITIONAL_ONLY]
        return name in names and any(n in named for n in names[names.index(name) + 1 :])

    def _confirm_names(self, inputs: typing.Dict[str, typing.Any]) -> None:
        known, rest = self._parameters.keys(), self._rest or {}
        is_known = inputs.keys() <= known | rest.keys() or (
            self._open is not None and self._rest is None
        )
        missing = [
            name
            for name, one in self._parameters.items()
            if one.default is _MISSING
            and name not in inputs
            and one is not self._list
            and one is not self._open
        ]
        missing += [name for name, (_, wanted, _) in rest.items() if wanted and name not in inputs]
        taken = self._taken_already(inputs)
        if is_known and not missing and not taken and not self._clashes(inputs):
            return
        problems = later.part("problems")  # only a refused call needs words

        names = [name for name, one in self._parameters.items() if one is not self._open]
        names += rest
        found = [] if is_known else [problems.unknown(n, names) for n in inputs if n not in names]
        found += [problems.misfit(n, _missing_message(n, self.function)) for n in missing]
        found += [
            problems.misfit(n, "`%s` is taken already: no input can be it" % n) for n in taken
        ]
        if self._clashes(inputs):
            name = typing.cast("inspect.Parameter", self._list).name
            found.append(problems.misfit(name, "`*%s` takes a list" % name))
        raise problems.refusal("bad_call", "the inputs do not fit the function", found)

    def _taken_already(self, inputs: typing.Dict[str, typing.Any]) -> list:
        """Those that only `**kwargs` would take, and that are a method's or partial's own."""
        if self._open is None or inputs.keys() <= self._parameters.keys():
            return []
        behind = _parameters(getattr(self._annotated, "__func__", self._annotated))
        return [
            name
            for name, one in behind.items()
            if one.kind is one.POSITIONAL_OR_KEYWORD
            and name in inputs
            and name not in self._parameters
        ]

    def _clashes(self, inputs: typing.Dict[str, typing.Any]) -> bool:
        if self._list is None or self._list.name not in inputs:
            return False
        return type(inputs[self._list.name]) is not list

    def _taken(self, name: str, value: typing.Any, wrong: list) -> typing.Any:
        if self._list is not None and name == self._list.name:
            slot = self._slots.get(name)
            if slot is None:
                return value
            if self._is_one_tuple:
                return self._converted(name, value, slot, name, wrong)
            return [
                self._converted(name, item, slot, "%s[%d]" % (name, index), wrong)
                for index, item in enumerate(value)
            ]
        slot = self._slots.get(name)
        if self._open is not None and name not in self._parameters:
            slot = self._slots.get(self._open.name) if self._rest is None else self._rest[name][0]
        return value if slot is None else self._converted(name, value, slot, name, wrong)

    def _converted(
        self, name: str, value: typing.Any, slot: tuple, path: str, wrong: list
    ) -> typing.Any:
        made, found = _tried(value, slot, path, self._spent, is_checked=self._is_checked)
        if not found:
            return made
        if self.may_be_large:
            parcel = later.part("parcel")  # only for large values

            inside = parcel.as_json(value)
            if inside is not value:
                again, still = _tried(inside, slot, path, self._spent, is_checked=True)
                if not still:
                    return again
        if self._may_coerce:
            coerce = later.part("coerce")  # only where it is asked for and needed

            meant, changes = coerce.coerced(value, self._hint_of(name), self._scope, path)
            if changes:
                again, still = _tried(meant, slot, path, self._spent, is_checked=True)
                if not still:
                    self.coerced += changes
                    return again
        wrong += [(name, one, False) for one in found]
        return made

    def _hint_of(self, name: str) -> typing.Any:
        if name not in self._hints and self._open is not None:
            if self._rest is not None:
                return self._rest[name][2]
            name = self._open.name
        hint = self._hints.get(name, forms.ANYTHING)
        if self._is_one_tuple and self._list is not None and name == self._list.name:
            return forms.tuple_of_unpacked(hint)
        parameter = self._parameters.get(name)
        if parameter is not None and parameter.default is None:
            return typing.Optional[hint]
        return hint

    def _check_default(self, name: str, parameter: inspect.Parameter, wrong: list) -> None:
        default, checker = parameter.default, self._slots[name][1]
        if default is _MISSING or checker is None or checker.accepts(default):
            return
        wrong += [(name, one, True) for one in checker.explain(default, name)]

    # -- the result ----------------------------------------------------------------------------

    def check_result(self, value: typing.Any) -> None:
        """Raises `Refusal` (`wrong_result`) when the value is not of the annotated type."""
        if self._result is None:
            return
        try:
            if self._result.accepts(value):
                return
            found = self._result.explain(value, "return") or [mismatch("return", "", value)]
        except RecursionError:
            found = [mismatch("return", "", value, "is nested too deeply")]
        raise self._refusal("wrong_result", [("return", one, False) for one in found])

    def _refusal(self, verdict: str, wrong: list) -> Refusal:
        problems = later.part("problems")  # only a refused call needs words

        found = [
            problems.problem(self._annotated, self._place(name), one, is_default=by_default)
            for name, one, by_default in wrong
        ]
        return problems.refusal(verdict, "", found)

    def _place(self, name: str) -> tuple:
        """What the words for a problem need to know: name, annotation, whether it has a default."""
        parameter = self._parameters.get(name)
        has_default = parameter is not None and parameter.default is not _MISSING
        return name, self._hint_of(name), has_default


def _tried(
    value: typing.Any, slot: tuple, path: str, spent: typing.List[float], *, is_checked: bool
) -> typing.Tuple[typing.Any, list]:
    """The converted value, and what is wrong with it."""
    converter, checker = slot
    try:
        made = value
        if converter is not None:
            before = _now()
            made = converter(value)
            spent[0] += _now() - before
        if not is_checked:
            return (made.value if isinstance(made, Unmade) else made), []
        if checker is None or checker.accepts(made):
            return made, []
        return made, checker.explain(made, path) or [mismatch(path, "", made)]
    except RecursionError:
        return value, [mismatch(path, "", value, "is nested too deeply")]


def _parameters(function: typing.Any) -> typing.Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function of C that does not say
        raise Refusal(
            "not_found", "the function does not say what its parameters are: %r" % (function,)
        ) from None


def _annotated(function: typing.Any) -> typing.Any:
    """What carries the annotations: the function behind a partial, a class, an instance."""
    while hasattr(function, "func") and hasattr(function, "keywords"):  # functools.partial
        function = function.func
    if inspect.isclass(function):
        made = [vars(base).get("__init__") for base in function.__mro__]
        own = next((one for one in made if one is not None), function.__init__)
        return own if own is not object.__init__ else function.__new__
    if type(function).__name__ in _FUNCTIONS or hasattr(function, "__wrapped__"):
        return function
    return type(function).__call__


def _names(function: typing.Any) -> dict:
    return getattr(inspect.unwrap(function), "__globals__", None) or vars(sys.modules["builtins"])


def _may_need_collecting(hint: typing.Any) -> bool:
    origin = forms.origin_of(hint) or hint
    return getattr(origin, "__module__", "") in ("collections.abc", "typing")


def _missing_message(name: str, function: typing.Any) -> str:
    message = "missing parameter `%s`" % name
    if name in ("self", "cls") and "." in getattr(function, "__qualname__", ""):
        message += ": a method of an object; only static and class methods can be called"
    return message


def _unresolved(name: str, hint: typing.Any, error: Exception) -> Refusal:
    text = forms.shown_type(hint)
    if hasattr(error, "annotation"):  # `modern.Unresolved`: it knows better, and knows a field
        name, text = getattr(error, "name", name), getattr(error, "annotation", text)
    reason = describe(error.__cause__ or error)
    said = "the annotation of `%s` cannot be resolved: `%s`: %s" % (name, text, reason["message"])
    return Refusal("raised", said, type=reason["type"])
