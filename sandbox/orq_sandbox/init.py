"""The init of runs, one after another: ours, and above everything that a step may leave behind.

::

    init   forks a step, waits for it, kills what is left of the run. Then it says how the step
           ended (STATUS) and exits, which ends the run; or, after RENEW, it makes its place as new
           and forks the next step (RENEWED). It hears the host on the status socket: STOP asks it
           to end the run politely and then not; end-of-file (the host is gone) ends it at once.
           After KEEP the STATUS carries a descriptor of the run's working folder.
    step   serves one request on its own socket and exits.

Rules of this file:

1. STATUS goes out after the last process of the run is dead: what the host then reads of stdout and
   stderr is all there will ever be.
2. A new step is forked where no other process is left, behind namespaces that no run was in, but
   for mounts in which none has touched anything: what a run can reach is the step's, but for init
   itself, and that must stand as it stood at first.
   Whoever finds anything else than that exits, and the host does without.
3. Init reads nothing that a step wrote, and executes nothing of anybody's. A RENEW may say which
   step is to come: it compiles that one's code, once for all of its runs, and serves no other then.
"""

from __future__ import annotations

import _socket
import os
import select
import signal
import time
import typing

from orq_sandbox import forks, kernel, wire
from orq_sandbox.ahead import Ahead
from orq_sandbox.child import (
    Channel,
    Place,
    Serve,
    become_step,
    confess,
    locking,
    reset_signals,
    serving,
)
from orq_sandbox.confine import Program, make

__all__ = ["Init", "run_alone", "serve"]

_KILL_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.002
_CHUNK = 448  # of the interpreter's small memory; what a RENEW says of its step comes in pieces
_RENEWED_ENDS = 4  # the status socket stays
_RENEWED = wire.frame(wire.RENEWED)


def run_alone(place: Place, channel: Channel, json: typing.Any) -> None:
    """Without a zygote: one pair for this process, which ends with it. Never returns."""
    reset_signals()
    if place.wall.tier != "namespaces":
        serve(place, channel, json)
    init = place.wall.fork_init()
    if init == 0:
        serve(place, channel, json)
    for descriptor in (*channel.ends, channel.status, *place.doors):
        os.close(descriptor)
    os._exit(os.waitpid(init, 0)[1] >> 8)


def serve(place: Place, channel: Channel, json: typing.Any) -> None:
    """Become an init, fork a step, see the run to its end; and again if asked. Never returns."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(
            signal.SIG_SETMASK, ()
        )  # the host may block what it likes for itself
        if place.run.get("waits"):
            _await_placing(channel.status)
        for door in place.doors:
            os.write(door, b"0")
            os.close(door)
        if os.getsid(0) != os.getpid():  # without a zygote we may lead a session already
            os.setsid()
        kernel.adopt_orphans()
        init = Init(place, channel.status, json)
        init.begin(channel)
        while init.watch() and place.more > 0:
            place.more -= 1
            init.renew()
        init.report()
        os._exit(0)
    except BaseException as error:  # nothing may run on in a copy of the zygote
        confess(channel.stderr, error)
    finally:
        os._exit(125)


def _await_placing(status: int) -> None:
    """Wait until the host has put us in our group; end when there is no host any more."""
    if os.read(status, wire.HEADER.size) != wire.frame(wire.PLACED):
        os._exit(0)


class Init:
    """What init knows of its run. It owns the status socket and the step's pidfd."""

    def __init__(self, place: Place, status: int, json: typing.Any) -> None:
        self._place = place
        self._wall = place.wall
        self._json = json
        self._status = _socket.socket(fileno=status)
        longest = {wire.STOP: wire.STOP_BODY.size, wire.KEEP: 0, wire.RENEW: wire.LONGEST_ABOUT}
        self._orders = wire.Decoder(longest)
        self._work = ""
        self._step = self._pidfd = -1
        self._ends: typing.Tuple[int, ...] = ()
        self._lock: typing.Callable[[], None]
        self._closing: typing.List[kernel.Call] = []
        self._serve: typing.Optional[Serve] = None
        self._next: typing.Optional[Channel] = None
        self._about: typing.Optional[bytes] = None
        self._wait_status = 0
        self._cpu_microseconds = 0
        self._peak_kib = 0
        self._is_alone = False
        self._host_is_gone = False
        self._keeps_folder = False

    def begin(self, channel: Channel) -> None:
        """Make the run's place and fork its step. Raises `WallError`."""
        self._fork_step(self._wall.settle_init(self._place.run), channel)

    def renew(self) -> None:
        """The same for the next run, for which there is nothing left of the last.

        Raises RuntimeError when there is, and `WallError`.
        """
        channel, self._next = self._next, None
        about, self._about = self._about, None
        if channel is None or not self._is_alone:
            raise RuntimeError("something is left of the run before")
        rooms = self._wall.renew_init(self._place.run)
        ahead = None
        if about:
            ahead = Ahead(rooms)
            ahead.prepare(self._json.loads(about))
        self._fork_step(rooms, channel, ahead)
        self._status.sendall(_RENEWED)

    def _fork_step(
        self,
        rooms: typing.Tuple[str, str],
        channel: Channel,
        ahead: typing.Optional[Ahead] = None,
    ) -> None:
        self._wait_status = self._cpu_microseconds = self._peak_kib = 0
        if channel.ends != self._ends:  # mostly they are where those of the last step were
            self._ends = channel.ends
            self._lock = Program(locking(self._place, channel, os.getpid())).go
            self._closing = kernel.closing(channel.ends)
        if self._serve is None or ahead is not None:
            self._serve = serving(self._place, rooms, ahead, self._json)
        lock, serve, stderr = self._lock, self._serve, channel.stderr
        become = become_step  # now: behind the fork each step would look it up for itself
        step = forks.fork()
        if step == 0:
            become(lock, serve, stderr)
        self._step, self._work = step, rooms[0]
        self._pidfd = kernel.open_pidfd(step)
        make(self._closing)

    def watch(self) -> bool:
        """Return when nothing of the run is left: whether another is to follow."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.register(self._status, select.POLLIN)
        kill_at = None
        while self._about is None:
            wait = None if kill_at is None else max(0.0, (kill_at - time.monotonic()) * 1000)
            ready = dict(poll.poll(wait))
            if self._status.fileno() in ready:  # first: a KEEP was sent before the step could end
                for kind, body in self._heard():
                    if kind == wire.KEEP:
                        self._keeps_folder = True
                    elif kind == wire.RENEW:
                        self._about = body
                    elif kind == wire.STOP:
                        self._signal(signal.SIGTERM)
                        kill_at = time.monotonic() + wire.STOP_BODY.unpack(body)[0] / 1000
                if self._host_is_gone:
                    break
            if self._pidfd in ready:
                break
            if kill_at is not None and time.monotonic() >= kill_at:
                break
        if self._host_is_gone and os.getpid() == 1:
            os._exit(0)  # nobody to report to, and the kernel ends what is left of a pid namespace
        self._kill_all(poll)
        os.close(self._pidfd)
        return self._about is not None

    def _heard(self) -> list:
        try:
            chunk, numbers = kernel.receive_with_descriptors(self._status, _CHUNK, _RENEWED_ENDS)
        except OSError:
            chunk, numbers = b"", []
        self._host_is_gone = not chunk
        if len(numbers) == _RENEWED_ENDS:
            self._next = Channel(*numbers, self._status.fileno())
        return list(self._orders.feed(chunk))

    def _signal(self, number: int) -> None:
        for send in (os.killpg, os.kill):
            try:
                send(self._step, number)
            except (ProcessLookupError, PermissionError):
                pass

    def _kill_all(self, poll: select.poll) -> None:
        """Kill and reap every descendant: orphans come to us, so none of them can hide."""
        self._is_alone = False
        self._wall.kill_everything(self._step)
        patience = time.monotonic() + _KILL_PATIENCE_SECONDS
        poll.unregister(self._status)
        poll.poll(_KILL_PATIENCE_SECONDS * 1000)
        while time.monotonic() < patience:
            pid, status, microseconds, peak_kib = kernel.reap()
            if pid < 0:
                self._is_alone = True
                return
            if pid == 0:  # somebody lives: an orphan that came to us, or one that is dying
                self._kill_children()
                select.select([], [], [], _POLL_SECONDS)  # nothing tells us when it is dead
                continue
            if pid == self._step:
                self._wait_status = status
            self._cpu_microseconds += microseconds
            self._peak_kib = max(self._peak_kib, peak_kib)

    def _kill_children(self) -> None:
        for pid in kernel.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass

    def report(self) -> None:
        """Tell the host how the step ended and what the run used."""
        rights = self._folder() if self._keeps_folder else []
        try:
            is_full = self._wall.is_disk_full()
        except OSError:
            is_full = False
        body = wire.STATUS_BODY.pack(
            self._wait_status, self._cpu_microseconds, self._peak_kib, is_full
        )
        try:
            self._status.sendmsg([wire.frame(wire.STATUS, body)], rights)
        except OSError:  # nobody is there to hear it
            pass

    def _folder(self) -> list:
        """The working folder, as what goes along with a message. It is where we stand."""
        try:
            os.chmod(self._work, 0o700)  # not `.`: without its permissions that cannot be named
        except OSError:  # a wall forbids it to us and to the step
            pass
        try:
            folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:  # the host says that it cannot be read
            return []
        return kernel.rights(folder)
