"""The guest's private copies of orjson and typeguard, invisible to the step.

Rules of this file:

1. They are imported from the support folder, kept here, and dropped from `sys.modules`; the folder
   leaves the path. A step that imports `typeguard` gets its own environment's, or an ImportError.
2. orjson takes a name from each of `dataclasses` and `uuid`, for what we never have it write.
   They would load half of `inspect` (10 ms) and are stood in for while it is imported, if it is of
   a version for which that was tried.
3. Of typeguard only the checkers are imported. Its package `__init__` pulls in `unittest.mock` and
   `importlib.metadata` (0.1 s) for an exemption of Mock objects and for plug-ins, which we do not
   want: both modules are stood in for during the import.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
import typing

__all__ = ["check_by_typeguard", "load_json", "load_typeguard"]

_PRIVATE = ("orjson", "typeguard", "typing_extensions", "importlib_metadata", "zipp")
_TRIED = ("3.10.", "3.11.", "3.12.", "3.13.")
_kept: list = []  # module objects whose functions we hold must stay alive
_typeguard: dict = {}
_folder: list = []


def _is_private(name: str) -> bool:
    return name.partition(".")[0] in _PRIVATE


class _Privately:
    """Within it, imports see the support folder first and the step's own copies not at all."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._users: dict = {}
        self._path: list = []

    def __enter__(self) -> None:
        self._path = list(sys.path)
        sys.path.insert(0, self._folder)
        self._users = {
            name: sys.modules.pop(name) for name in list(sys.modules) if _is_private(name)
        }

    def __exit__(self, *_: object) -> None:
        sys.path[:] = self._path
        ours = [name for name in sys.modules if _is_private(name)]
        _kept.extend(sys.modules.pop(name) for name in ours)
        sys.modules.update(self._users)
        sys.path_importer_cache.pop(self._folder, None)


def load_json(folder: str) -> types.ModuleType:
    """The support folder's orjson; the folder is remembered for typeguard.

    Raises ImportError when the folder is not a support layer.
    """
    _folder[:] = [folder]
    if not _is_known(folder):
        with _Privately(folder):
            return importlib.import_module("orjson")
    marker: typing.Any = type("UUID", (), {})
    stand_ins = {
        "dataclasses": _module("dataclasses", _FIELD=object()),
        "uuid": _module("uuid", UUID=marker, NAMESPACE_DNS=marker()),
    }
    with _Privately(folder), _shadowing(stand_ins):
        return importlib.import_module("orjson")


def _is_known(folder: str) -> bool:
    heads = tuple("orjson-%s" % version for version in _TRIED)
    return any(name.startswith(heads) for name in os.listdir(folder))


def _module(name: str, **held: typing.Any) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(held)
    return module


class _shadowing:  # noqa: N801 - reads as the function it stands for
    """Within it, imports find these modules by their names."""

    def __init__(self, modules: typing.Dict[str, types.ModuleType]) -> None:
        self._modules = modules
        self._shadowed: typing.Dict[str, types.ModuleType] = {}

    def __enter__(self) -> None:
        for name in self._modules:
            if name in sys.modules:
                self._shadowed[name] = sys.modules[name]
        sys.modules.update(self._modules)

    def __exit__(self, *_: object) -> None:
        for name in self._modules:
            del sys.modules[name]
        sys.modules.update(self._shadowed)


def load_typeguard() -> None:
    """Import what `check_by_typeguard` needs, from the folder `load_json` was given, once."""
    if _typeguard:
        return
    folder = _folder[0]
    with _Privately(folder), _shadowing(_stand_ins(folder)):
        for part in ("_checkers", "_config", "_memo", "_exceptions"):
            _typeguard[part] = importlib.import_module("typeguard." + part)


def _stand_ins(folder: str) -> dict:
    package = types.ModuleType("typeguard")
    vars(package)["__path__"] = [folder + "/typeguard"]
    unittest = types.ModuleType("unittest")
    mock = types.ModuleType("unittest.mock")
    vars(mock)["Mock"] = type("Mock", (), {})  # nothing is an instance of it
    metadata = types.ModuleType("importlib.metadata")
    vars(metadata)["entry_points"] = lambda **_: ()  # no plug-ins
    older = types.ModuleType("importlib_metadata")  # what typeguard takes on 3.8 and 3.9
    vars(older)["entry_points"] = lambda **_: ()
    return {
        "typeguard": package,
        "unittest": unittest,
        "unittest.mock": mock,
        "importlib.metadata": metadata,
        "importlib_metadata": older,
    }


def check_by_typeguard(value: object, annotation: object) -> str:
    """Why `value` is not of the type, in typeguard's words, or nothing when it is.

    Every item of every collection counts. What it cannot check it does not accept.
    """
    load_typeguard()
    config = _typeguard["_config"]
    settings = config.TypeCheckConfiguration()
    settings.collection_check_strategy = config.CollectionCheckStrategy.ALL_ITEMS
    settings.forward_ref_policy = config.ForwardRefPolicy.ERROR
    memo = _typeguard["_memo"].TypeCheckMemo({}, {}, config=settings)
    try:
        _typeguard["_checkers"].check_type_internal(value, annotation, memo)
    except _typeguard["_exceptions"].TypeCheckError as error:
        return str(error) or "is of another type"
    except RecursionError:
        raise
    except Exception as error:  # no form that it knows, a name without meaning, or the step's code
        return "cannot be checked: %s: %s" % (type(error).__name__, error)
    return ""
