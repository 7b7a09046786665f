"""The one decision of a run: what is seen of it goes in, what to do and how it ended comes out.

Rules of this file:

1. No clock and no I/O: bytes, ends of streams and the time are arguments.
2. What the step may send, and when, is `_NEXT` (`_NEXT_WITHOUT_CALL` where its function is only
   described or checked); all else is a violation and ends the run.
3. An answer, once whole and under the run's seal, stands: a deadline, a cancel or a crash that
   comes later changes nothing. One that is too long is refused as such, if what came of it is
   under the seal, and as garbage otherwise.
4. With a RESULT the run `is_settled`, and may be handed over while its one process is being ended.
   All else waits for the end: other processes to be dead, or the kernel's word on what it killed.
5. Whatever happens, `is_finished` becomes true: every state has a next moment.
"""

from __future__ import annotations

import enum
import os
from typing import Final, Literal, NamedTuple

from orq_runtime._run.capture import Capture
from orq_runtime.model.limits import Limits
from orq_sandbox import wire

__all__ = ["Conclusion", "Machine", "Order", "StopCause"]

StopCause = Literal["timeout", "cancelled"]

TERM_GRACE_MS: Final = 500
"""Between SIGTERM and SIGKILL to the step's processes, counted by init."""

KILL_GRACE_NS: Final = 2_000_000_000
"""Beyond that, for init to report, before init itself is killed."""

DRAIN_GRACE_NS: Final = 250_000_000
"""For streams to end once init has: nothing of the run is alive then, but for what killed init."""

_LONGEST_FAILURE: Final = 4 * 1024 * 1024
_BESIDE_VALUE: Final = 4096 + 40 * wire.MOST_BLOBS

_USUAL: Final = wire.frame(wire.PARKED) + wire.frame(wire.BEGAN)
"""What comes before the RESULT of a run that goes well."""

_NEXT: Final[dict[str, dict[int, str]]] = {
    "new": {wire.PARKED: "parked"},
    "parked": {wire.BEGAN: "began", wire.FAILURE: "answered"},
    "began": {wire.RESULT: "answered", wire.FAILURE: "answered"},
    "answered": {},
}
_NEXT_WITHOUT_CALL: Final[dict[str, dict[int, str]]] = {
    "new": {wire.PARKED: "parked"},
    "parked": {wire.RESULT: "answered", wire.FAILURE: "answered"},
    "answered": {},
}


class Order(enum.Enum):
    """What the driver must do next."""

    RELEASE = enum.auto()
    """Close the request: the step has answered and may go."""
    STOP = enum.auto()
    """Send STOP to init."""
    STOP_NOW = enum.auto()
    """Send STOP to init, without a grace for the step."""
    KILL = enum.auto()
    """SIGKILL init: everything under it dies."""


class Conclusion(NamedTuple):
    """All that is known of a run at its end. `verdict` is decided here; bodies are unread."""

    verdict: str
    reason: str
    began: Literal["no", "yes", "unknown"]
    answer: bytes | None
    wait_status: int | None
    cpu_seconds: float | None
    peak_memory_bytes: int | None
    is_disk_full: bool
    answered_ns: int | None


class Machine:
    """Follows one run from its request to its end."""

    def __init__(
        self,
        limits: Limits,
        *,
        deadline_ns: int,
        seal: bytes,
        waits_for_end: bool = False,
        calls: bool = True,
    ) -> None:
        """`waits_for_end`: whether a RESULT alone does not settle the run.

        `calls`: whether the function is to be called; it may not begin otherwise. `next_ns` is when
        `tick` must be called at the latest, `printed` what was printed, by stream.
        """
        self._next = _NEXT if calls else _NEXT_WITHOUT_CALL
        self._limits = limits
        self.printed: dict[str, Capture] = {}
        self._seal = seal
        self._must_end = waits_for_end
        self._step: wire.Decoder | None = None  # these two are made when there is anything to read
        self._init: wire.Decoder | None = None
        self._state = "new"
        self._answer: tuple[int, bytes] | None = None
        self._answered_ns: int | None = None
        self._status: tuple[int, int, int, bool] | None = None
        self._open = {"result", "stdout", "stderr", "status"}
        self._stopped: str | None = None
        self._reason = ""
        self._orders: list[Order] = []
        self.next_ns: int | None = deadline_ns
        self._has_begun = self._is_untaken = False
        self._descriptors = 0
        self._is_refused = False
        self._is_killed = False
        self._is_out_of_patience = False

    # -- what is seen --------------------------------------------------------------------------

    def saw(self, name: str, chunk: bytes, now_ns: int, *, descriptors: int = 0) -> None:
        """Bytes from `result`, `status`, `stdout` or `stderr`; none at the end of the stream.

        `descriptors` is how many came with them.
        """
        if descriptors:
            self._count(descriptors, now_ns)
        if not chunk:
            self._open.discard(name)
            if name == "status":
                self._init_is_gone(now_ns)
            elif name == "result":
                self._check_tail()
        elif name == "result":
            self._from_step(chunk, now_ns)
        elif name == "status":
            self._from_init(chunk, now_ns)
        else:
            self._from_printer(name, chunk)

    def _count(self, descriptors: int, now_ns: int) -> None:
        self._descriptors += descriptors
        if self._descriptors > 1 and not self._is_refused:
            self._refuse("protocol_violation", "more than one descriptor", now_ns)

    def missed(self) -> None:
        """The kernel says that the step has ended without reading all of its request."""
        self._is_untaken = True

    def tick(self, now_ns: int) -> None:
        """The time, at `next_ns` or later: deadlines that are over take effect."""
        if self.next_ns is None or now_ns < self.next_ns:
            return
        if "status" not in self._open or self._is_killed:
            self._is_out_of_patience = True
        elif self._stopped is not None or self._state == "answered":
            self._kill(now_ns)
        else:
            self.stop("timeout", now_ns)

    def stop(self, cause: str, now_ns: int, reason: str = "", *, at_once: bool = False) -> None:
        """End the run for a cause. Only the first cause counts, and none after an answer.

        `at_once`: without a grace, in which it would take more of what it has too much of.
        """
        if self._stopped is not None or "status" not in self._open:
            return
        if self._state != "answered":
            self._stopped, self._reason = cause, reason
        self._orders.append(Order.STOP_NOW if at_once else Order.STOP)
        self.next_ns = now_ns + TERM_GRACE_MS * 1_000_000 + KILL_GRACE_NS

    def _from_printer(self, name: str, chunk: bytes) -> None:
        if name not in self.printed:
            limits = self._limits
            cap = limits.stdout_bytes if name == "stdout" else limits.stderr_bytes
            self.printed[name] = Capture(cap)
        self.printed[name].feed(chunk)

    def _from_step(self, chunk: bytes, now_ns: int) -> None:
        if self._is_refused or (chunk.startswith(_USUAL) and self._is_all_told(chunk, now_ns)):
            return
        if self._step is None:
            longest = {wire.PARKED: 0, wire.BEGAN: 0, wire.FAILURE: _LONGEST_FAILURE}
            longest[wire.RESULT] = self._limits.result_bytes + _BESIDE_VALUE
            self._step = wire.Decoder(longest)
        try:
            for kind, body in self._step.feed(chunk):
                self._advance(kind, body, now_ns)
        except wire.TooLong as error:
            if error.kind == wire.RESULT and self._seal.startswith(error.start):
                most = self._limits.result_bytes
                reason = f"the result is {error.length} bytes of JSON; {most} are allowed"
                self._refuse("output_exceeded", reason, now_ns)
            else:
                self._refuse("protocol_violation", str(error), now_ns)
        except wire.WireError as error:
            self._refuse("protocol_violation", str(error), now_ns)

    def _is_all_told(self, chunk: bytes, now_ns: int) -> bool:
        """Take all that most runs ever say, if it is that to the byte: as frame by frame."""
        start = len(_USUAL) + wire.HEADER.size
        length = len(chunk) - start
        if (
            self._state != "new"
            or self._step is not None  # it was cut into pieces
            or self._next is not _NEXT
            or length > self._limits.result_bytes
            or not chunk.startswith(self._seal, start)
            or wire.HEADER.unpack_from(chunk, len(_USUAL)) != (wire.RESULT, length)
        ):
            return False
        self._has_begun = True
        self._answered(wire.RESULT, chunk[start + len(self._seal) :], now_ns)
        return True

    def _check_tail(self) -> None:
        is_whole = self._step is None or self._step.is_between_frames
        if self.is_answered and not is_whole and not self._is_refused:
            self._answer = None
            self._stopped, self._reason = "protocol_violation", "bytes after the answer"

    def _advance(self, kind: int, body: bytes, now_ns: int) -> None:
        if kind not in self._next[self._state]:
            raise wire.WireError(f"a frame of kind {kind} may not come in state `{self._state}`")
        if kind in (wire.RESULT, wire.FAILURE) and not body.startswith(self._seal):
            raise wire.WireError("an answer without the seal of the run")
        self._state = self._next[self._state][kind]
        self._has_begun = self._has_begun or kind == wire.BEGAN
        if self._state == "answered":
            self._answered(kind, body[len(self._seal) :], now_ns)

    def _answered(self, kind: int, body: bytes, now_ns: int) -> None:
        self._state = "answered"
        self._answered_ns = now_ns
        if kind == wire.RESULT:
            self._must_end = self._must_end or not body.startswith(wire.ALONE)
            body = body[1:]
        self._answer = (kind, body)
        if self._must_end or self._stopped is not None or kind == wire.FAILURE:
            self._orders.append(Order.RELEASE)  # else it goes when the run is handed over
        self.next_ns = now_ns + KILL_GRACE_NS

    def _refuse(self, cause: str, reason: str, now_ns: int) -> None:
        self._answer = None
        self._stopped, self._reason = cause, reason
        self._is_refused = True
        self._orders.append(Order.STOP_NOW)
        self.next_ns = now_ns + KILL_GRACE_NS

    def _kill(self, now_ns: int) -> None:
        self._is_killed = True
        self._orders.append(Order.KILL)
        self.next_ns = now_ns + KILL_GRACE_NS

    def _from_init(self, chunk: bytes, now_ns: int) -> None:
        if self._init is None:
            self._init = wire.Decoder({wire.STATUS: wire.STATUS_BODY.size})
        try:
            for _, body in self._init.feed(chunk):
                if self._status is not None:
                    raise wire.WireError("a second STATUS")
                self._status = wire.STATUS_BODY.unpack(body)
        except wire.WireError as error:
            self._refuse("protocol_violation", str(error), now_ns)

    def _init_is_gone(self, now_ns: int) -> None:
        self.next_ns = now_ns + DRAIN_GRACE_NS

    # -- what to do ----------------------------------------------------------------------------

    def orders(self) -> list[Order]:
        """What the driver must do now; each order is given once."""
        orders, self._orders = self._orders, []
        return orders

    @property
    def is_finished(self) -> bool:
        """Whether the run is over and all of its output is in."""
        return not self._open or self._is_out_of_patience

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is certain: at the end of the run, or at its RESULT."""
        return self.has_result or self.is_finished

    @property
    def has_result(self) -> bool:
        """Whether the outcome is certain by a RESULT, for which nothing has to be awaited."""
        if self._answer is None or self._stopped is not None or self._must_end:
            return False
        is_whole = self._step is None or self._step.is_between_frames
        return self._answer[0] == wire.RESULT and is_whole

    @property
    def is_answered(self) -> bool:
        """Whether the step has given its one answer: the request may be closed."""
        return self._state == "answered"

    # -- how it ended --------------------------------------------------------------------------

    def conclusion(self) -> Conclusion:
        """How the run ended; meaningful once `is_settled`."""
        wait_status, cpu, peak, is_full = self._status or (None, None, None, False)
        if self._stopped is None and self._answer is not None:
            verdict = "ok" if self._answer[0] == wire.RESULT else "failure"
        else:
            verdict = self._stopped or self._verdict(wait_status)
        return Conclusion(
            verdict=verdict,
            reason=self._reason,
            began="yes" if self._has_begun else self._began(),
            answer=self._answer[1] if self._answer and verdict in ("ok", "failure") else None,
            wait_status=wait_status,
            cpu_seconds=None if cpu is None else cpu / 1e6,
            peak_memory_bytes=None if peak is None else peak * 1024,
            is_disk_full=is_full,
            answered_ns=self._answered_ns,
        )

    def _began(self) -> Literal["no", "unknown"]:
        # a BEGAN may be under way until the stream has ended
        is_sure = self._state == "answered" or "result" not in self._open
        return "no" if is_sure else "unknown"

    def _verdict(self, wait_status: int | None) -> str:
        """Of a run that has neither answered nor been stopped."""
        if self._state == "new" or (self._is_untaken and self._state == "parked"):
            return "never_started"
        if wait_status is None or os.WIFSIGNALED(wait_status):
            return "killed"
        return "exited" if os.WEXITSTATUS(wait_status) else "no_result"
