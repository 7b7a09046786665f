"""Inputs to parameters: by name, converted, checked, and all that is wrong said at once.

A `Call` is made from a function once, before its inputs are looked at: an annotation that cannot be
resolved is an error even where no input uses it.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import textwrap
import typing

from orq_sandbox import convert, forms, typecheck
from orq_sandbox.failure import Refusal, describe

__all__ = ["Call"]

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_MISSING = inspect.Parameter.empty


class Call:
    """A function with the meaning of its annotations: `bind` inputs, `check_result` its value."""

    def __init__(self, function: typing.Callable) -> None:
        self.function = function
        self._parameters = inspect.signature(function).parameters
        self._hints = _resolved(_annotated(function))
        self._open = next((p for p in self._parameters.values() if p.kind is p.VAR_KEYWORD), None)
        self._slots = {
            name: _slot(self._hints[name], parameter)
            for name, parameter in self._parameters.items()
            if name in self._hints
        }
        self._result = typecheck.compile(self._hints["return"]) if "return" in self._hints else None

    def bind(self, inputs: typing.Dict[str, typing.Any]) -> typing.Tuple[list, dict]:
        """Positional and keyword arguments. Raises `Refusal`: `bad_call` or `wrong_type`."""
        problems = self._misfits(inputs)
        if problems:
            raise _refusal("bad_call", "the inputs do not fit the function", problems)
        positional: list = []
        named: dict = {}
        for name, value in inputs.items():
            named[name] = self._converted(name, value, problems)
        if problems:
            raise _refusal("wrong_type", "", problems)
        for name, parameter in self._parameters.items():
            if parameter.kind is not parameter.POSITIONAL_ONLY:
                continue
            if name not in named:
                break
            positional.append(named.pop(name))
        return positional, named

    def _misfits(self, inputs: typing.Dict[str, typing.Any]) -> list:
        fixed = [
            p for p in self._parameters.values() if p.kind in _NAMED or p.kind is p.POSITIONAL_ONLY
        ]
        names = [parameter.name for parameter in fixed]
        found = []
        if self._open is None:
            found += [_unknown(name, names) for name in inputs if name not in names]
        found += [
            _misfit(parameter.name, "missing parameter `%s`" % parameter.name)
            for parameter in fixed
            if parameter.default is _MISSING and parameter.name not in inputs
        ]
        return found

    def _converted(self, name: str, value: typing.Any, problems: list) -> typing.Any:
        slot = self._slots.get(name)
        if slot is None and self._open is not None and name not in self._parameters:
            slot = self._slots.get(self._open.name)
        if slot is None:
            return value
        converter, checker = slot
        try:
            made = value if converter is None else converter(value)
        except Exception as error:  # a class of the step refused to be made
            said = describe(error)
            reason = "%s: %s" % (said["type"], said["message"])
            mismatch = typecheck.Mismatch(name, "", type(value).__qualname__, "", reason)
            problems.append(self._problem(name, mismatch))
            return value
        if not checker.accepts(made):
            problems += [self._problem(name, one) for one in checker.explain(made, name)]
        return made

    def _problem(self, name: str, mismatch: typecheck.Mismatch) -> dict:
        written = _written_annotation(self.function, name) or forms.shown_type(
            self._hints.get(name)
        )
        expected = written if mismatch.path == name else mismatch.expected
        message = mismatch.message or "expected %s, got %s" % (expected, mismatch.got)
        return {
            "parameter": name,
            "path": mismatch.path,
            "message": message,
            "expected": expected,
            "annotation": written,
            "got": mismatch.got,
            "value": mismatch.value,
        }

    def check_result(self, value: typing.Any) -> None:
        """Raises `Refusal` (`wrong_result`) when the value is not of the annotated type."""
        if self._result is None or self._result.accepts(value):
            return
        problems = [self._problem("return", one) for one in self._result.explain(value, "return")]
        raise _refusal("wrong_result", "", problems)


def _slot(hint: typing.Any, parameter: inspect.Parameter) -> tuple:
    if parameter.default is None and not forms.is_optional(hint):
        hint = typing.Optional[hint]  # what 3.10 and older do by themselves
    return convert.compile(hint), typecheck.compile(hint)


def _annotated(function: typing.Any) -> typing.Any:
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return function.__init__
    return function if hasattr(function, "__annotations__") else type(function).__call__


def _resolved(function: typing.Any) -> typing.Dict[str, typing.Any]:
    try:
        return forms.field_hints(function)
    except Exception as error:  # evaluating an annotation runs the step's code
        name, text = _culprit(function)
        reason = describe(error)
        message = "the annotation of `%s` cannot be resolved: `%s`: %s" % (
            name,
            text,
            reason["message"],
        )
        raise Refusal("raised", message, type=reason["type"]) from error


def _culprit(function: typing.Any) -> typing.Tuple[str, str]:
    spaces = getattr(inspect.unwrap(function), "__globals__", {})
    for name, annotation in function.__annotations__.items():
        holder = type("holder", (), {"__annotations__": {name: annotation}})
        try:
            typing.get_type_hints(holder, spaces, spaces)
        except Exception:  # evaluating an annotation runs the step's code
            return name, annotation if isinstance(annotation, str) else forms.shown_type(annotation)
    return "?", "?"


def _written_annotation(function: typing.Any, name: str) -> str:
    """The annotation's own source text, or nothing when the source cannot be read."""
    try:
        source = textwrap.dedent(inspect.getsource(_annotated(inspect.unwrap(function))))
        tree = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError, ValueError, RecursionError):
        return ""
    if not isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return ""
    if name == "return":
        node = tree.returns
    else:
        every = tree.args
        listed = every.posonlyargs + every.args + every.kwonlyargs
        node = next((one.annotation for one in listed if one.arg == name), None)
    if node is None:
        return ""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ast.get_source_segment(source, node) or ""


def _unknown(name: str, names: typing.List[str]) -> dict:
    close = difflib.get_close_matches(name, names, n=1)
    hint = "; did you mean `%s`?" % close[0] if close else ""
    return _misfit(name, "unknown parameter `%s`%s" % (name, hint))


def _misfit(name: str, message: str) -> dict:
    return {"parameter": name, "path": name, "message": message}


def _refusal(verdict: str, message: str, problems: list) -> Refusal:
    if verdict == "bad_call":
        said = "%s: %s" % (message, "; ".join(one["message"] for one in problems))
    else:
        said = "; ".join("`%s`: %s" % (one["path"], _with_value(one)) for one in problems)
    return Refusal(verdict, said, problems=problems)


def _with_value(problem: dict) -> str:
    return problem["message"] + (": %s" % problem["value"] if problem["value"] else "")
