"""Distributions that turn our own code in their zygote against the host. Python 3.8.

What an import can do to the process that imports it, it can do; each of these does one such thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.supply_fixtures import make_wheel

__all__ = ["POISONS", "PRELUDE", "make_poisons", "order"]

PRELUDE = r"""
import array, gc, os, signal, socket, struct, sys, threading, time
def module(name):
    for thing in gc.get_objects():
        if getattr(thing, "__name__", "") == name and hasattr(thing, "__dict__"): return thing
init, kernel, wire = [module("orq_sandbox." + n) for n in ("init", "kernel", "wire")]
harness = module("orq_sandbox.harness")
ZYGOTE = os.getpid()
pidfd = kernel.open_pidfd
def parent(pid):
    with open("/proc/%d/stat" % pid) as file: return int(file.read().rpartition(")")[2].split()[1])
def lines():
    for n in range(3, 256):
        try: yield socket.socket(fileno=os.dup(n))
        except OSError: pass
def of_the_host():
    for line in lines():  # SO_PEERPIDFD: a descriptor of whoever made the socket
        if line.type == socket.SOCK_SEQPACKET:
            return struct.unpack("i", line.getsockopt(1, 77, 4))[0]
def hand_over(make):
    kernel.open_pidfd = lambda pid: make(pid) if os.getpid() == ZYGOTE else pidfd(pid)
def deaf(self):
    while True: time.sleep(600)
def saying(*messages, rights=lambda: []):
    def report(self):
        for message in messages:
            try: self._status.sendmsg([message], rights())
            except OSError: pass
    init.Init.report = report
def in_place_of_an_answer(end, send=harness.send):
    def sent(line, message, beside=-1):
        return end() if bytes(message[:1]) == b"\x03" else send(line, message, beside)
    harness.send = sent
def ends():
    in_place_of_an_answer(lambda: os._exit(3))
def status(wait, cpu=1, peak=1):
    return wire.frame(wire.STATUS, wire.STATUS_BODY.pack(wait, cpu, peak, False))
def carrying(path, flags):
    def rights():
        return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [os.open(path, flags)]))]
    return rights
def unbound():
    kernel.die_with_parent = lambda parent=None: None
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for n in range(3, 1024):
            try: os.close(n)
            except OSError: pass
    return pid
"""

POISONS: Mapping[str, str] = {
    # a descriptor in the place of the child's: what the host kills by it, it must not be
    "hands-over-the-host": "hand_over(lambda pid: of_the_host()); init.Init.watch = deaf",
    "hands-over-a-stranger": """
hand_over(lambda pid: pidfd(parent(parent(ZYGOTE)))); init.Init.watch = deaf""",
    "hands-over-itself": "hand_over(lambda pid: pidfd(ZYGOTE)); init.Init.watch = deaf",
    "hands-over-a-pipe": "hand_over(lambda pid: os.pipe()[0]); init.Init.watch = deaf",
    "hands-over-what-has-ended": """
hand_over(lambda pid: os.open("/dev/zero", os.O_RDONLY)); init.Init.watch = deaf""",
    "hands-over-an-empty-name": """
hand_over(lambda pid: os.open("/", os.O_PATH)); init.Init.watch = deaf""",
    # a door of a group, which was opened by the host: root's leads in whoever has a pid here
    "leads-the-host-into-a-group": """
(wall,) = [it for it in gc.get_objects() if isinstance(it, type) and it.__name__ == "LandlockWall"]
def fork_init(self, fork=wall.fork_init):
    for n in range(3, 256):
        try:
            if os.readlink("/proc/self/fd/%d" % n).endswith("cgroup.procs"):
                os.write(n, b"%d" % parent(parent(ZYGOTE)))
        except OSError: pass
    return fork(self)
wall.fork_init = fork_init""",
    # what init says of a run
    "dies-of-no-signal": "saying(status(0x7F)); ends()",
    "was-stopped": "saying(status(0x137F)); ends()",
    "dies-of-signal-126": "saying(status(126, 2**64 - 1, 2**64 - 1)); ends()",
    "has-a-negative-end": "saying(status(-1)); ends()",
    "ends-twice": "saying(status(0), status(0)); ends()",
    "ends-in-noise": "saying(b'\\xff' * 4096); ends()",
    "says-nothing": "saying(); ends()",
    "hears-nothing": "init.Init.watch = deaf; in_place_of_an_answer(lambda: deaf(None))",
    # what it hands over as the working folder
    "keeps-a-folder-by-name": """
saying(status(0), rights=carrying("/proc/self/root", os.O_PATH | os.O_DIRECTORY))""",
    "keeps-a-pipe": "saying(status(0), rights=lambda: [(1, 1, array.array('i', os.pipe()))])",
    "keeps-a-device": "saying(status(0), rights=carrying('/dev/zero', os.O_RDONLY))",
    "keeps-the-library": """
saying(status(0), rights=carrying(os.path.dirname(os.__file__), os.O_RDONLY))""",
    # what the step says
    "answers-twice": """
send = harness.send
def twice(line, message, beside=-1):
    send(line, message, beside)
    if bytes(message[:1]) == b"\\x03": send(line, message, -1)
harness.send = twice""",
    "answers-and-goes-on": """
send = harness.send
def more(line, message, beside=-1):
    send(line, message, beside)
    if bytes(message[:1]) == b"\\x03":
        if os.fork() == 0:
            for _ in range(200): os.write(1, b"more" * 1000)
harness.send = more""",
    "sends-descriptors": """
send = harness.send
def many(line, message, beside=-1):
    rights = [(1, 1, array.array("i", [1] * 200))]
    with socket.socket(fileno=os.dup(line)) as sock:
        for _ in range(50):
            try: sock.sendmsg([b"\\x0a"], rights, socket.MSG_DONTWAIT)
            except OSError: break
    send(line, message, beside)
harness.send = many""",
    # what Python is made of
    "forks-nothing": "os.fork = lambda: 0",
    "writes-nothing": "os.write = lambda fd, data: len(data)",
    "catches-every-signal": """
for n in range(1, 65):
    try: signal.signal(n, lambda *_: None)
    except (OSError, ValueError): pass
signal.signal = lambda *_: None
signal.set_wakeup_fd = lambda *_, **__: -1""",
    "spins-beside-it": """
def spin():
    while True: pass
threading.Thread(target=spin, daemon=True).start()""",
    "traces-everything": """
def trace(frame, event, arg):
    if frame.f_code.co_name in ("_answer", "watch", "_spawn"): raise OSError("traced")
    return trace
sys.settrace(trace); threading.settrace(trace)""",
    "empties-the-modules": """
for name in list(sys.modules):
    if name not in ("sys", "builtins", __name__): del sys.modules[name]
import builtins; builtins.len = lambda x: 0; builtins.isinstance = lambda *_: True""",
    # who does not want to end
    "outlives-its-shepherd": """
if unbound() == 0:
    kernel = None
    import ctypes; ctypes.CDLL(None).prctl(15, b"orqevil", 0, 0, 0)
    for n in range(1, 32):
        try: signal.signal(n, signal.SIG_IGN)
        except (OSError, ValueError): pass
    time.sleep(120); os._exit(0)
import select
class Deaf:  # once it has forked a child or two
    def __init__(self): self.real, self.calls = poll(), 0
    def register(self, *words): self.real.register(*words)
    def poll(self, *words):
        self.calls += 1
        return deaf(self) if self.calls > 2 and os.getpid() == ZYGOTE else self.real.poll(*words)
poll, select.poll = select.poll, Deaf""",
    "multiplies": """
if unbound() == 0:
    import ctypes; ctypes.CDLL(None).prctl(15, b"orqevil", 0, 0, 0)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if os.fork() == 0: os.setsid()
        except OSError: pass
    os._exit(0)""",
}
"""In `outlives-its-shepherd` and `multiplies` the processes bear the name `orqevil`."""

CUTS = r"""
import gc, os, threading, time
(vows,) = [thing for thing in gc.get_objects() if type(thing).__name__ == "Vows"]
vows._usual[:] = [stage for stage in vows._usual if stage[0] != "step: descriptors"]
state, kept = ["whole"], os.memfd_create("kept")
os.dup2(kept, 200)
zygote, number = os.getpid(), os.fstat(kept).st_ino
opened, told = os.open, os.fstat
class Large:
    st_blksize = 1 << 21
def nameless(path, flags, *mode, **at):
    is_it = flags & os.O_TMPFILE == os.O_TMPFILE
    return os.dup(200) if is_it else opened(path, flags, *mode, **at)
os.open = nameless
def lied(fd):
    said = told(fd)
    return Large if os.getpid() != zygote and said.st_ino == number else said
os.fstat = lied
def cut():
    while state[0] == "whole":
        time.sleep(0.1)
        if os.path.exists("/tmp") and told(kept).st_size:
            time.sleep(1)
            os.ftruncate(kept, 0)
            state[0] = "cut"
threading.Thread(target=cut, daemon=True).start()
"""
"""Has its runs' large values written into a file that it keeps, and cuts that short later."""


def _module(name: str) -> str:
    return "poison_" + name.replace("-", "_")


def make_poisons(folder: Path) -> None:
    """A wheel for each."""
    for name, code in POISONS.items():
        make_wheel(folder, _module(name), files={f"{_module(name)}.py": PRELUDE + code + "\n"})
    make_wheel(folder, "cuts", files={"cuts.py": CUTS})


def order(name: str) -> dict[str, object]:
    """For a driver: a step whose import makes its zygote preload the package."""
    source = f"import {_module(name)}\ndef step(x):\n    open('made', 'w').close()\n    return 1\n"
    needs = [_module(name).replace("_", "-")]
    limits = {"wall_seconds": 3}
    kept = {"outputs": ["made"]} if name.startswith("keeps") else {}
    return {"id": name, "source": source, "requirements": needs, "limits": limits, **kept}
