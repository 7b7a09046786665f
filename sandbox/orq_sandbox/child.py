"""The pair of processes of one run: an init of ours, and the step.

::

    init   waits for the step, kills what is left of the run, says how it ended (STATUS), exits.
           Its death ends the run. It hears the host on the status socket: STOP asks it to end the
           run politely and then not; end-of-file (the host is gone) ends it at once. After KEEP
           the STATUS carries a descriptor of the run's working folder.
    step   serves one request on its own socket and exits.

Rules of this file:

1. STATUS goes out after the last process of the run is dead: what the host then reads of stdout and
   stderr is all there will ever be.
2. The step holds five descriptors: 0, 1, 2, the request and the result; neither init's nor anybody
   else's. It cannot speak for init.
3. Between fork and the step's harness nothing imports and no thread is started.
"""

from __future__ import annotations

import array
import io
import os
import select
import signal
import socket
import sys
import time
import typing

from orq_sandbox import confine, harness, kernel, rehearsal, wire

__all__ = ["Channel", "Place", "get_ready", "reset_signals", "run_alone", "run_pair"]

_REQUEST = 3
_RESULT = 4
_KILL_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.002


class Channel:
    """The guest's ends of a run's five descriptors, in the order they travel."""

    __slots__ = ("request", "result", "status", "stderr", "stdout")

    def __init__(self, request: int, result: int, stdout: int, stderr: int, status: int) -> None:
        self.request, self.result = request, result
        self.stdout, self.stderr, self.status = stdout, stderr, status

    def __iter__(self) -> typing.Iterator[int]:
        return iter((self.request, self.result, self.stdout, self.stderr, self.status))


class Place:
    """Where a run takes place: behind which wall, its quantities, the doors to its cgroups.

    `doors` are open `cgroup.procs` files: init moves itself through them before it forks, or
    `waits` until the host has moved it. A spare is forked ahead of its request. `become` serves a
    command instead of a function.
    """

    __slots__ = ("become", "doors", "is_spare", "run", "wall")

    def __init__(
        self,
        wall: confine.Wall,
        run: typing.Dict[str, typing.Any],
        doors: typing.Sequence[int] = (),
        *,
        is_spare: bool = False,
        become: typing.Optional[typing.Callable[..., None]] = None,
    ) -> None:
        self.wall, self.run, self.doors = wall, run, doors
        self.is_spare, self.become = is_spare, become


def run_alone(place: Place, channel: Channel, json: typing.Any) -> None:
    """Without a zygote: one pair for this process, which ends with it. Never returns."""
    reset_signals()
    if place.wall.tier != "namespaces":
        run_pair(place, channel, json)
    init = place.wall.fork_init()
    if init == 0:
        run_pair(place, channel, json)
    for descriptor in (*channel, *place.doors):
        os.close(descriptor)
    os._exit(os.waitpid(init, 0)[1] >> 8)


def reset_signals() -> None:
    """Undo what the environment's packages may have done: a step starts like any Python process.

    Once for all that are forked from here: it is 60 calls into the kernel.
    """
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP) and number not in _RESERVED:
            signal.signal(number, _STARTING_HANDLERS.get(number, signal.SIG_DFL))


def run_pair(place: Place, channel: Channel, json: typing.Any) -> None:
    """Become the init of a run, fork its step, see the run to its end. Never returns."""
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
        rooms = place.wall.settle_init(place.run)
        me = os.getpid()
        step = os.fork()
        if step == 0:
            _become_step(place, rooms, channel, me, json)
        init = _Init(step, channel, place.wall, rooms[0])
        init.watch()
        init.report()
        os._exit(0)
    except BaseException as error:  # nothing may run on in a copy of the zygote
        _confess(channel.stderr, error)
    finally:
        os._exit(125)


def _await_placing(status: int) -> None:
    """Wait until the host has put us in our group; end when there is no host any more."""
    if os.read(status, wire.HEADER.size) != wire.frame(wire.PLACED):
        os._exit(0)


def _become_step(
    place: Place, rooms: typing.Tuple[str, str], channel: Channel, init: int, json: typing.Any
) -> None:
    try:
        kernel.die_with_parent(init)
        os.setsid()
        _arrange(channel)
        for name, printer in (_printers or _make_printers()).items():
            setattr(sys, name, printer)
            setattr(sys, "__%s__" % name, printer)
        place.wall.lock_step(place.run, (_REQUEST, _RESULT))
        request = socket.socket(fileno=_REQUEST)
        if place.become is not None:
            place.become(request, _RESULT, rooms)
        is_all_ours = place.wall.is_all_disk_ours
        harness.serve(
            request, _RESULT, json, rooms, is_spare=place.is_spare, is_all_disk_ours=is_all_ours
        )
    except BaseException as error:  # nothing may run on in a copy of the zygote
        _confess(2, error)
        _confess(channel.stderr, error)
    finally:
        os._exit(125)


def _confess(descriptor: int, error: BaseException) -> None:
    try:
        os.write(descriptor, b"orq-runtime: cannot start a run: %s\n" % ascii(error).encode())
    except OSError:
        pass


_RESERVED = (32, 33)  # the C library's own
_STARTING_HANDLERS = {
    signal.SIGPIPE: signal.SIG_IGN,  # as in any Python process
    signal.SIGXFSZ: signal.SIG_IGN,
    signal.SIGINT: signal.default_int_handler,
}


_printers: typing.Dict[str, io.TextIOWrapper] = {}  # a zygote's, for all of its steps
_WARM_UPS = 8


def get_ready(json: typing.Any) -> None:
    """In a zygote: do what each child would have to do, for memory that is written to is dear."""
    reader, writer = os.pipe()
    kept = [os.dup(number) for number in (1, 2)]
    for number in (1, 2):
        os.dup2(writer, number)  # a printer asks at once what it prints to
    _printers.update(_make_printers())
    for number, descriptor in zip((1, 2), kept):
        os.dup2(descriptor, number)
    for descriptor in (reader, writer, *kept):
        os.close(descriptor)
    for _ in range(_WARM_UPS):
        rehearsal.warm_up(json, ("/", "/"), lambda: True)
    harness.draw_anew()


def _make_printers() -> typing.Dict[str, io.TextIOWrapper]:
    return {"stdout": _printer(1), "stderr": _printer(2)}


def _printer(number: int) -> io.TextIOWrapper:
    """Unbuffered, as under `python -u`: what was printed survives a SIGKILL."""
    raw = typing.cast("typing.BinaryIO", io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


def _arrange(channel: Channel) -> None:
    """Put the step's descriptors at their numbers; the wall closes all others."""
    highest = max(channel) + 1
    empty = os.open(os.devnull, os.O_RDONLY)
    wanted = (empty, channel.stdout, channel.stderr, channel.request, channel.result)
    # two moves: a source may stand where another must go
    moved = [_copy_above(descriptor, max(highest, 16)) for descriptor in wanted]
    for number, descriptor in enumerate(moved):
        os.dup2(descriptor, number, number < _REQUEST)


def _copy_above(descriptor: int, lowest: int) -> int:
    import fcntl  # loaded by the zygote before any fork

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)


class _Init:
    """What init knows of its run. It owns the status socket and the step's pidfd."""

    def __init__(self, step: int, channel: Channel, wall: confine.Wall, work: str) -> None:
        self._step = step
        self._wall = wall
        self._work = work
        self._pidfd = kernel.open_pidfd(step)
        for descriptor in (channel.request, channel.result, channel.stdout, channel.stderr):
            os.close(descriptor)
        self._status = socket.socket(fileno=channel.status)
        self._wait_status = 0
        self._cpu_microseconds = 0
        self._peak_kib = 0
        self._host_is_gone = False
        self._keeps_folder = False

    def watch(self) -> None:
        """Return when the step has ended and nothing of the run is left."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.register(self._status, select.POLLIN)
        orders = wire.Decoder({wire.STOP: wire.STOP_BODY.size, wire.KEEP: 0})
        kill_at = None
        while True:
            wait = None if kill_at is None else max(0.0, (kill_at - time.monotonic()) * 1000)
            ready = [number for number, _ in poll.poll(wait)]
            if self._status.fileno() in ready:  # first: a KEEP was sent before the step could end
                for kind, body in self._heard(orders):
                    if kind == wire.KEEP:
                        self._keeps_folder = True
                        continue
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
        self._kill_all()

    def _heard(self, decoder: wire.Decoder) -> list:
        try:
            chunk = self._status.recv(4096)
        except OSError:
            chunk = b""
        self._host_is_gone = not chunk
        return list(decoder.feed(chunk))

    def _signal(self, number: int) -> None:
        for send in (os.killpg, os.kill):
            try:
                send(self._step, number)
            except (ProcessLookupError, PermissionError):
                pass

    def _kill_all(self) -> None:
        """Kill and reap every descendant: orphans come to us, so none of them can hide."""
        self._wall.kill_everything(self._step)
        patience = time.monotonic() + _KILL_PATIENCE_SECONDS
        select.select([self._pidfd], [], [], _KILL_PATIENCE_SECONDS)
        while time.monotonic() < patience:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:  # somebody lives: an orphan that came to us, or one that is dying
                self._kill_children()
                select.select([], [], [], _POLL_SECONDS)  # nothing tells us when it is dead
                continue
            if pid == self._step:
                self._wait_status = status
            self._cpu_microseconds += int((usage.ru_utime + usage.ru_stime) * 1e6)
            self._peak_kib = max(self._peak_kib, usage.ru_maxrss)

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
        return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [folder]))]
