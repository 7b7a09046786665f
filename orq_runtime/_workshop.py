"""Where guests start: the tier that this machine gives, the folders and the groups of runs.

A session has one for its runs. Supply's commands run there too, also where nothing else does: then
nothing of it is made or imported before the first command comes.
"""

from __future__ import annotations

import contextlib
from _thread import RLock  # start-up budget: `threading` has the same one, and much else
from collections.abc import Iterator

from orq_runtime._supply import Supplier
from orq_runtime.events import Sink, ignore
from orq_runtime.settings import Settings

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from orq_runtime._run.cgroup import Mechanism
    from orq_runtime._run.command import Commands
    from orq_runtime._run.ground import Grounds
    from orq_runtime.model.command import Command, CommandEnd, StartedCommand

__all__ = ["Workshop", "supplying"]


class Workshop:
    """Runs commands in the tier that was asked for. Safe for several threads.

    Owns its grounds and its mechanism until `close`.
    """

    def __init__(
        self, *, settings: Settings, isolation: str, mechanism: Mechanism | None = None
    ) -> None:
        self._settings = settings
        self._asked = isolation
        self._lock = RLock()
        self._isolation: str | None = None
        self._mechanism = mechanism
        self._grounds: Grounds | None = None

    @property
    def grounds(self) -> Grounds:
        """The folders of guests."""
        from orq_runtime._run.ground import Grounds  # start-up budget: a hit needs none

        with self._lock:
            if self._grounds is None:
                self._grounds = Grounds(self._settings.temporary_dir)
            return self._grounds

    @property
    def isolation(self) -> str:
        """The tier in force. Tries it when it is first asked. Raises `WallUnavailable`."""
        from orq_runtime._run import capabilities  # start-up budget

        with self._lock:
            if self._isolation is None:
                self._isolation = capabilities.choose(
                    self._asked,
                    cache_dir=self._settings.cache_dir,
                    interpreter=Supplier(settings=self._settings).usual_interpreter,
                    grounds=self.grounds,
                )
            return self._isolation

    @property
    def mechanism(self) -> Mechanism:
        """What holds the limits of whole runs, found when it is first asked for."""
        from orq_runtime._run import cgroup  # start-up budget

        with self._lock:
            if self._mechanism is None:
                self._mechanism = cgroup.choose()
                if self._mechanism.has_cgroup:
                    cgroup.sweep(self._mechanism, self._settings.cache_dir / "v1" / "cgroups")
            return self._mechanism

    def run(self, command: Command) -> CommandEnd:
        """Run a command to its end. Blocks. Raises `SandboxError` when it could not be started."""
        return self._commands().run(command)

    def start(self, command: Command) -> StartedCommand:
        """Have a command start. Raises `SandboxError` where it is known at once that it cannot."""
        return self._commands().start(command)

    def _commands(self) -> Commands:
        from orq_runtime._run.command import Commands  # start-up budget

        return Commands(
            isolation=self.isolation,
            grounds=self.grounds,
            mechanism=self.mechanism,
            cache_dir=self._settings.cache_dir,
        )

    def close(self) -> None:
        """Give back the folders and the groups; nothing may run there any more."""
        if self._grounds is not None:
            self._grounds.close()
        if self._mechanism is not None:
            self._mechanism.close()


@contextlib.contextmanager
def supplying(
    settings: Settings, *, sink: Sink = ignore, isolation: str = "auto"
) -> Iterator[Supplier]:
    """A supplier for those who run nothing themselves; its builds run behind the wall."""
    workshop = Workshop(settings=settings, isolation=isolation)
    try:
        yield Supplier(settings=settings, sink=sink, runner=workshop)
    finally:
        workshop.close()
