"""Attacks that the catalogue lacks, each with a mechanism that no other has.

Each is told of a victim: a process of the run's own host user, and a folder of the host's. Behind
no wall, as an ordinary user, most of them work.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.escape.catalogue import PRELUDE

__all__ = ["ATTACKS", "orders"]

ATTACKS: Mapping[str, str] = {
    # a process of the same user, by what is neither a signal nor ptrace
    "limit-of-another": "import resource\nreturn T(lambda: resource.prlimit(pid, 7, (64, 64)))",
    "priority-of-another": "return T(lambda: os.setpriority(0, pid, 15))",
    "priority-of-the-user": """
def f():
    os.setpriority(2, os.getuid(), 15)
    return os.getpriority(0, pid)
return T(f, lambda nice: nice > 9)""",
    "affinity-of-another": "return T(lambda: os.sched_setaffinity(pid, {0}))",
    "io-priority-of-another": "return T(lambda: S(251, 1, pid, 3 << 13))",
    "scheduler-of-another": "return T(lambda: os.sched_setscheduler(pid, 3, os.sched_param(0)))",
    "owner-signal": """
import fcntl
r, w = os.pipe()
return T(lambda: (fcntl.fcntl(r, 10, 10), fcntl.fcntl(r, 8, pid)))""",
    "queue-a-signal": "return T(lambda: S(129, pid, 10, ctypes.create_string_buffer(128)))",
    "open-its-memory": "return T(lambda: open('/proc/%d/mem' % pid, 'rb'))",
    "its-environment": "return T(lambda: open('/proc/%d/environ' % pid).read())",
    "its-root": "return T(lambda: os.listdir('/proc/%d/root' % pid))",
    "its-command-line": "return T(lambda: open('/proc/%d/cmdline' % pid).read())",
    "its-open-file": "return T(lambda: open('/proc/%d/fd/0' % pid))",
    "pidfd-signal": "return T(lambda: S(424, S(434, pid, 0), 10, 0, 0))",
    # a file of the user, by what Landlock does not see
    "mode-of-a-file": "return T(lambda: os.chmod(home + '/private', 0o644))",
    "mode-by-descriptor": "return T(lambda: os.fchmod(os.open(home, os.O_PATH), 0o777))",
    "times-of-a-file": "return T(lambda: os.utime(home + '/private', (0, 0)))",
    "attribute-of-a-file": "return T(lambda: os.setxattr(home + '/private', 'user.x', b'1'))",
    "read-attribute": "return T(lambda: os.listxattr(home + '/private'))",
    "truncate-by-path": "return T(lambda: os.truncate(home + '/private', 0))",
    "watch-a-folder": """
return T(lambda: S(254, S(294, 0), ctypes.c_char_p(home.encode()), 0xfff))""",
    "rename-a-file": "return T(lambda: os.rename(home + '/private', home + '/gone'))",
    "link-a-file": "return T(lambda: os.link(home + '/private', 'mine'))",
    "make-a-socket": "return T(lambda: socket.socket(socket.AF_UNIX).bind(home + '/s'))",
    "connect-a-socket": "return T(lambda: socket.socket(socket.AF_UNIX).connect(home + '/sock'))",
    "score-of-another": "return T(lambda: open('/proc/%d/oom_score_adj' % pid, 'w').write('900'))",
    "dump-filter-of-another": """
return T(lambda: open('/proc/%d/coredump_filter' % pid, 'w').write('0'))""",
    "pages-of-another": "return T(lambda: open('/proc/%d/clear_refs' % pid, 'w').write('1'))",
    "map-of-another": "return T(lambda: open('/proc/%d/maps' % pid).read(), bool)",
    "its-process-group": "return T(lambda: os.killpg(os.getpgid(pid), 0))",
    # what a user has once for all its programs
    "watches-of-the-user": "return T(lambda: [S(294, 0) for _ in range(100)])",
    "message-queue": """
def f():
    S(240, ctypes.c_char_p(b'orq-attack'), 0o102, 0o600, 0)
    return S(241, ctypes.c_char_p(b'orq-attack'))
return T(f)""",
    "huge-pages": "return T(lambda: S(319, ctypes.c_char_p(b'x'), 4))",
    "connections-of-the-host": """
return T(lambda: open('/proc/net/unix').read(), lambda text: text.count(chr(10)) > 1)""",
    "connections-by-a-thread": """
path = '/proc/self/task/%d/net/unix' % os.getpid()
return T(lambda: open(path).read(), lambda text: text.count(chr(10)) > 1)""",
    "flag-of-a-file": """
import fcntl
with open('f', 'w') as file:
    return T(lambda: fcntl.ioctl(file, 0x40086602, struct.pack('q', 0x40)))""",
    "dump-through-a-pipe": """
import resource, subprocess, sys
code = 'import resource; print(resource.getrlimit(4))'  # dumpable again, unlike us
said = subprocess.run([sys.executable, '-S', '-c', code], stdout=subprocess.PIPE).stdout.decode()
least = min(1, resource.getrlimit(4)[1])  # 1 is the limit that keeps a dump from a pipe as well
return 'DENIED' if said.split() == ['(%d,' % least, '%d)' % least] else 'ESCAPED ' + said""",
    # privileges
    "set-id-by-mknod": "return T(lambda: os.mknod('n', 0o104755))",
    "set-id-by-creat": "return T(lambda: S(85, ctypes.c_char_p(b'c'), 0o4755))",
    "program-with-a-capability": """
open('p', 'w').close()
rights = struct.pack('<5I', 0x02000001, 1 << 21, 0, 0, 0)
return T(lambda: os.setxattr('p', 'security.capability', rights))""",
    "own-user-namespace-by-clone": "return T(lambda: S(56, 0x10000011, 0, 0, 0, 0))",
    "gain-by-exec": """
import subprocess
out = subprocess.run(['/bin/sh', '-c', 'grep CapEff /proc/self/status; id -u'],
                     stdout=subprocess.PIPE).stdout.decode().split()
return 'DENIED' if not out[1:2] or int(out[1], 16) == 0 else 'ESCAPED %s' % out""",
    "set-id-by-openat": "return T(lambda: os.open('s', os.O_CREAT | os.O_WRONLY, 0o6755))",
    "set-id-by-mkdir": "return T(lambda: os.mkdir('g', 0o2777))",
    "set-id-by-fchmod": "return T(lambda: os.fchmod(os.open('h', os.O_CREAT), 0o4755))",
    "openat2": """
how = ctypes.create_string_buffer(struct.pack('3Q', os.O_CREAT | os.O_WRONLY, 0o4755, 0), 24)
return T(lambda: S(437, -100, ctypes.c_char_p(b'x'), how, 24))""",
    "third-filter": "return T(lambda: S(317, 1, 0, 0))",
    "core-again": "import resource\nreturn T(lambda: resource.setrlimit(4, (1 << 20, 1 << 20)))",
    "aio": "return T(lambda: S(206, 8, ctypes.byref(ctypes.c_ulong(0))))",
    "vsock": "return T(lambda: socket.socket(40, 1, 0))",
    "alg": "return T(lambda: socket.socket(38, 5, 0))",
    "netlink-audit": "return T(lambda: socket.socket(16, 3, 9))",
    "sync-everything": "return T(lambda: S(162))",
    "rename-the-machine": "return T(lambda: socket.sethostname('pwned'))",
    "dev-shm-program": """
import shutil, subprocess
def f():
    shutil.copyfile('/bin/true', '/dev/shm/t'); os.chmod('/dev/shm/t', 0o700)
    return subprocess.call(['/dev/shm/t'])
return T(f)""",
    # what others learnt the hard way
    "leaked-folder": """
def f():
    for n in FDS():
        try: os.fchdir(n)
        except OSError: continue
        return os.listdir('..')
    raise OSError('no folder is open')  # runc, CVE-2024-21626
return T(f)""",
    "own-program": "return T(lambda: open('/proc/self/exe', 'r+b'))  # runc, CVE-2019-5736",
    "program-of-init": "return T(lambda: open('/proc/%d/exe' % os.getppid(), 'rb'))",
    "memory-of-init": "return T(lambda: open('/proc/%d/mem' % os.getppid(), 'rb'))",
    "limit-of-init": """
import resource
return T(lambda: resource.prlimit(os.getppid(), 7, resource.prlimit(0, 7)))""",
    "priority-of-init": "return T(lambda: os.setpriority(0, os.getppid(), 5))",
    "descriptors-of-init": "return T(lambda: os.listdir('/proc/%d/fd' % os.getppid()))",
    "trace-me": "return T(lambda: S(101, 0, 0, 0, 0))",
    "foreign-architecture": """
import mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex('b814000000cd80c3'))  # getpid by int 0x80, which no x86_64 filter sees
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
child = os.fork()
if child == 0:
    call()
    os._exit(0)
status = os.waitpid(child, 0)[1]
return 'DENIED:%d' % status if os.WIFSIGNALED(status) else 'ESCAPED'""",
    "memory-layout": "return T(lambda: S(135, 0x0400000))",
    "time-namespace": "return T(lambda: S(272, 0x80))",
    "new-mount": "return T(lambda: S(428, -100, ctypes.c_char_p(b'/'), 1))",
    "binfmt": "return T(lambda: open('/proc/sys/fs/binfmt_misc/register', 'w'))",
    "group-of-another": """
import glob
def f():
    for path in glob.glob('/sys/fs/cgroup/**/cgroup.procs', recursive=True)[:50]:
        open(path, 'w').write('0')
        return path
    raise OSError('none to be seen')
return T(f)""",
    "out-of-memory-score": "return T(lambda: open('/proc/self/oom_score_adj', 'w').write('100'))",
    "kernel-setting": "return T(lambda: open('/proc/sys/kernel/hostname', 'w').write('x'))",
    "terminal": "return T(lambda: os.open('/dev/tty', os.O_RDWR))",
    "higher-priority": "return T(lambda: os.nice(-5))",
    "real-time": "return T(lambda: os.sched_setscheduler(0, 1, os.sched_param(1)))",
    "lock-memory": "return T(lambda: S(149, ctypes.addressof(ctypes.create_string_buffer(8)), 8))",
    "clock": "return T(lambda: time.clock_settime(0, 0))",
    "become-root": "return T(lambda: os.setuid(0))",
    "join-groups": "return T(lambda: os.setgroups([0]))",
    "compare-with-another": "return T(lambda: S(312, os.getpid(), pid, 0, 0, 0))",
    "write-into-another": "return T(lambda: S(311, pid, 0, 0, 0, 0, 0))",
    "locks-of-another": """
head, size = ctypes.c_void_p(), ctypes.c_size_t()
return T(lambda: S(274, pid, ctypes.byref(head), ctypes.byref(size)))""",
    "namespace-by-program": """
import subprocess
done = subprocess.run(['unshare', '-U', 'true'], stderr=subprocess.DEVNULL)
return 'ESCAPED' if done.returncode == 0 else 'DENIED'""",
    "rename-out": """
open('mine', 'w').close()
return T(lambda: os.rename('mine', home + '/mine'))""",
    "link-out": """
open('mine', 'w').close()
return T(lambda: os.link('mine', home + '/mine'))""",
    "follow-a-link-out": """
os.symlink(home, 'out')
return T(lambda: os.listdir('out'))""",
    "store": "return T(lambda: open(os.path.dirname(home) + '/cache/x', 'w'))",
    "lock-of-the-store": """
import fcntl, glob
def f():
    for path in glob.glob(os.path.dirname(home) + '/cache/**/*.lock', recursive=True):
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path
    raise OSError('none to be seen')
return T(f)""",
}


def orders(name: str) -> dict[str, object]:
    """The attack as a driver takes it."""
    lines = "".join(f"    {line}\n" for line in ATTACKS[name].strip().splitlines())
    source = f"{PRELUDE}\ndef step(x):\n    pid, home = x\n{lines}"
    return {"id": name, "source": source, "needs_victim": True}
