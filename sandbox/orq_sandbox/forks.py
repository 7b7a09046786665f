"""Forks of ours, and which packages are told of them.

Python's own fork has each lock of the interpreter made anew, and tells all who asked for it:
`threading`, to be rid of the threads and locks that are not in the new process. It writes to a
hundred pages, and where there is one thread nothing is to be rid of: the new process is the old
one as it stood. So ours are the C library's. All others that ask are told: some draw new numbers.
"""

from __future__ import annotations

import ctypes
import os
import sys
import typing

__all__ = ["fork", "fork_unheard", "is_alone", "listen"]

_WHEN = ("before", "after_in_parent", "after_in_child")
_MUST_BE_HEARD = "random"  # it asks when it is imported, and draws what its parent draws if unheard

_asked: typing.Dict[str, typing.List[typing.Callable[[], object]]] = {}
_main: typing.List[typing.Dict[str, typing.Any]] = []  # what the one thread knows of itself
_fork = ctypes.PyDLL(None).fork  # keeps the interpreter's lock


def listen() -> None:
    """From now on note who asks to be told. Before any package is imported."""
    import threading  # here, so that it asks before we listen

    if _asked or _MUST_BE_HEARD in sys.modules:
        return
    main = vars(threading.main_thread())
    if "_native_id" in main:
        _main.append(main)
    _asked.update((when, []) for when in _WHEN)
    ask = os.register_at_fork

    def register_at_fork(**hooks: typing.Any) -> None:
        """Register callables to be called when forking a new process; see `os`."""
        ask(**hooks)
        for when, hook in hooks.items():
            if hook is not None:
                _asked[when].append(hook)

    for module in (os, sys.modules[os.name]):
        vars(module)["register_at_fork"] = register_at_fork


def is_alone() -> bool:
    """Whether this thread is the only one: packages may have some, and they hold things."""
    return len(vars(sys)["_current_frames"]()) == 1


def fork() -> int:
    """Fork, and have packages hear of it."""
    if not _asked or not is_alone():
        return os.fork()
    _tell(reversed(_asked["before"]))
    pid = -1
    try:
        pid = _forked()
    finally:  # parent and child take the same way: the child's code is fitted by then
        mine = os.getpid()
        _tell(_asked["after_in_parent" if pid else "after_in_child"])
        _renumber(pid or mine)
    return pid


def fork_unheard() -> int:
    """A fork that no package is told of: its child runs nothing of theirs before it forks again."""
    return _forked() if is_alone() else os.fork()


def _forked() -> int:
    pid: int = _fork()
    return pid if pid >= 0 else os.fork()  # which says why it cannot


def _tell(hooks: typing.Iterable[typing.Callable[[], object]]) -> None:
    for hook in hooks:
        try:
            hook()
        except BaseException:  # a package's: Python itself goes on as well
            pass


def _renumber(number: int) -> None:
    """Have the one thread know the number that the kernel has given it anew.

    The parent takes its child's: it asks for none, and its next child often has that number, too.
    """
    for main in _main:
        if main["_native_id"] != number:
            main["_native_id"] = number
