"""What is done of a call before its request is there: the process is made the step's own.

Rules of this file:

1. Making its module and compiling its code executes nothing of the step's. The module is executed
   ahead of a request only where the caller asked for that (`bind`).
2. What goes wrong ahead of the request is told with its answer, as if it had gone wrong then.
"""

from __future__ import annotations

import os
import sys
import typing

from orq_sandbox import load

__all__ = ["Ahead", "set_variables"]


_at_start = dict(os.environ)  # before any package: what most runs ask for
_variables: typing.Dict[str, str] = {}  # as they were set last


def set_variables(
    rooms: typing.Tuple[str, str], environ: typing.Optional[typing.Mapping[str, str]] = None
) -> None:
    """Have the variables of a run, and no others; in a zygote, those that most runs will have."""
    home, temporary = rooms
    wanted = {"HOME": home, "TMPDIR": temporary, **(_at_start if environ is None else environ)}
    if wanted == _variables:
        return
    os.environ.clear()
    for name, value in wanted.items():
        os.environ[name] = value  # `update` asks about classes
    _variables.clear()
    _variables.update(wanted)


class Ahead:
    """What is known of the step, as far as it is known, and made ready, as far as that may be.

    `modules`: how many this process had before anything of the step's.
    """

    def __init__(self, rooms: typing.Tuple[str, str]) -> None:
        """`rooms` are the run's home and the folder of its temporary files."""
        self._rooms = rooms
        self.modules = len(sys.modules)
        self._about: typing.Dict[str, typing.Any] = {}
        self._made: typing.Optional[load.Module] = None
        self._function: typing.Optional[typing.Callable] = None
        self._error: typing.Optional[BaseException] = None

    def expect(self, about: typing.Dict[str, typing.Any]) -> None:
        """A request for this step is expected: get ready for it."""
        self._about = about
        self._settle(about)
        self._make(is_wary=False)
        self.bind()

    def prepare(self, about: typing.Dict[str, typing.Any]) -> None:
        """The same for processes that are forked from this one, which are the step's: they `bind`.

        Executes nothing of the step's, whatever was asked for.
        """
        self._about = about
        self._settle(about)
        self._make(is_wary=True)

    def _make(self, *, is_wary: bool) -> None:
        about = self._about
        try:
            self._made = load.made(about["file"], about["source"], about["roots"], is_wary=is_wary)
        except BaseException:  # the step's own: tried again, and told, when somebody asks
            self._made = None

    def take(self) -> None:
        """Have in memory of this process's own what it shares with the one that prepared it.

        What a run writes to is copied then, page by page: better now than when it is waited for.
        """
        self._about = dict(self._about)
        made = self._made
        if made is not None and made.code is not None:
            self._made = load.copied(made)

    def bind(self) -> None:
        """Execute the module ahead of the request, if that is wanted."""
        if self._about.get("bind"):
            try:
                self._function = self.function(self._about)
            except BaseException as error:  # it is the step's, and told when somebody asks
                self._error = error

    def rehearse(self, about: typing.Dict[str, typing.Any], made: load.Module) -> None:
        """Expect a request for a step whose module is there. This process is nobody's yet."""
        self._about, self._made = about, made

    def asked(self, request: typing.Dict[str, typing.Any]) -> typing.Dict[str, typing.Any]:
        """The whole request: one that says nothing of the step is for the one that is expected."""
        if "function" not in request:
            self._about.update(request)
            return self._about
        self._settle(request)
        self._made = self._function = self._error = None
        return request

    def function(self, asked: typing.Dict[str, typing.Any]) -> typing.Callable:
        """The step's function. Raises `Refusal`, and what the step's module raises."""
        if self._error is not None:
            raise self._error
        if self._function is not None:
            return self._function
        made = self._made or load.made(asked["file"], asked["source"], asked["roots"])
        return load.function_of(load.executed(made), asked["function"])

    def _settle(self, asked: typing.Dict[str, typing.Any]) -> None:
        """Make this process the run's: its variables and its import roots."""
        set_variables(self._rooms, asked["environ"])
        for root in asked["roots"]:
            if root not in sys.path:
                sys.path.append(root)
