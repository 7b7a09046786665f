"""What a run did in its rooms shows, and what it only looked at does not."""

import fcntl
import json
import os
import struct
import unittest

from orq_sandbox.confine import mounts, namespaces
from orq_sandbox.confine.rooms import OWN, ROOM, SHARED, TEMPORARY
from orq_sandbox.confine.traces import Traces

_SET_FLAGS, _NO_DUMP = 0x40086602, 0x40


def _in_child(work):
    """What `work` returns, in a forked process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as said:
        words = said.read()
    os.waitpid(child, 0)
    return json.loads(words)


def _unnamed(place):
    os.close(os.open(place, os.O_TMPFILE | os.O_RDWR, 0o600))


def _file(place):
    with open(place + "/left", "w") as file:
        file.write("left")


def _gone(place):
    _file(place)
    os.unlink(place + "/left")


def _folder(place):
    os.mkdir(place + "/left")
    os.rmdir(place + "/left")


def _attribute(place):
    try:
        os.setxattr(place, "user.left", b"left")
    except OSError:  # a kernel without them there: then any other change
        os.chmod(place, 0o701)


def _flags(place):
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", _NO_DUMP))
    except OSError:  # the same
        os.chmod(place, 0o701)
    finally:
        os.close(descriptor)


_CHANGES = {
    "a file": _file,
    "a file that is gone": _gone,
    "a folder that is gone": _folder,
    "a file without a name": _unnamed,
    "an attribute": _attribute,
    "flags": _flags,
    "the mode it has": lambda place: os.chmod(place, os.stat(place).st_mode & 0o7777),
    "times": lambda place: os.utime(place, (7, 7)),
    "the owner it has": lambda place: os.chown(place, os.getuid(), os.getgid()),
}


def _fresh():
    for place in (ROOM, SHARED):
        mounts.tmpfs(place, size=1 << 20, inodes=100, mode=0o755)
    for place in (OWN[0], TEMPORARY):
        os.mkdir(place, 0o700)
    traces = Traces([ROOM, OWN[0], TEMPORARY, SHARED])
    for _ in range(100):  # a tick of the clock may fall into the trial
        traces.note()
        if traces._is_known:
            break
    return traces


def _seen():
    namespaces.unshare(namespaces.NEW_NS)
    mounts.make_private()
    if not _fresh()._is_known:
        return None
    seen = {}
    for name, change in _CHANGES.items():
        seen[name] = []
        for place in (OWN[0], TEMPORARY, SHARED):
            traces = _fresh()
            before = [traces.are_left() for _ in range(3)]
            os.stat(place)
            os.access(place, os.W_OK)
            before.append(traces.are_left())
            change(place)
            seen[name].append([before, traces.are_left()])
    return seen


@unittest.skipUnless(os.geteuid() == 0, "only root mounts without a user namespace")
class TracesOfARun(unittest.TestCase):
    """In a mount namespace of its own."""

    def test_whatever_is_done_in_a_room_shows(self):
        """In each of them; where the kernel's clock is too coarse, there is always something."""
        seen = _in_child(_seen)
        if seen is None:
            self.skipTest("before Linux 6.13 changes in one tick look alike")
        self.assertEqual(dict.fromkeys(_CHANGES, [[[False] * 4, True]] * 3), seen)


if __name__ == "__main__":
    unittest.main()
