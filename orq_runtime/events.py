"""What happens while an environment is made or a run goes on, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable

from orq_runtime._dataclass import dataclass

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from orq_runtime.model.phase import Phase, State, Unit
else:
    Phase = State = Unit = str

__all__ = ["EVENT_VERSION", "Event", "Phase", "Sink", "State", "Unit", "ignore"]

EVENT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One moment of progress.

    `state` is `started`, `moved` or `done`. `subject` names what it is about (a package, an
    environment key), `message` is a sentence for people, and `done` of `total` are what `unit`
    says, 0 where not known. Bytes that have come are estimated until the file is there.
    """

    phase: Phase
    state: State
    subject: str = ""
    message: str = ""
    done: int = 0
    total: int = 0

    @property
    def activity(self) -> str:
        """What goes on, by a name: several downloads at once, of everything else one."""
        return f"{self.phase} {self.subject}" if self.phase == "download" else self.phase

    @property
    def unit(self) -> Unit:
        """What `done` and `total` count."""
        if self.phase == "download":
            return "bytes"
        if not self.total:
            return "none"
        return "modules" if self.phase == "compile" else "packages"

    def to_json(self) -> dict[str, object]:
        """The event as a line of an event stream has it, without its time."""
        return {
            "event": self.phase,
            "state": self.state,
            "subject": self.subject,
            "message": self.message,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
        }


Sink = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The sink of those who do not listen."""
