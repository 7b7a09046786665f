"""Attacks that the catalogue lacks, and their control: `python -m tests.escape.lab_attacks`.

Each is told of a victim: a process of the same user outside, and a folder of the host's user. The
mode `open` is the control: there an attack that is real succeeds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.escape.lab_bench import MODES, RUN_UID, USER_UID, Bench

__all__ = ["ATTACKS"]

_CATALOGUE = Path(__file__).resolve().parent / "catalogue.json"

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
f = S(294, 0)
return T(lambda: S(254, f, ctypes.c_char_p(home.encode()), 0xfff))""",
    "rename-a-file": "return T(lambda: os.rename(home + '/private', home + '/gone'))",
    "link-a-file": "return T(lambda: os.link(home + '/private', 'mine'))",
    "make-a-socket": "return T(lambda: socket.socket(socket.AF_UNIX).bind(home + '/s'))",
    "connect-a-socket": "return T(lambda: socket.socket(socket.AF_UNIX).connect(home + '/sock'))",
    # privileges
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
}
_HEAD = """
def step(x):
    pid, home = x
"""


def main(arguments: Sequence[str]) -> int:
    """What was not denied, by mode; the number of those outside `open` is the exit code."""
    prelude = json.loads(_CATALOGUE.read_text("utf-8"))["prelude"]
    bad = 0
    for name in arguments or ["open", "ns-root", "ns-user", "ll-root", "ll-user"]:
        mode = MODES[name]
        uid = RUN_UID if mode.is_root else USER_UID
        ids = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        escaped = []
        with tempfile.TemporaryDirectory(prefix="orq-home-") as home, Bench(mode) as bench:
            victim = subprocess.Popen(["setpriv", *ids, "sleep", "100"], stdin=subprocess.DEVNULL)
            private = Path(home) / "private"
            private.write_text("secret")
            # root's runs have a user id to which no file belongs
            subprocess.run(["chown", "-R", "0" if mode.is_root else str(uid), home], check=True)
            subprocess.run(["chmod", "-R", "a+rX", home], check=True)
            try:
                for attack, code in ATTACKS.items():
                    private.is_file() or private.write_text("secret")
                    body = "".join(f"    {line}\n" for line in code.strip().splitlines())
                    ended = bench.run(prelude + _HEAD + body, [victim.pid, home])
                    try:
                        said = str(ended.value())
                    except ValueError as error:
                        said = f"no value: {error} {ended.stderr!r}"
                    if not said.startswith("DENIED"):
                        escaped.append(attack)
                        if mode.tier != "process":
                            print(f"{name} {attack}: {said}")
            finally:
                victim.kill()
                victim.wait()
        print(f"{name}: {len(ATTACKS) - len(escaped)} of {len(ATTACKS)} denied")
        if mode.tier == "process":
            print("  real: " + " ".join(escaped))
        else:
            bad += len(escaped)
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
