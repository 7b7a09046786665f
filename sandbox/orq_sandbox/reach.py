"""What a step's code leads to by its names, as far as that is Python and loaded already.

A child shares the memory of its zygote until it writes there, and to call a function is to write:
to its count of references, to the code that adapts. A page that is written to for the first time is
copied, which takes as long as a dozen calls. Who is told of a step ahead has the time for that.

Rules of this file:

1. Nothing is executed, and nobody is asked for an attribute: names are looked up in dictionaries of
   modules, and only functions and modules of Python's own kinds are followed.
2. To have hold of a thing is to write to its page. Nothing is kept.
"""

from __future__ import annotations

import sys
import types
import typing

__all__ = ["reach"]

_PYTHONS = tuple(map(vars, (sys.modules["builtins"], str, list, dict)))
_MOST = 128  # pieces of code; what leads further is the step's own affair


def reach(code: types.CodeType) -> int:
    """Have hold of the functions that a module's code names, and of what these name in turn.

    How many pieces of code there were.
    """
    left: typing.List[typing.Tuple[types.CodeType, dict]] = [(code, sys.modules)]
    seen: typing.Set[int] = set()
    while left and len(seen) < _MOST:
        code, space = left.pop()
        if id(code) in seen:
            continue
        seen.add(id(code))
        left += [(one, space) for one in code.co_consts if type(one) is types.CodeType]
        for value in _named(code.co_names, space):
            if type(value) is types.FunctionType:
                left.append((value.__code__, value.__globals__))
    return len(seen)


def _named(names: typing.Sequence[str], space: dict) -> typing.List[typing.Any]:
    """What names stand for in a space; and in its modules, and of what Python itself has."""
    found = [space.get(name) for name in names]
    modules = [vars(one) for one in found if type(one) is types.ModuleType]
    for members in (*modules, *_PYTHONS):
        found += [members.get(name) for name in names]
    return found
