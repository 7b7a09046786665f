"""A dependency that turns hostile when it is imported: `python -m tests.escape.lab_hostile`.

Rules of this file:

1. What it tries at import it leaves in `evil.FOUND`; a run of the same zygote reads it.
2. The control is the tier `process`: what is denied behind the wall is possible there, or is only
   possible with rights that its user does not have; the line says which.
3. Whatever it forks must be gone when the zygote is closed, killed, or has lost its host.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.escape.lab_bench import MODES, Bench

__all__ = ["EVIL", "site_with"]

EVIL = """
import ctypes, errno, os, signal, socket, sys, glob
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
FOUND = {}
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
def others():
    return [p for p in glob.glob('/proc/[0-9]*/environ') if b'ORQ_CANARY' in open(p, 'rb').read()]
def any_environ():
    hits = []
    for p in glob.glob('/proc/[0-9]*/environ'):
        try:
            if b'ORQ_CANARY' in open(p, 'rb').read(): hits.append(p)
        except OSError: pass
    return hits
T('others-environ', any_environ, bool)
T('host-file', lambda: open(os.environ.get('ORQ_FILE', '/orq-canary-file')).read())
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
T('ioport', lambda: S(172, 3))
T('bpf', lambda: S(321, 0, 0, 0))
T('keyctl', lambda: S(250, 0, -3 & 0xffffffff, 0))
T('suid', lambda: os.close(os.open('/tmp/s', os.O_CREAT | os.O_WRONLY, 0o4755)))
T('setuid', lambda: os.setuid(0))
libc.prctl(1, 0, 0, 0, 0)
got = ctypes.c_int(-1)
libc.prctl(2, ctypes.byref(got), 0, 0, 0)
FOUND['pdeathsig'] = 'DENIED:still 9' if got.value == 9 else 'ESCAPED:%d' % got.value
def nested():
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        out = []
        try:
            S(272, 0x10000000)   # the seal lets a user namespace through: what is it worth?
            for name, f in (('remount', lambda: S(165, b('none'), b('/usr'), N, 32 | 4096, N)),
                            ('bind-rw', lambda: (S(272, 0x00020000 | 0x08000000),
                              S(165, b(HERE), b('/tmp'), N, 4096, N), open('/tmp/x.pth', 'w'))),
                            ('sysfs', lambda: S(165, b('s'), b('/tmp'), b('sysfs'), 6, N))):
                try: f(); out.append(name)
                except BaseException as e: pass
        except OSError: pass
        os.write(w, ','.join(out).encode() or b'-'); os._exit(0)
    os.waitpid(pid, 0)
    return os.read(r, 100).decode()
T('nested-user-namespace', nested, lambda r: r != '-')
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
        time.sleep(60); os._exit(0)
    os.waitpid(pid, 0)
try: daemon()
except OSError: pass  # unshare-all worked: the control's
"""
_HANGS = (
    EVIL
    + """
import time
for s in range(1, 32):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
time.sleep(60)
"""
)
_READ = "def step(x):\n    import evil\n    return evil.FOUND\n"


@contextmanager
def site_with(source: str) -> Iterator[Path]:
    """A folder of packages whose only module is hostile."""
    with tempfile.TemporaryDirectory(prefix="orq-evil-") as folder:
        site = Path(folder) / "env" / "lib" / "python3" / "site-packages"
        site.mkdir(parents=True)
        (site / "evil.py").write_text(source, "utf-8")
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        if not source.startswith("#"):
            subprocess.run(["chown", "-R", "61500", folder], check=True)  # the user's own store
        yield site


def _evil_processes() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "comm").read_text().strip() in ("orqevil", "orqstep"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _are_gone(seconds: float) -> bool:
    end = time.monotonic() + seconds
    while _evil_processes():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)  # a lab: nothing tells us of processes in other namespaces
    return True


def _import_attacks(name: str) -> int:
    bad = 0
    with site_with(EVIL) as site:
        # unconfined it takes the zygote's namespaces away: there it is the step
        is_control = MODES[name].tier == "process"
        preload = [] if is_control else ["evil"]
        with Bench(MODES[name], site_packages=site, preload=preload) as bench:
            found = bench.run(_READ).value()
            assert isinstance(found, dict)
            for attack, said in found.items():
                if not said.startswith("DENIED"):
                    bad += 1
                    print(f"{name} import {attack}: {said}")
            print(
                f"{name}: {len(found) - bad} of {len(found)} denied at import; {_evil_processes()}"
            )
        is_gone = _are_gone(1.0)
        bad += not is_gone
        print(f"{name}: the import's daemon is {'gone' if is_gone else 'ALIVE'} after close")
        for pid in _evil_processes():
            os.kill(pid, signal.SIGKILL)
    return bad


_HOST = """
import json, os, sys
from tests.escape.lab_bench import MODES, Bench
from pathlib import Path
b = Bench(MODES[sys.argv[1]], site_packages=Path(sys.argv[2]), preload=sys.argv[3:])
print(b.folder, flush=True)
b.run("import ctypes, time, os\\nctypes.CDLL(None).prctl(15, b'orqstep', 0, 0, 0)\\n"
      "def step(x):\\n    os.fork()\\n    time.sleep(50)\\n", seconds=50)
"""


def _host_killed(name: str) -> int:
    with site_with(EVIL) as site:
        host = subprocess.Popen(
            [sys.executable, "-c", _HOST, name, str(site), "evil"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert host.stdout is not None
        folder = host.stdout.readline().strip()
        end = time.monotonic() + 5
        while len(_evil_processes()) < 3 and time.monotonic() < end:
            time.sleep(0.02)
        before = len(_evil_processes())
        time.sleep(0.1)
        host.kill()
        host.wait()
        begun = time.monotonic()
        is_gone = _are_gone(1.0)
        table = Path("/proc/self/mounts").read_text().splitlines()
        mounts = [line for line in table if folder in line]
        print(
            f"{name}: host killed -9 with {before} alive: {'gone' if is_gone else 'ALIVE'} "
            f"after {time.monotonic() - begun:.3f} s; {len(mounts)} mounts left"
        )
        shutil.rmtree(folder, ignore_errors=True)
        return int(not is_gone or bool(mounts) or before < 3)


def _hanging_import(name: str, number: signal.Signals) -> int:
    """An import that never returns and ignores signals: the host ends the shepherd."""
    with site_with(_HANGS) as site:
        code = _HOST.replace("print(b.folder", "print('never'")
        host = subprocess.Popen([sys.executable, "-c", code, name, str(site), "evil"])
        end = time.monotonic() + 5
        while not _evil_processes() and time.monotonic() < end:
            time.sleep(0.02)
        before = len(_evil_processes())
        children = Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), number)
        is_gone = _are_gone(1.0)
        left = _evil_processes()
        host.kill()
        host.wait()
        time.sleep(0.3)
        fate = "gone" if is_gone else f"ALIVE {left}"
        print(f"{name}: shepherd got {number.name} with {before} alive: {fate}")
        for pid in _evil_processes():
            os.kill(pid, signal.SIGKILL)
    return int(not is_gone)


def main(arguments: Sequence[str]) -> int:
    """All of it, in the modes named or in all."""
    os.environ["ORQ_CANARY"] = json.dumps("secret")
    bad = 0
    for name in arguments or ["ns-root", "ns-user", "ll-root", "ll-user", "open"]:
        bad += _import_attacks(name)
        if name != "open":
            bad += _host_killed(name)
            bad += _hanging_import(name, signal.SIGTERM)
            if MODES[name].tier == "namespaces":  # without them an import's daemon outlives that
                bad += _hanging_import(name, signal.SIGKILL)
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
