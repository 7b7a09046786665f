"""What is wrong with a call, said for who has to mend it. Only a refused call comes here.

A problem names the parameter, the path inside its value, the type as its author wrote it, what came
instead, and what is likely meant.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
import typing

from orq_sandbox import forms
from orq_sandbox.failure import Refusal
from orq_sandbox.mismatch import Mismatch

__all__ = ["misfit", "problem", "refusal", "unknown"]

_NUMBERS = ("int", "float", "complex")
_MANY = ("List", "list", "Sequence", "Iterable", "Collection", "Tuple", "tuple", "Set", "set")
_MOST = 100


def problem(function: typing.Any, place: tuple, found: Mismatch, *, is_default: bool) -> dict:
    """The problem of a mismatch at a place: parameter (or `return`), annotation, has a default."""
    name, annotation, has_default = place
    written = _written(function, name) or forms.shown_type(annotation)
    expected = written if found.path == name else found.expected
    message = found.message or "expected %s, got %s" % (expected, found.got)
    if is_default:
        message = "its default is wrong: %s" % message
    return {
        "parameter": name,
        "path": found.path,
        "message": message,
        "expected": expected,
        "annotation": written,
        "got": found.got,
        "value": found.value,
        "hint": "" if is_default else _hint(found, forms.shown_type(annotation), has_default),
    }


def _hint(found: Mismatch, annotation: str, has_default: bool) -> str:
    expected = found.expected or annotation
    if found.path == "return" or found.path.startswith(("return.", "return[")):
        return _hint_for_result(found, expected)
    if found.got == "str":
        return _hint_for_text(found, expected)
    if found.got in ("int", "float") and _takes(expected, "str") and not found.message:
        return "`%s` is a number; give a text" % found.path
    if found.got == "float" and _takes(expected, "int") and found.value.endswith(".0"):
        return "`%s` is a whole number written with a fraction; give %s" % (
            found.path,
            found.value[:-2],
        )
    if found.got == "int" and expected == "bool" and found.value in ("0", "1"):
        return "`%s` is a number; give true or false" % found.path
    if found.got == "None" and has_default and "." not in found.path and "[" not in found.path:
        return "`%s` may not be null: leave it out for its default" % found.path
    return ""


def _hint_for_text(found: Mismatch, expected: str) -> str:
    text = found.value[1:-1]
    if text in ("None", "null"):
        return '`%s` is the text "%s"; give null' % (found.path, text)
    if text[:1] in ("{", "[") and not _takes(expected, "str"):
        return "`%s` is JSON as text; give the value itself, or allow `coerce`" % found.path
    if any(_takes(expected, name) for name in _NUMBERS) and _is_number(text):
        return "`%s` is a text; give a number" % found.path
    if _takes(expected, "bool") and text.lower() in ("true", "false"):
        return "`%s` is a text; give %s" % (found.path, text.lower())
    if any(_takes(expected, name) for name in _MANY):
        return "`%s` is one text where several values are wanted; give a list" % found.path
    return ""


def _hint_for_result(found: Mismatch, expected: str) -> str:
    if found.got.startswith("numpy.") and expected in (*_NUMBERS, "bool", "str"):
        return "return `.item()` of numpy's value"
    if found.got == "None":
        return "the function returned nothing; a `return` is missing, or its annotation is wrong"
    return ""


def _takes(expected: str, name: str) -> bool:
    """Whether a type as it is written is of that name, or a union with it."""
    return name in _members(expected)


def _members(expected: str) -> list:
    for union in ("Optional[", "Union["):
        if expected.startswith(union) and expected.endswith("]"):
            return _members(expected[len(union) : -1])
    parts, depth = [""], 0
    for character in expected:
        depth += (character == "[") - (character == "]")
        if depth == 0 and character in ",|":
            parts.append("")
        else:
            parts[-1] += character
    parts = [part.strip() for part in parts]
    if len(parts) > 1:
        return [name for part in parts for name in _members(part)]
    return [parts[0].partition("[")[0]]


def _is_number(text: str) -> bool:
    try:
        return float(text) - float(text) == 0  # which NaN and infinities are not
    except ValueError:
        return False


def _written(function: typing.Any, name: str) -> str:
    """The annotation's own source text, or nothing when the source cannot be read."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        tree = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError, ValueError, RecursionError):
        return ""
    if not isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return ""
    if name == "return":
        node = tree.returns
    else:
        every = tree.args
        listed = [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]
        node = next((one.annotation for one in listed if one and one.arg == name), None)
    if node is None:
        return ""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ast.get_source_segment(source, node) or ""


def unknown(name: str, names: typing.List[str]) -> dict:
    """The problem of an input that no parameter takes."""
    close = difflib.get_close_matches(name, names, n=1)
    hint = "; did you mean `%s`?" % close[0] if close else ""
    return misfit(name, "unknown parameter `%s`%s" % (name, hint))


def misfit(name: str, message: str) -> dict:
    """The problem of an input that does not fit by name."""
    return {"parameter": name, "path": name, "message": message}


def refusal(verdict: str, message: str, problems: list) -> Refusal:
    """The refusal that says all of them."""
    problems = problems[:_MOST]
    if verdict == "bad_call":
        said = "%s: %s" % (message, "; ".join(one["message"] for one in problems))
    else:
        said = "; ".join("`%s`: %s" % (one["path"], _with_value(one)) for one in problems)
    return Refusal(verdict, said, problems=problems)


def _with_value(one: dict) -> str:
    return one["message"] + (": %s" % one["value"] if one["value"] else "")
