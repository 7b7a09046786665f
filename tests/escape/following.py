"""What a run may leave for the next one under the same init, and what that one looks for.

Every attack says that its process is alone (`_LIE`), else its init would end with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.escape.catalogue import PRELUDE

__all__ = ["ATTACKS", "CARELESS", "CHANGES", "LOOK", "NOISE", "REFUSED", "attack"]

_LIE: Final = r"""
import resource
def _guest(name):
    frame = sys._getframe()
    while frame is not None:
        if name in frame.f_globals: return frame.f_globals[name]
        frame = frame.f_back
def alone():
    kernel, usage = _guest('kernel'), _guest('kernel').usage
    kernel.usage = lambda whose: usage(whose) if whose == 0 else (0, 0, 0)
    kernel.has_children = lambda: False
def daemon(act):
    ready, done = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
            for number in range(5):
                try: os.close(number)
                except OSError: pass
            os.write(done, b'x')
            while True: act()
        os._exit(0)
    os.read(ready, 1)
def tried(act):
    try: return act()
    except (OSError, ValueError) as error: return str(error)
def number(at):
    descriptor = os.open(at, os.O_TMPFILE | os.O_RDWR)
    try: return os.fstat(descriptor).st_ino
    finally: os.close(descriptor)
def mq_open(flags): return tried(lambda: S(240, b'orq-left', flags, 0o600, 0))
"""

LOOK: Final = (
    PRELUDE
    + _LIE
    + r"""
def alive(pid):
    try: os.kill(pid, 0)
    except ProcessLookupError: return False
    except PermissionError: return True
    return True
def found(place):
    for folder, folders, files in os.walk(place):
        for name in folders + files: yield os.path.join(folder, name)
def read(name):
    try:
        with open(name) as file: return file.read()
    except OSError as error: return error.errno
def step(x):
    alone()
    caller = socket.socket(socket.AF_UNIX)
    return {
        'files': sorted({path for at in ('/tmp', '/run', '/dev/shm', '.') for path in found(at)}),
        'modes': [os.stat(at).st_mode for at in ('/tmp', '/run', '/dev/shm', '.')],
        'attributes': [tried(lambda: os.listxattr(at)) for at in ('/tmp', '/run', '/dev/shm', '.')],
        'times': [os.stat(at).st_mtime > 1e9 for at in ('/tmp', '/run', '/dev/shm', '.')],
        'numbers': [number(at) < 500 for at in ('/tmp', '/dev/shm')],
        'processes': [pid for pid in range(2, 20000) if pid != os.getpid() and alive(pid)],
        'pids': [os.getpid(), os.getppid(), os.getsid(0)],
        'queue': mq_open(os.O_RDONLY),
        'ipc': [read('/proc/sysvipc/' + kind).count('\n') for kind in ('shm', 'sem', 'msg')],
        'priority': [os.getpriority(0, 0), S(252, 1, 0), os.sched_getscheduler(0)],
        'processors': len(os.sched_getaffinity(0)),
        'limits': [resource.getrlimit(number) for number in range(16)],
        'signals': [line for line in read('/proc/self/status').split('\n') if line[:3] == 'Sig'],
        'oom': read('/proc/self/oom_score_adj'),
        'space': os.statvfs('/tmp').f_bfree > 100,
        'caller': caller.connect_ex('\0orq-left'),
        'where': [os.getcwd(), sorted(os.environ)],
    }
"""
)

ATTACKS: Final[Mapping[str, str]] = {
    "files": """
for at in ('/tmp', '/dev/shm', '.'): open(at + '/left', 'w').write('left')""",
    "deep folders": """
for _ in range(300):
    os.mkdir('d' * 200)
    os.chdir('d' * 200)""",
    "closed folders": """
for at in ('/tmp', '/dev/shm', os.getcwd()):
    os.mkdir(at + '/left')
    os.chmod(at + '/left', 0)
    tried(lambda: os.chmod(at, 0o1))""",
    "times": """
for at in ('/tmp', '/dev/shm', '.'): os.utime(at, (7, 7))""",
    "attributes": """
for at in ('/tmp', '/dev/shm', '.'): tried(lambda: os.setxattr(at, 'user.left', b'left'))
os.chmod('/tmp', 0o711)""",
    "numbers": """
for at in ('/tmp', '/dev/shm'):
    for _ in range(500): number(at)""",
    "pipes and sockets": """
os.mkfifo('/tmp/left')
line = socket.socket(socket.AF_UNIX)
line.bind('/tmp/left-too')""",
    "a full disk": """
try:
    with open('/tmp/left', 'wb') as file:
        while True: file.write(bytes(1 << 20))
except OSError: pass""",
    "a daemon": "daemon(lambda: (open('/tmp/left', 'a').write('x'), time.sleep(0.001)))",
    "twenty daemons": "for _ in range(20): daemon(signal.pause)",
    "a daemon that stops": "daemon(lambda: os.kill(os.getpid(), signal.SIGSTOP))",
    "daemons that fork on": """
def on():
    if os.fork(): os._exit(0)
for _ in range(8): tried(lambda: daemon(on))""",
    "daemons that fork wide": """
def wide():
    try: os.fork()
    except OSError: time.sleep(0.0001)
daemon(wide)""",
    "parents of orphans": """
libc.prctl(36, 1, 0, 0, 0)
def chain(depth):
    libc.prctl(36, 1, 0, 0, 0)
    if depth and os.fork() == 0: chain(depth - 1)
    signal.pause()
daemon(lambda: chain(20))""",
    "a socket with a name": """
line = socket.socket(socket.AF_UNIX)
line.bind('\\0orq-left')
line.listen()
daemon(signal.pause)""",
    "memory for all": "S(29, 1, 4096, 0o1666); S(64, 1, 1, 0o1666); S(68, 1, 0o1666)",
}
"""What is left where nobody clears up."""

REFUSED: Final[Mapping[str, str]] = {
    "a queue for all": "mq_open(os.O_RDWR | os.O_CREAT)",
    "priority of all": """
tried(lambda: os.setpriority(os.PRIO_USER, 0, 15))
tried(lambda: os.setpriority(os.PRIO_PGRP, 1, 15))
for who in (0, os.getuid()): tried(lambda: S(251, 3, who, 3 << 13))""",
    "limits of init": """
for number in range(16): tried(lambda: resource.prlimit(1, number, (1, 1)))""",
    "processors of init": """
for pid in (1, 1 + (1 << 32)):
    tried(lambda: S(203, pid, 8, ctypes.byref(ctypes.c_ulong(1))))""",
    "priority of init": """
for which in (0, 1):
    tried(lambda: S(141, which, 1, 10))
    tried(lambda: S(251, which + 1, 1, 3 << 13))
tried(lambda: S(144, 1, 3, ctypes.byref(ctypes.c_int(0))))""",
    "signals to init": """
for number in range(1, 65): tried(lambda: os.kill(1, number))
for name in ('oom_score_adj', 'coredump_filter', 'autogroup', 'timerslack_ns', 'clear_refs'):
    tried(lambda: open('/proc/1/' + name, 'w').write('1'))""",
    "groups of init": """
for pid, group in ((1, 1), (1, 0), (0, 1)): tried(lambda: os.setpgid(pid, group))""",
}
"""What a run is not let do, to its init above all."""

CARELESS: Final = """
(wall,) = [it for it in gc.get_objects()
           if isinstance(it, type) and it.__name__ == "NamespacesWall"]
wall.renew_init = lambda self, run: ("/run/work", "/tmp")
init.Init._kill_all = lambda self, poll: setattr(self, "_is_alone", True)
"""
"""After `poison.PRELUDE`: in such a zygote inits clear up nothing, and what is left shows."""

CHANGES: Final = """
kill_all = init.Init._kill_all
init.Init._kill_all = lambda self, poll: (kill_all(self, poll), os.nice(3))
"""
"""The same: in such a zygote every run changes its init."""

NOISE: Final = """
init.Init.renew = lambda self: (self._status.sendall(bytes(range(64))), os._exit(0))
"""
"""The same: in such a zygote no init says what it should."""


def attack(code: str) -> str:
    """The source of a step that leaves something behind."""
    lines = "\n".join("    " + line for line in ("alone()", *code.strip().split("\n")))
    return PRELUDE + _LIE + "def step(x):\n" + lines + "\n    return 'left'\n"
