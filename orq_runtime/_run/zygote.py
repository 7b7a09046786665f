"""The host's hold on one zygote: it orders children and takes them as slots."""

from __future__ import annotations

import collections
import errno
import json
import os
import select
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from orq_runtime._run.cgroup import Leaf
from orq_runtime._run.channel import Channel
from orq_runtime._run.entry import Short
from orq_runtime._run.ground import Ground
from orq_runtime._run.guest import Guests
from orq_runtime._run.launch import Launch, launch, why_it_died
from orq_runtime._run.offspring import Offspring
from orq_runtime._run.rights import send_rights
from orq_runtime._run.shelf import Shelf
from orq_runtime._run.slot import NOBODYS, Slot
from orq_runtime._run.weight import Scale
from orq_runtime.errors import NeverStarted
from orq_runtime.model.limits import GIB, Limits
from orq_sandbox import wire

__all__ = ["OF_A_ZYGOTE", "Zygote"]

_READY_SECONDS: Final = 120.0
_SPAWN_SECONDS: Final = 30.0
_END_SECONDS: Final = 10.0
_SEND_TIMEOUT: Final = struct.pack("@ll", int(_SPAWN_SECONDS), 0)
_LONGEST_READY: Final = 1 << 20
_SHORT: Final = (errno.ETOOMANYREFS, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GENERATIONS: Final = {"namespaces": 3, "landlock": 2, "process": 1}
"""How many processes, one under the other, a zygote and its walls are."""


_LIVES: Final = 200
"""For how many runs more an init is used. What it costs to fork one is nothing among so many, and
what may add up in it (none is known) does not."""


OF_A_ZYGOTE: Final = Limits(memory_bytes=8 * GIB, processes=512)
"""For what is imported ahead: generous, for a hostile package is to find an end before the host."""


class _Ordered(NamedTuple):
    """A child that was ordered: what will be its slot's. `about` is what it was told of.

    `waits`: until we have put it in its group.
    """

    channel: Channel
    folder: Path | None
    leaf: Leaf
    about: bytes
    waits: bool


class Zygote:
    """A live zygote. Not safe for several threads at once: the pool sees to that.

    Owns the process, the control socket, its ground and group, and the channels of children not yet
    taken.
    """

    def __init__(
        self,
        guests: Guests,
        what: Launch,
        ground: Ground,
        leaf: Leaf,
        first: Callable[[], Leaf] | None = None,
    ) -> None:
        """Start it and wait until it is preloaded. Blocks.

        `first` makes the leaf of a child that is ordered meanwhile: the zygote finds its order when
        it is ready. Raises `NeverStarted`, and `WallUnavailable` when it could not confine itself.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # one that reads no orders costs us no more than one that does not obey
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
        self._control = ours
        self._ground = ground
        self._leaf = leaf
        self.shelf: Shelf | None = None
        self._ordered: collections.deque[_Ordered] = collections.deque()
        self._forked: collections.deque[Slot] = collections.deque()
        try:
            with theirs:
                descriptors = [theirs.fileno(), *leaf.procs_descriptors()]
                self._process = launch(guests, what, ground, "zygote", descriptors)
            leaf.forget_guest()
        except BaseException:
            ours.close()
            leaf.close()
            ground.remove()
            raise
        self._offspring = Offspring(self._process.pid)
        try:
            if first is not None:
                self.order(first())
            kind, body, shelf = self._hear(_READY_SECONDS)
            self.shelf = None if shelf is None else Shelf(shelf)
            if kind != wire.READY:
                raise NeverStarted("the zygote's first word was not READY")
            self.failed_preloads = _failed(body)
        except BaseException:
            self.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        # its socket ends before those under it do: sooner than the shepherd, our child, knows
        return self._process.poll() is None and not self._hangs_up()

    def _hangs_up(self) -> bool:
        poll = select.poll()
        poll.register(self._control, 0)
        return bool(poll.poll(0))

    @property
    def parked(self) -> int:
        """How many children were ordered and not taken."""
        return len(self._ordered) + len(self._forked)

    @property
    def is_forked(self) -> bool:
        """Whether `take` would not wait: the zygote has answered an order, or is gone."""
        return bool(self._forked) or (bool(self._ordered) and self._is_readable(0.0))

    def settle(self) -> int:
        """Hear of the children that are forked by now, so that `take` need not. Does not wait.

        A descriptor that is readable when there is more to hear; -1 when there is none to come.
        Raises `NeverStarted` when the zygote is gone.
        """
        while self._ordered and self._is_readable(0.0):
            self._forked.append(self._next())
        return self._control.fileno() if self._ordered else -1

    def order(self, leaf: Leaf, about: bytes = b"") -> None:
        """Have a child forked, without waiting. The leaf is ours from now on.

        With `about` the child gets ready for a request about that, and serves no other.

        Raises `NeverStarted` when the zygote is gone, `Short` when there is no place for a child.
        """
        self.settle()  # else, with hundreds ordered, each of us may wait for the other to read
        try:
            channel, folder, doors = self._place(leaf)
        except OSError as error:
            leaf.close()
            raise Short(f"no place for a child: {error.strerror}") from error
        # who shares our process ids could send anybody through a door
        waits = bool(doors) and self._ground.tier == "landlock"
        run: dict[str, object] = {} if folder is None else {"folder": str(folder)}
        if waits:
            run["waits"] = True
        message = wire.frame(wire.SPAWN, json.dumps(run).encode())
        descriptors = [*channel.guest_ends(), *(() if waits else doors)]
        try:
            send_rights(self._control, message, descriptors)
        except OSError as error:
            channel.close()
            leaf.close()
            if error.errno in _SHORT:
                raise Short(f"no place for a child: {error.strerror}") from error
            raise NeverStarted(f"the zygote is gone: {error.strerror}") from error
        channel.forget_guest()
        leaf.forget_guest()
        if about:
            about = self._told(channel, about)
        self._ordered.append(_Ordered(channel, folder, leaf, about, waits))

    def _place(self, leaf: Leaf) -> tuple[Channel, Path | None, list[int]]:
        """A channel, a folder where the wall has none, and the leaf's doors. Raises OSError."""
        channel = Channel()
        try:
            return channel, self._ground.run_folder(), leaf.procs_descriptors()
        except BaseException:
            channel.close()
            raise

    @staticmethod
    def _told(channel: Channel, about: bytes) -> bytes:
        """What was told a child that is being forked: nothing where it does not go in one piece."""
        message = wire.frame(wire.EXPECT, about)
        try:
            written = os.write(channel.host("request"), message)
        except OSError:  # it is gone, or reads nothing: whoever takes it finds out
            return b""
        return about if written == len(message) else NOBODYS

    def take(self) -> Slot:
        """The oldest ordered child, which must be there. Waits until it is forked.

        Raises `NeverStarted` when the zygote dies first.
        """
        return self._forked.popleft() if self._forked else self._next()

    def _next(self) -> Slot:
        channel, folder, leaf, about, waits = self._ordered.popleft()
        try:
            kind, _, pidfd = self._hear(_SPAWN_SECONDS)
            if kind != wire.SPAWNED or pidfd is None:
                raise NeverStarted("the zygote did not hand over the child it was asked for")
            self._check(pidfd, leaf, channel.host("status") if waits else -1)
        except BaseException:
            channel.close()
            leaf.close()
            raise
        return Slot(
            channel,
            pidfd,
            leaf=leaf,
            folder=folder,
            run_uid=self._ground.run_uid,
            shelf=self.shelf,
            about=about,
            lives=_LIVES if self._ground.tier == "namespaces" else 0,
        )

    def _check(self, pidfd: int, leaf: Leaf, waiting: int) -> None:
        """Make sure that it is a child of the zygote's; put one that waits for it in its group.

        Raises `NeverStarted`, and closes the descriptor then.
        """
        try:
            pid = self._offspring.pid(pidfd)
            if waiting >= 0 and pid:
                leaf.place(pid)
                os.write(waiting, wire.frame(wire.PLACED))
        except (ValueError, OSError) as error:
            os.close(pidfd)
            raise NeverStarted(f"the zygote handed over no child of its own: {error}") from error

    def scales(self, child: Slot | None) -> Scale:
        """What it and this, or else its oldest parked child, can be weighed with.

        The caller closes it. Raises OSError.
        """
        outermost = os.pidfd_open(self._process.pid)
        try:
            child = child or (self._forked[0] if self._forked else None)
            pidfd = None if child is None else child.pidfd
            return Scale(outermost, _GENERATIONS[self._ground.tier], pidfd)
        finally:
            os.close(outermost)

    def _is_readable(self, seconds: float) -> bool:
        poll = select.poll()  # descriptors over 1023 are beyond `select`
        poll.register(self._control, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _hear(self, seconds: float) -> tuple[int, bytes, int | None]:
        """The next message: kind, body, and the descriptor that came with it."""
        if not self._is_readable(seconds):
            raise NeverStarted(f"the zygote did not answer within {seconds:g} s")
        try:
            message, descriptors, flags, _ = socket.recv_fds(
                self._control, _LONGEST_READY, 1, socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise NeverStarted(f"the zygote is gone: {error.strerror}") from error
        for extra in descriptors[1:]:
            os.close(extra)
        if flags & socket.MSG_CTRUNC and not descriptors:  # it came, and we have no number for it
            raise Short("no descriptor for a child")
        if not message:
            raise why_it_died(self._process, "the zygote")
        try:
            decoder = wire.Decoder({wire.READY: _LONGEST_READY, wire.SPAWNED: 0})
            frames = list(decoder.feed(message))
        except wire.WireError as error:
            raise NeverStarted(f"the zygote spoke nonsense: {error}") from error
        if len(frames) != 1:
            raise NeverStarted("the zygote's message is not one frame")
        return *frames[0], descriptors[0] if descriptors else None

    def close(self) -> None:
        """End the zygote and everything under it; reap it."""
        while self._forked:
            self._forked.popleft().close()
        while self._ordered:
            channel, _, leaf, *_ = self._ordered.popleft()
            channel.close()
            leaf.close()
        self._control.close()
        if self.shelf is not None:
            self.shelf.close()
        self._end()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._leaf.close()
        self._ground.remove()

    def _end(self) -> None:
        """Wait for it; a shepherd that is told to end takes all with it, one that is killed not."""
        for end in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                end()
        self._process.wait()


def _failed(body: bytes) -> Mapping[str, str]:
    try:
        failed = orjson.loads(body)["failed"]
        return {str(name): str(reason) for name, reason in failed.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NeverStarted("the zygote's READY is not what it must be") from error
