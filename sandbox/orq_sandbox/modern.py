"""Annotations that this interpreter cannot evaluate as they stand: each by itself, by our rules.

`int | None` and `list[int]` are written everywhere and older interpreters know neither: both are
read as what they stand for. Names of an enclosing function are looked up where it left them. What
still has no meaning is an error that names it.
"""

from __future__ import annotations

import ast
import inspect
import sys
import typing

from orq_sandbox import forms

__all__ = ["Unresolved", "evaluate", "of_class", "of_function"]

_GENERICS = {
    "builtins.list": "List",
    "builtins.dict": "Dict",
    "builtins.set": "Set",
    "builtins.frozenset": "FrozenSet",
    "builtins.tuple": "Tuple",
    "builtins.type": "Type",
    "collections.deque": "Deque",
    "collections.defaultdict": "DefaultDict",
    "collections.Counter": "Counter",
    "collections.OrderedDict": "OrderedDict",
    "collections.ChainMap": "ChainMap",
    "collections.abc.Set": "AbstractSet",
}


class Unresolved(Exception):
    """An annotation that means nothing: where it is, its text, and why."""

    def __init__(self, name: str, text: str, error: BaseException) -> None:
        super().__init__("%s: %s" % (type(error).__name__, error))
        self.name = name
        self.annotation = text


def of_function(function: typing.Any, *, skips: bool = False) -> dict:
    """The annotations of a function by parameter. Raises `Unresolved`, or skips what has none."""
    inner = inspect.unwrap(function)
    names = dict(_closure(inner))
    names.update(getattr(inner, "__globals__", {}))
    names.update(_type_parameters(inner))
    found = {}
    for name, annotation in _annotations(function).items():
        try:
            found[name] = _resolved(name, annotation, names)
        except Unresolved:
            if not skips:
                raise
    return found


def of_class(kind: typing.Any) -> dict:
    """The annotations of a class's fields, those of its bases included. Raises `Unresolved`."""
    found = {}
    for base in reversed(kind.__mro__):
        module = sys.modules.get(base.__module__)
        names = dict(vars(module)) if module is not None else {}
        names.setdefault(base.__name__, base)
        names.update(_type_parameters(base))
        for name, annotation in vars(base).get("__annotations__", {}).items():
            where = "%s.%s" % (kind.__qualname__, name)
            found[name] = _resolved(where, annotation, names)
    return found


def _type_parameters(owner: typing.Any) -> dict:
    """Those between brackets since 3.12, which texts in 3.12 are not looked up in by themselves."""
    return {one.__name__: one for one in getattr(owner, "__type_params__", ())}


def _annotations(function: typing.Any) -> dict:
    try:
        return dict(getattr(function, "__annotations__", None) or {})
    except Exception as error:  # evaluated on access, since 3.14
        raise Unresolved(getattr(error, "name", None) or "?", "?", error) from error


def _closure(function: typing.Any) -> typing.Iterator[tuple]:
    code = getattr(function, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), function.__closure__ or ()):
        try:
            yield name, cell.cell_contents
        except ValueError:  # empty as yet
            pass


def _resolved(name: str, annotation: typing.Any, names: dict) -> typing.Any:
    if not forms.is_reference(annotation):
        return annotation
    text = getattr(annotation, "__forward_arg__", annotation)
    try:
        return evaluate(text, names)
    except Exception as error:  # evaluating an annotation runs the step's code
        raise Unresolved(name, text, error) from error


def evaluate(text: str, names: dict) -> typing.Any:
    """The annotation that a text stands for, in newer syntax than this interpreter's too."""
    tree = _Rewritten().visit(ast.parse(text.strip(), "<annotation>", "eval"))
    ours = dict(names, __orq_either__=_either, __orq_generic__=_generic)
    return eval(compile(ast.fix_missing_locations(tree), "<annotation>", "eval"), ours)


class _Rewritten(ast.NodeTransformer):
    """`A | B` and `A[B]` as calls of ours; the values of Literal and Annotated stay theirs."""

    def visit(self, node: ast.AST) -> typing.Any:
        """The node as it can be evaluated here."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return _call("__orq_either__", [self.visit(node.left), self.visit(node.right)])
        if isinstance(node, ast.Subscript):
            return _call("__orq_generic__", [self.visit(node.value), self._index(node)])
        return self.generic_visit(node)

    def _index(self, node: ast.Subscript) -> typing.Any:
        place: typing.Any = node.slice
        # until 3.9 an index is wrapped
        inner = place.value if type(place).__name__ == "Index" else place
        name = ast.dump(node.value)
        if "'Literal'" in name:
            return inner
        if "'Annotated'" in name and isinstance(inner, ast.Tuple):
            inner.elts[0] = self.visit(inner.elts[0])
            return inner
        return self.visit(inner)


def _call(name: str, args: list) -> ast.Call:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=args, keywords=[])


def _either(left: typing.Any, right: typing.Any) -> typing.Any:
    return typing.Union[left, right]


def _generic(form: typing.Any, args: typing.Any) -> typing.Any:
    try:
        return form[args]
    except TypeError:
        if not isinstance(form, type):
            raise
    name = _GENERICS.get("%s.%s" % (form.__module__, form.__qualname__))
    if name is None and form.__module__ in ("collections.abc", "contextlib", "re"):
        name = form.__qualname__
    return getattr(typing, name or "")[args]
