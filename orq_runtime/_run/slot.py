"""A child that waits for its one request: its channel, its pidfd, its folder, and how to end it."""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from orq_runtime import _fs
from orq_runtime._run.cgroup import Leaf
from orq_runtime._run.channel import Channel
from orq_runtime._run.rights import send_rights
from orq_runtime._run.sentry import Sentry, Watched
from orq_runtime._run.shelf import Shelf
from orq_sandbox import wire

__all__ = ["NOBODYS", "STREAMS", "Slot"]

NOBODYS: Final = b"?"
"""About no step: of a child that was told half a word."""

STREAMS: Final = ("result", "status", "stdout", "stderr")
"""In the order in which they are looked at: the result before what was printed before it."""

_REAP_SECONDS = 10
_MARKS = 64
_ROOM = socket.CMSG_SPACE(4)  # one descriptor, or two: more the kernel does not let in


class Slot:
    """One run's place. Owns channel, pidfd, leaf, folder and, without a zygote, the process.

    Also what travels beside the frames: the file of a request until it is sent, that of a result
    and, after `keep_work`, the working folder that init hands over, until they are taken.
    """

    def __init__(
        self,
        channel: Channel,
        pidfd: int,
        *,
        leaf: Leaf,
        folder: Path | None = None,
        process: subprocess.Popen[bytes] | None = None,
        run_uid: int | None = None,
        shelf: Shelf | None = None,
        about: bytes = b"",
        ours: int = 1,
        lives: int = 0,
        told: bytes = b"",
    ) -> None:
        """`about` is what the child was told of the request it is to get; nothing if of none.

        `has_blobs`: whether a file came with the result; `is_untaken`: whether the step was seen to
        end before it had read its request. `poll` waits for the `streams`, by
        descriptor; a driver may have it wait for more.

        `ours`: how many generations, from the pidfd's process on, are no step's. `lives`: for how
        many more runs its init may be used, and what it was `told` that these will be about.
        """
        self.channel = channel
        self.pidfd = pidfd
        self.leaf = leaf
        self.folder = folder
        self._ours = ours
        self._lives, self._told = lives, told
        self.process = process
        self.run_uid = run_uid
        self.shelf = shelf
        self.about = about
        self.sentry: Sentry | None = None
        self._before: Slot | None = None
        self.keeps_work = False
        self._work = -1
        self._sent = -1
        self._came = -1
        self.has_blobs = self.is_sending = self.is_untaken = False
        self._left = memoryview(b"")
        self._end = select.poll()
        self._end.register(pidfd, select.POLLIN)
        # long before they are needed, mostly: a parked child has the time
        self.poll = select.poll()
        self.streams = {channel.host(name): name for name in STREAMS}
        for descriptor in self.streams:
            self.poll.register(descriptor, select.POLLIN)
        self._result = channel.result

    def serves(self, about: bytes) -> bool:
        """Whether the child may get a request about this: it was told of nothing else."""
        return not self.about or self.about == about

    @property
    def can_follow(self) -> bool:
        """Whether its init may go on to another run."""
        return self._lives > 0

    def follow(self, about: bytes = b"") -> Slot:
        """Have init end this run and fork the step of another, whose slot it gives: not ready yet.

        Ours is over then, also when it raises OSError: then there is nothing left of either.
        `about`: what the request will be about, if that is known. An init that was told of a step
        before is not told of another, nor forks a child for just any.
        """
        try:
            if self._told not in (b"", about):
                raise ChildProcessError("its init has prepared another step")
            channel = self.channel.following()
        except OSError:
            self.close()
            raise
        following = Slot(
            channel,
            self.pidfd,
            leaf=self.leaf,
            run_uid=self.run_uid,
            shelf=self.shelf,
            ours=self._ours,
            lives=self._lives - 1,
            about=about,
            told=about,
        )
        self.pidfd = -1
        following._before = self  # not closed yet: its step is not to wake only to be killed
        try:
            following._ask_to_renew(b"" if self._told else about)
        except BaseException:
            following.close()
            raise
        return following

    def _ask_to_renew(self, about: bytes) -> None:
        message = wire.frame(wire.RENEW, about)
        status = socket.socket(fileno=self.channel.host("status"))
        try:
            status.settimeout(0)  # whatever the program's default is
            if send_rights(status, message, self.channel.guest_ends()) < len(message):
                raise BlockingIOError("its init does not listen")
        finally:
            status.detach()
        self.channel.forget_guest()

    def is_renewed(self) -> bool:
        """Whether init has said that the run before is gone and the new step is there."""
        try:
            said = os.read(self.channel.host("status"), _MARKS)
        except OSError:
            return False
        finally:
            self._let_go_of_before()
        return said == wire.frame(wire.RENEWED) and self.leaf.renew()

    def _let_go_of_before(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            before.close()

    def keep_work(self) -> None:
        """Have init hand over the run's working folder at its end. Before the request is sent."""
        self.keeps_work = True
        with contextlib.suppress(OSError):  # init has ended: so has the run
            os.write(self.channel.host("status"), wire.frame(wire.KEEP))

    def hear_status(self, size: int) -> bytes:
        """Read from init, and keep the folder that comes with it. Raises OSError."""
        status = socket.socket(fileno=self.channel.host("status"))
        try:
            status.settimeout(0)  # whatever the program's default is
            chunk, descriptors, _, _ = socket.recv_fds(status, size, 1, socket.MSG_CMSG_CLOEXEC)
        finally:
            status.detach()
        for descriptor in descriptors:
            if self._work < 0:
                self._work = descriptor
            else:
                os.close(descriptor)
        return chunk

    def take_work(self) -> int:
        """The working folder, the caller's from now on; -1 where init gave none."""
        work, self._work = self._work, -1
        return work

    def send_along(self, descriptor: int) -> None:
        """Have a file travel with the request; it is the slot's from now on. -1 for none."""
        self._sent = descriptor

    def begin(self, request: bytes) -> None:
        """Send the request, as much of it as goes now; `push` sends the rest, if `is_sending`."""
        self._left = memoryview(request)
        self.is_sending = self.push()

    def push(self) -> bool:
        """Send on; False once nothing is left to send, or nobody is there to read it."""
        while self._left:
            try:
                if self._sent >= 0:
                    count = self._send_along(self._left)
                else:
                    count = os.write(self.channel.host("request"), self._left)
                self._left = self._left[count:]
            except BlockingIOError:
                return True
            except OSError:  # the step is gone; how is init's to say
                self._left, self.is_untaken = memoryview(b""), True
        return False

    def _send_along(self, message: memoryview) -> int:
        """Write what fits, the file with the first bytes; how much that was. Raises OSError."""
        line = socket.socket(fileno=self.channel.host("request"))
        try:
            line.settimeout(0)  # whatever the program's default is
            count = send_rights(line, message, [self._sent])
        finally:
            line.detach()
        os.close(self._sent)
        self._sent = -1
        return count

    def hear_marks(self) -> bytes:
        """What the step has said of its progress; nothing where that cannot be heard any more."""
        try:
            return os.read(self.channel.host("request"), _MARKS)
        except ConnectionResetError:  # so it is told of a socket that ends with bytes unread
            self.is_untaken = True
            return b""
        except OSError:
            return b""

    def hear_result(self, size: int) -> tuple[bytes, int]:
        """Read from the step: bytes, and how many descriptors came. Raises OSError.

        What it has said of its progress was there before it, and comes first. The first descriptor
        that comes is kept, until it is taken.
        """
        chunk, ancillary, _, _ = self._result.recvmsg(size, _ROOM, socket.MSG_CMSG_CLOEXEC)
        count = self._kept(ancillary) if ancillary else 0
        return self.hear_marks() + chunk if chunk else chunk, count

    def _kept(self, ancillary: list[tuple[int, int, bytes]]) -> int:
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        for descriptor in descriptors:
            if self._came < 0:
                self._came = descriptor
                self.has_blobs = True
            else:
                os.close(descriptor)
        return len(descriptors)

    def take_blobs(self) -> int:
        """The file that came with the result, the caller's from now on; -1 for none."""
        came, self._came = self._came, -1
        self.has_blobs = False
        return came

    def post_sentry(self, watched: Watched) -> None:
        """Have watched what no kernel limit holds. Raises OSError."""
        rounds = watched.rounds(self.pidfd, self._ours)
        self.sentry = Sentry(rounds, now_ns=time.monotonic_ns())

    @property
    def owner(self) -> int:
        """The host user that the run is."""
        return os.geteuid() if self.run_uid is None else self.run_uid

    @property
    def is_alive(self) -> bool:
        """Whether init has not ended yet."""
        return not self._end.poll(0)

    def has_ended(self, patience_seconds: float) -> bool:
        """Whether init has ended, or does so in that time."""
        return bool(self._end.poll(patience_seconds * 1000))

    def ask_to_stop(self, grace_ms: int) -> None:
        """Have init end the run: SIGTERM, and SIGKILL after the grace."""
        message = wire.frame(wire.STOP, wire.STOP_BODY.pack(grace_ms))
        with contextlib.suppress(OSError):  # init has ended: so has the run
            os.write(self.channel.host("status"), message)

    def kill(self) -> None:
        """End init now; the run dies with it. The pidfd is one that we made, or have checked."""
        # a shepherd takes all with it when it is told to end, and not when it is killed itself
        is_shepherd = self.process is not None and self._ours > 1
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM if is_shepherd else signal.SIGKILL)

    def release(self) -> None:
        """Have the run end at once, and do not wait: init hears its status socket close."""
        self.channel.close()

    def close(self) -> None:
        """Let go of everything. What still runs is ended. Twice is fine."""
        self.release()
        self._let_go_of_before()
        sent, self._sent = self._sent, -1
        for descriptor in (self.take_work(), self.take_blobs(), sent):
            if descriptor >= 0:
                os.close(descriptor)
        if self.sentry is not None:
            self.sentry.close()
        if self.pidfd < 0:
            return
        if self.process is not None:
            for end in (self.kill, self.process.kill):
                try:
                    self.process.wait(_REAP_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    end()
            self.process.wait()
            if self.process.stderr is not None:
                self.process.stderr.close()
        os.close(self.pidfd)
        self.pidfd = -1
        self.leaf.close()
        if self.folder is not None:
            with contextlib.suppress(OSError):  # what cannot go yet goes with the session
                _fs.remove_tree(self.folder)
