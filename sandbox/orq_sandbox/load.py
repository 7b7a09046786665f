"""The step's module and function: found, executed under a stable name, looked up by name.

The module is named as an import would name it where its file lies under an import root
(`orquestra.main` for `src/python/orquestra/main.py`), so that relative imports work; else by its
stem. Code given as text is the module `step` of the file `<step>`; tracebacks know its lines.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import stat
import sys
import types
import typing

from orq_sandbox.failure import Refusal

__all__ = ["Module", "compiled", "copied", "executed", "forget_source", "function_of", "made"]

SOURCE_FILE = "<step>"
_LONGEST_SOURCE = 4 << 20
_CODE = types.CodeType


class Module:
    """A module as it is before its code runs. Without `code` its loader executes it."""

    __slots__ = ("code", "module")

    def __init__(self, module: types.ModuleType, code: typing.Any) -> None:
        self.module, self.code = module, code


def compiled(source: str) -> types.CodeType:
    """The code of a text, which executes nothing. Raises what compiling raises."""
    return compile(source, SOURCE_FILE, "exec", dont_inherit=True)


def made(
    file: typing.Optional[str],
    source: typing.Optional[str],
    roots: typing.List[str],
    *,
    is_wary: bool = False,
) -> Module:
    """The step's module, which others may import from now on; nothing of it is executed.

    Raises `Refusal` if its file is missing, and what compiling raises. `is_wary`: it is for another
    process than the step's. What an earlier run has made of the file is waited for by nobody, and
    bytecode beside it is not loaded: what no compiler has made can do anything then.
    """
    if source is not None:
        return _of_source(source)
    return _of_file(str(file), roots, _from_source if is_wary else _from_loader)


def _of_file(
    file: str, roots: typing.List[str], code_of: typing.Callable[[typing.Any, str], typing.Any]
) -> Module:
    try:
        with open(file, "rb", opener=_without_waiting):
            pass
    except OSError as error:
        raise Refusal("not_found", _unreadable(file, error)) from None
    name = _module_name(file, roots)
    spec: typing.Any
    if file.endswith(".py") and not file.endswith("/__init__.py"):  # what nearly all of them are
        loader = importlib.machinery.SourceFileLoader(name, file)
        spec = importlib.util.spec_from_file_location(
            name, file, loader=loader, submodule_search_locations=None
        )
    else:
        spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise Refusal("not_found", "not a Python file: `%s`" % file)
    code = code_of(spec.loader, name)
    module = importlib.util.module_from_spec(spec)
    module.__package__ = spec.name.rpartition(".")[0]
    sys.path.insert(0, os.path.dirname(file))
    sys.modules[name] = module
    return Module(module, code)


def copied(made: Module) -> Module:
    """The same, of objects that are made now."""
    module = types.ModuleType(made.module.__name__)
    vars(module).update(vars(made.module))
    sys.modules[module.__name__] = module
    return Module(module, _anew(made.code))


def _anew(code: typing.Any) -> typing.Any:
    inside = list(code.co_consts)
    for place, one in enumerate(inside):
        if type(one) is _CODE:
            inside[place] = _anew(one)
    return code.replace(co_consts=tuple(inside))


def _from_loader(loader: typing.Any, name: str) -> typing.Any:
    return loader.get_code(name)


def _from_source(loader: typing.Any, name: str) -> typing.Any:
    path = loader.get_filename(name)
    with open(path, "rb", opener=_without_waiting) as file:
        is_usual = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        text = file.read(_LONGEST_SOURCE + 1) if is_usual else None
    if text is None or len(text) > _LONGEST_SOURCE:
        raise Refusal("not_found", "not a Python file: `%s`" % path)
    return loader.source_to_code(text, path)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def executed(made: Module) -> types.ModuleType:
    """The module, when its code has run. Raises what that raises."""
    if made.code is None:  # one that was compiled by other means
        spec: typing.Any = made.module.__spec__
        spec.loader.exec_module(made.module)
    else:
        exec(made.code, made.module.__dict__)
    return made.module


def _unreadable(file: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file: `%s`" % file
    if not isinstance(error, PermissionError):
        return "cannot read `%s`: %s" % (file, error.strerror)
    folder = file
    while folder != os.path.dirname(folder):  # the outermost that is in the way
        parent = os.path.dirname(folder)
        if os.access(parent, os.X_OK):
            break
        folder = parent
    return "the run's user may not read `%s`: let others read it (chmod -R o+rX)" % folder


def _module_name(file: str, roots: typing.List[str]) -> str:
    name = stem = _without_suffix(file.rpartition(os.sep)[2])
    for root in sorted(roots, key=len, reverse=True):
        above = root.rstrip(os.sep) + os.sep
        if file.startswith(above):
            parts = _without_suffix(file[len(above) :]).split(os.sep)
            if all(part.isidentifier() for part in parts):
                name = ".".join(parts)
            break
    is_taken = name in sys.modules or name.partition(".")[0] in getattr(
        sys, "stdlib_module_names", ()
    )
    return "step_" + stem if is_taken else name


def _without_suffix(path: str) -> str:
    is_plain = path.endswith(".py") and path[-4:-3] not in ("", ".", os.sep)
    return path[:-3] if is_plain else os.path.splitext(path)[0]


def _of_source(source: str) -> Module:
    import linecache  # start-up budget: with files nothing needs it but a failure

    code = compiled(source)
    lines = source.splitlines(True)
    linecache.cache[SOURCE_FILE] = (len(source), None, lines, SOURCE_FILE)
    module = types.ModuleType("step")
    module.__file__ = SOURCE_FILE
    sys.modules["step"] = module
    return Module(module, code)


def forget_source() -> None:
    """Undo what a module made of a text left in the caches of this process."""
    sys.modules.pop("step", None)
    linecache: typing.Any = sys.modules.get("linecache")
    if linecache is not None:
        linecache.cache.pop(SOURCE_FILE, None)


def function_of(module: types.ModuleType, name: str) -> typing.Callable:
    """The function by its name. Raises `Refusal` with close names when there is none."""
    found: typing.Any = vars(module).get(name)
    if type(found) is types.FunctionType:  # mostly
        return found
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Refusal("not_found", _missing(module, name))
        found = getattr(found, part)
    if not callable(found):
        message = "`%s` in `%s` is not a function but %s" % (
            name,
            module.__file__,
            type(found).__qualname__,
        )
        raise Refusal("not_found", message)
    return found


def _missing(module: types.ModuleType, name: str) -> str:
    own = [
        key
        for key, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    import difflib  # start-up budget: only a failure needs it

    close = difflib.get_close_matches(name, own, n=3, cutoff=0.5)
    message = "no function `%s` in `%s`" % (name, module.__file__)
    if close:
        return message + "; did you mean %s?" % " or ".join("`%s`" % one for one in close)
    if own:
        return message + "; it has %s" % ", ".join("`%s`" % one for one in own[:8])
    return message
