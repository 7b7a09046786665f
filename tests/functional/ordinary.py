"""More of what ordinary code does with Python's own library: a line or two for each module."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LINES", "source_of"]

LINES: Mapping[str, str] = {
    "tempfile": "import tempfile; f = tempfile.NamedTemporaryFile(); f.write(b'x'); f.flush()",
    "temporary-folder": """
import tempfile
with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w')""",
    "spooled": "import tempfile; f = tempfile.SpooledTemporaryFile(4); f.write(b'xxxxxxxx')",
    "nameless-file": "import tempfile; tempfile.TemporaryFile().write(b'x')",
    "pathlib": """
from pathlib import Path
p = Path('a/b/c'); p.mkdir(parents=True); (p / 'x').write_text('1')
assert [q.name for q in Path('.').rglob('x')] == ['x'] and (p / 'x').resolve().is_file()
(p / 'x').rename(p / 'y'); (p / 'y').unlink()""",
    "home": "from pathlib import Path; (Path.home() / 'x').write_text('1')",
    "walk": """
import os
os.makedirs('w/v')
assert [r for r, _, _ in os.walk('w')] == ['w', 'w/v']""",
    "scandir": "import os; open('e', 'w'); assert 'e' in [d.name for d in os.scandir('.')]",
    "links": """
import os
open('l', 'w')
os.link('l', 'l2')
os.symlink('l', 'l3')
os.replace('l2', 'l4')""",
    "copy": "import shutil; open('c', 'w'); shutil.copyfile('c', 'c2')",
    "copy-with-times": """
import shutil
open('c', 'w')
shutil.copy2('c', 'c3')
shutil.copy('c', 'c4')""",
    "copy-tree": "import os, shutil; os.mkdir('t'); open('t/x', 'w'); shutil.copytree('t', 't2')",
    "remove-tree": "import os, shutil; os.makedirs('r/s'); shutil.rmtree('r')",
    "disk-usage": "import shutil; assert shutil.disk_usage('.').total > 0",
    "chmod": "import os; open('m', 'w'); os.chmod('m', 0o600)",
    "utime": "import os; open('u', 'w'); os.utime('u')",
    "touch-twice": "from pathlib import Path; Path('tt').touch(); Path('tt').touch()",
    "truncate": "open('tr', 'w').write('xxx'); open('tr', 'r+').truncate(1)",
    "mmap": """
import mmap
file = open('mm', 'w+b')
file.write(b'x' * 99)
file.flush()
assert mmap.mmap(file.fileno(), 0)[0:1] == b'x'""",
    "thread-numbers": """
import os, threading
assert threading.main_thread().native_id == threading.get_native_id() == os.getpid()
assert threading.main_thread() is threading.current_thread() and threading.active_count() == 1
workers = [threading.Thread(target=os.getpid) for _ in range(3)]
for one in workers: one.start()
for one in workers: one.join()
if os.fork() == 0: os._exit(threading.active_count() != 1)
assert os.wait()[1] == 0""",
    "anonymous-mmap": "import mmap; m = mmap.mmap(-1, 1 << 20); m[0] = 1",
    "zipfile": """
import zipfile
with zipfile.ZipFile('z.zip', 'w') as z: z.writestr('a', 'b')
zipfile.ZipFile('z.zip').extractall('zz')""",
    "tarfile": """
import tarfile
open('ta', 'w')
t = tarfile.open('t.tgz', 'w:gz')
t.add('ta')
t.close()""",
    "unpack-tar": """
import os, tarfile
open('ta', 'w'); t = tarfile.open('t.tgz', 'w:gz'); t.add('ta'); t.close()
tarfile.open('t.tgz').extractall('out'); assert os.path.exists('out/ta')""",
    "make-archive": "import os, shutil; os.mkdir('ar'); shutil.make_archive('ar2', 'zip', 'ar')",
    "compression": """
import gzip, bz2, lzma
[m.decompress(m.compress(b'x')) for m in (gzip, bz2, lzma)]""",
    "logging": """
import logging
logging.basicConfig(filename='log')
logging.warning('x')
assert open('log').read()""",
    "rotating-log": """
import logging.handlers
handler = logging.handlers.RotatingFileHandler('rot', maxBytes=9)
handler.emit(logging.makeLogRecord({'msg': 'x'}))""",
    "syslog-handler": """
import logging.handlers
try: logging.handlers.SysLogHandler('/dev/log')
except OSError: pass""",
    "locale": "import locale; locale.setlocale(locale.LC_ALL, ''); locale.getpreferredencoding()",
    "timezone": """
import datetime, zoneinfo
datetime.datetime.now(zoneinfo.ZoneInfo('Europe/Berlin'))""",
    "local-time": "import time; time.localtime(); time.strftime('%c')",
    "getpass": "import getpass; assert getpass.getuser()",
    "expanduser": "import os; assert os.path.isdir(os.path.expanduser('~'))",
    "platform": """
import platform
assert platform.platform() and platform.machine() and platform.node()""",
    "libc-version": "import platform; platform.libc_ver()",
    "uuid": "import uuid; uuid.uuid1(); uuid.getnode(); uuid.uuid4()",
    "random": """
import random, secrets, ssl
random.random()
secrets.token_hex()
ssl.create_default_context()""",
    "processors": "import os; assert os.cpu_count() and os.sched_getaffinity(0)",
    "load": "import os; os.getloadavg()",
    "page-size": "import os; os.sysconf('SC_PHYS_PAGES'); os.sysconf('SC_NPROCESSORS_ONLN')",
    "resource": """
import resource
resource.getrusage(0)
resource.setrlimit(7, (64, resource.getrlimit(7)[1]))""",
    "memory-of-mine": """
assert 'VmRSS' in open('/proc/self/status').read() and open('/proc/self/statm').read()""",
    "machine-memory": """
assert 'MemTotal' in open('/proc/meminfo').read() and open('/proc/cpuinfo').read()""",
    "descriptors-of-mine": """
import os
os.listdir('/proc/self/fd')
os.readlink('/proc/self/fd/1')""",
    "list-of-proc-self": "import os; os.listdir('/proc/self')",
    "threads-of-mine": "import os; os.listdir('/proc/self/task')",
    "uptime": "open('/proc/uptime').read()",
    "load-file": "open('/proc/loadavg').read()",
    "mounts": "open('/proc/mounts').read()",
    "subprocess-shell": """
import subprocess
assert subprocess.check_output('echo a | tr a b', shell=True) == b'b\\n'""",
    "popen": "import os; assert os.popen('echo x').read() == 'x\\n'",
    "system": "import os; assert os.system('true') == 0",
    "python-child": """
import subprocess, sys
assert subprocess.check_output([sys.executable, '-c', 'print(1)']) == b'1\\n'""",
    "spawnv": "import os; assert os.spawnv(os.P_WAIT, '/bin/true', ['true']) == 0",
    "posix-spawn": "import os; os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)",
    "process-group": """
import subprocess
subprocess.Popen(['true'], preexec_fn=__import__('os').setpgrp).wait()""",
    "kill-a-child": """
import subprocess
p = subprocess.Popen(['sleep', '60'])
p.terminate()
assert p.wait() == -15""",
    "nice": "import os; os.nice(1)",
    "affinity": "import os; os.sched_setaffinity(0, os.sched_getaffinity(0))",
    "priority-of-a-child": """
import os, subprocess
p = subprocess.Popen(['sleep', '60'])
try: os.setpriority(os.PRIO_PROCESS, p.pid, 5)
finally: p.kill(); p.wait()""",
    "timer": "import signal; signal.setitimer(signal.ITIMER_REAL, 60); signal.alarm(0)",
    "faulthandler": """
import faulthandler
faulthandler.enable()
faulthandler.dump_traceback_later(60)
faulthandler.cancel_dump_traceback_later()""",
    "select": """
import select, os
r, w = os.pipe()
select.epoll().register(r)
select.poll().register(r)""",
    "eventfd": "import ctypes; assert ctypes.CDLL(None).eventfd(0, 0) >= 0",
    "pair": "import socket; a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'",
    "datagram-pair": "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "path-socket": "import socket; s = socket.socket(socket.AF_UNIX); s.bind('sock'); s.listen()",
    "lock-a-file": """
import fcntl
f = open('lk', 'w')
fcntl.flock(f, fcntl.LOCK_EX)
fcntl.lockf(f, fcntl.LOCK_EX)""",
    "fifo": "import os; os.mkfifo('ff')",
    "pseudo-terminal": "import pty, os; pty.openpty()",
    "extended-attribute": "import os; open('xa', 'w'); os.setxattr('xa', 'user.x', b'1')",
    "watch-a-folder": """
import ctypes
l = ctypes.CDLL(None)
assert l.inotify_add_watch(l.inotify_init(), b'.', 2) > 0""",
    "shared-folder": "open('/dev/shm/x', 'w').write('1')",
    "slash-tmp": "open('/tmp/x', 'w').write('1')",
    "thread-lock": "import threading; threading.Lock().acquire(); threading.Event().wait(0.01)",
    "process-lock": "import multiprocessing; multiprocessing.Lock()",
    "process-queue": "import multiprocessing; multiprocessing.Queue()",
    "process-simple": """
import multiprocessing
p = multiprocessing.get_context('fork').Process(target=print)
p.start()
p.join()
assert p.exitcode == 0""",
    "process-pipe": """
import multiprocessing
a, b = multiprocessing.Pipe()
a.send(1)
assert b.recv() == 1""",
    "process-value": "import multiprocessing; multiprocessing.Value('i', 1, lock=False)",
    "asyncio-process": """
import asyncio
async def run():
    p = await asyncio.create_subprocess_exec('echo', 'x', stdout=-1)
    return (await p.communicate())[0]
assert asyncio.run(run()) == b'x\\n'""",
    "asyncio-signals": """
import asyncio, signal
async def run(): asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
asyncio.run(run())""",
    "dbm": "import dbm.dumb; dbm.dumb.open('db', 'c')['a'] = 'b'",
    "shelve": "import shelve; shelve.open('sh')['a'] = 1",
    "pickle": "import pickle; pickle.dump({'a': 1}, open('pk', 'wb'))",
    "sqlite-wal": """
import sqlite3
c = sqlite3.connect('w.db')
c.execute('pragma journal_mode=wal')
c.execute('create table t(a)')
c.commit()""",
    "importlib": """
import importlib, os, sys
open('modx.py', 'w').write('a = 1')
sys.path.insert(0, os.getcwd())
assert importlib.import_module('modx').a == 1""",
    "bytecode": """
import compileall
open('bc.py', 'w').write('a = 1')
assert compileall.compile_file('bc.py', quiet=1)""",
    "ctypes": "import ctypes; assert ctypes.CDLL(None).getpid() > 0",
    "mimetypes": "import mimetypes; mimetypes.guess_type('a.html')",
    "host-name": "import socket; assert socket.gethostname()",
    "own-address": "import socket; socket.gethostbyname('localhost')",
    "tcp": "import socket; socket.create_server(('127.0.0.1', 0))",
    "certificates": "import ssl; assert ssl.create_default_context().cert_store_stats()",
    "profile": "import cProfile; cProfile.run('1', 'prof')",
    "tracemalloc": "import tracemalloc; tracemalloc.start(); tracemalloc.get_traced_memory()",
    "readlink-exe": "import os, sys; assert os.path.exists(sys.executable)",
    "group-names": "import grp, os; grp.getgrgid(os.getgid())",
    "user-names": "import pwd, os; pwd.getpwuid(os.getuid())",
}


def source_of(name: str) -> str:
    """The step."""
    body = "".join(f"    {line}\n" for line in LINES[name].strip().splitlines())
    return f"def step(x):\n{body}    return True\n"
