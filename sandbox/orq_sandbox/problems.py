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

from orq_sandbox import forms, scalars
from orq_sandbox.failure import Refusal, shown
from orq_sandbox.mismatch import Mismatch

__all__ = ["misfit", "problem", "refusal", "unknown"]

_NUMBERS = ("int", "float", "complex")
_MANY = ("List", "list", "Sequence", "Iterable", "Collection", "Tuple", "tuple", "Set", "set")
_MOST = 100
_FORMS = {
    "bytes": "base64 text with its padding",
    "bytearray": "base64 text with its padding",
    "memoryview": "base64 text with its padding",
    "datetime": "ISO 8601 text, such as 2022-07-01T10:00:00+00:00",
    "date": "ISO 8601 text, such as 2022-07-01",
    "time": "ISO 8601 text, such as 10:30:00",
    "timedelta": "an ISO 8601 duration, such as P1DT2.5S",
    "Decimal": 'text, such as "1.10"',
    "UUID": "text of 32 hexadecimal digits, with hyphens or without",
    "complex": "[real, imaginary]",
}
_MOST_CHOICES = 10
_DEEPEST = 6


def problem(function: typing.Any, place: tuple, found: Mismatch, *, is_default: bool) -> dict:
    """The problem of a mismatch at a place: parameter (or `return`), annotation, has a default."""
    name, annotation, has_default = place
    hint = "" if is_default else _hint(found, annotation, has_default)
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
        "hint": hint,
    }


def _hint(found: Mismatch, annotation: typing.Any, has_default: bool) -> str:
    is_top = found.path.isidentifier()
    expected = found.expected or (forms.shown_type(annotation) if is_top else "")
    if found.path == "return" or found.path.startswith(("return.", "return[")):
        return _hint_for_result(found, expected)
    if found.path.endswith("]") and ".keys()[" in found.path:
        return _hint_for_key(expected)
    form = _form_of(expected, annotation, found)
    if form:
        return "`%s` is given as %s" % (found.path, form)
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


def _form_of(expected: str, annotation: typing.Any, found: Mismatch) -> str:
    """What is to be given where JSON has no such type."""
    if found.got == "None" or found.value in ("'None'", "'null'") or found.message:
        return ""
    names = [name.rpartition(".")[2] for name in _members(expected)]
    if "str" in names:
        return ""
    for name in names:
        if name in _FORMS:
            return _FORMS[name]
    kind = next((one for one in _classes(annotation, 0) if one.__name__ in names), None)
    members = list(getattr(kind, "__members__", {}).items()) if scalars.is_enum(kind) else []
    if not members:
        return ""
    by_name = [one.value for name, one in members if found.value == repr(name)]
    values = by_name or [one.value for _, one in members[:_MOST_CHOICES]]
    more = ", ..." if not by_name and len(members) > _MOST_CHOICES else ""
    return "a member's value: %s%s" % (", ".join(map(shown, values)), more)


def _classes(annotation: typing.Any, depth: int) -> typing.Iterator[type]:
    """The classes that an annotation names, as far down as a person would look."""
    while depth < _DEEPEST and forms.layer(annotation) is not annotation:
        annotation, depth = forms.layer(annotation), depth + 1
    if isinstance(annotation, type) and not forms.args_of(annotation):
        yield annotation
    if depth < _DEEPEST:
        for one in forms.args_of(annotation):
            yield from _classes(one, depth + 1)


def _hint_for_key(expected: str) -> str:
    if any(_takes(expected, name) for name in _NUMBERS):
        return 'a key is the JSON text of its number: "1" and not "01"'
    return "a key is given as %s" % _FORMS[expected] if expected in _FORMS else ""


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
