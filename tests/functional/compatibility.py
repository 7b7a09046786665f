"""What ordinary code can do behind each wall, by name; and what it cannot behind Landlock.

Each case is a step that is true where it works. The packages are one environment's.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CASES", "NOT_BEHIND_LANDLOCK", "PACKAGES"]

PACKAGES = ("numpy", "pandas", "scikit-learn", "joblib", "psutil")

# a module, not a string, so that spawned interpreters find the function
_IN_A_MODULE = """
import os, sys
open('jobs.py', 'w').write('def work(n):\\n    return n * n\\n')
sys.path.insert(0, os.getcwd())
os.environ['PYTHONPATH'] = os.pathsep.join([os.getcwd(), *[p for p in sys.path if 'site' in p]])
import jobs
"""

CASES: Mapping[str, str] = {
    "threads": """
import threading, queue
def step(x):
    q = queue.Queue()
    ts = [threading.Thread(target=q.put, args=(i,)) for i in range(20)]
    [t.start() for t in ts]; [t.join() for t in ts]
    return sum(q.get() for _ in ts) == 190
""",
    "thread-pool": """
from concurrent.futures import ThreadPoolExecutor
def step(x):
    with ThreadPoolExecutor(8) as p: return sum(p.map(abs, range(100))) == 4950
""",
    "subprocess": """
import subprocess, sys
def step(x):
    a = subprocess.run(['sh', '-c', 'echo hi | cat'], stdout=subprocess.PIPE).stdout
    b = subprocess.run([sys.executable, '-c', 'print(6*7)'], stdout=subprocess.PIPE).stdout
    return a == b'hi\\n' and b == b'42\\n'
""",
    "subprocess-new-session": """
import subprocess
def step(x):
    return subprocess.run(['true'], start_new_session=True).returncode == 0
""",
    "asyncio": """
import asyncio
def step(x):
    async def f():
        p = await asyncio.create_subprocess_exec('echo', 'a', stdout=asyncio.subprocess.PIPE)
        o, _ = await p.communicate()
        await asyncio.gather(*[asyncio.sleep(0.01) for _ in range(20)])
        return o == b'a\\n' and await asyncio.get_event_loop().run_in_executor(None, lambda: True)
    return asyncio.run(f())
""",
    "asyncio-unix-server": """
import asyncio
def step(x):
    async def f():
        async def serve(r, w):
            w.write(await r.readline()); await w.drain(); w.close()
        s = await asyncio.start_unix_server(serve, 'sock')
        r, w = await asyncio.open_unix_connection('sock')
        w.write(b'x\\n'); got = await r.readline(); w.close(); s.close()
        return got == b'x\\n'
    return asyncio.run(f())
""",
    "sqlite": """
import sqlite3
def step(x):
    c = sqlite3.connect('d.db'); c.execute('pragma journal_mode=wal')
    c.execute('create table t(a)')
    c.executemany('insert into t values(?)', [(i,) for i in range(99)])
    c.commit(); d = sqlite3.connect('d.db')
    return d.execute('select sum(a) from t').fetchone()[0] == 4851
""",
    "files": """
import os, shutil, tempfile, tarfile, zipfile, mmap
def step(x):
    with tempfile.TemporaryDirectory() as d:
        p = os.path.join(d, 'a'); open(p, 'w').write('x' * 5000)
        shutil.copy(p, 'b'); shutil.copytree(d, 'tree'); shutil.move('b', os.path.join(d, 'c'))
        with tarfile.open('t.tgz', 'w:gz') as t: t.add('tree')
        with tarfile.open('t.tgz') as t: t.extractall('out')
        with open(p, 'r+b') as f: m = mmap.mmap(f.fileno(), 0); m[0:1] = b'y'; m.close()
        os.link(p, os.path.join(d, 'l')); os.symlink(p, 's'); os.mkfifo('f')
        return sorted(os.listdir('out/tree')) == ['a'] and open(p).read(1) == 'y'
""",
    "memfd": """
import os
def step(x):
    f = os.memfd_create('x'); os.write(f, b'abc'); return os.pread(f, 3, 0) == b'abc'
""",
    "shared-memory": """
from multiprocessing import shared_memory
def step(x):
    s = shared_memory.SharedMemory(create=True, size=1 << 20); s.buf[0] = 7
    t = shared_memory.SharedMemory(name=s.name); ok = t.buf[0] == 7
    t.close(); s.close(); s.unlink(); return ok
""",
    **{
        f"multiprocessing-{method}": f"""{_IN_A_MODULE}
import multiprocessing as mp
def step(x):
    with mp.get_context({method!r}).Pool(2) as pool:
        return pool.map(jobs.work, range(10)) == [n * n for n in range(10)]
"""
        for method in ("fork", "spawn", "forkserver")
    },
    "multiprocessing-manager": """
import multiprocessing as mp
def step(x):
    c = mp.get_context('fork'); lock = c.Lock(); q = c.Queue()
    p = c.Process(target=q.put, args=(5,)); p.start(); p.join(); got = q.get(timeout=5)
    with c.Manager() as m: d = m.dict(a=1); d['b'] = 2; n = len(d)
    with lock: return (got, n) == (5, 2)
""",
    "process-pool": f"""{_IN_A_MODULE}
from concurrent.futures import ProcessPoolExecutor
def step(x):
    with ProcessPoolExecutor(2) as p: return list(p.map(jobs.work, [1, 2, 3])) == [1, 4, 9]
""",
    "signals": """
import signal, os, time
def step(x):
    hits = []; signal.signal(signal.SIGALRM, lambda *a: hits.append(1)); signal.setitimer(0, 0.01)
    time.sleep(0.1); pid = os.fork()
    if pid == 0: time.sleep(30); os._exit(0)
    os.kill(pid, 15); return hits == [1] and os.WTERMSIG(os.waitpid(pid, 0)[1]) == 15
""",
    "identity": """
import os, pwd, getpass, socket, tempfile, locale, time
def step(x):
    return (pwd.getpwuid(os.getuid()).pw_name, os.path.expanduser('~')) and bool(
        socket.gethostname() and tempfile.gettempdir() and time.localtime())
""",
    "numpy": """
import numpy as np
def step(x):
    a = np.random.default_rng(0).random((400, 400)); np.save('a.npy', a)
    b = np.load('a.npy', mmap_mode='r')
    return bool(np.allclose(np.linalg.inv(a) @ a, np.eye(400), atol=1e-6) and (b == a).all())
""",
    "pandas": """
import pandas as pd
def step(x):
    d = pd.DataFrame({'a': range(1000), 'b': list('xy') * 500}); d.to_csv('d.csv')
    return int(pd.read_csv('d.csv').groupby('b').a.sum().sum()) == 499500
""",
    "sklearn": """
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
def step(x):
    X, y = make_classification(500, random_state=0)
    return RandomForestClassifier(20, n_jobs=2, random_state=0).fit(X, y).score(X, y) > 0.95
""",
    "joblib-threading": """
import math
from joblib import Parallel, delayed
def step(x):
    run = Parallel(2, backend='threading')
    return run(delayed(math.factorial)(n) for n in range(9))[8] == 40320
""",
    "joblib-loky": """
import math
from joblib import Parallel, delayed
def step(x):
    run = Parallel(2, backend='loky')
    return run(delayed(math.factorial)(n) for n in range(9))[8] == 40320
""",
    "joblib-loky-memmap": """
import numpy as np
from joblib import Parallel, delayed
def step(x):
    a = np.ones(500_000)
    return Parallel(2, backend='loky')(delayed(np.sum)(a) for n in range(3)) == [5e5] * 3
""",
    "joblib-multiprocessing": """
import math
from joblib import Parallel, delayed
def step(x):
    return Parallel(2, backend='multiprocessing')(delayed(math.sqrt)(n) for n in range(5))[4] == 2
""",
    "sklearn-gridsearch": """
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
def step(x):
    X, y = load_iris(return_X_y=True)
    return bool(GridSearchCV(SVC(), {'C': [1, 10]}, n_jobs=2, cv=3).fit(X, y).best_score_ > 0.9)
""",
    "psutil": """
import psutil
def step(x):
    return psutil.Process().memory_info().rss > 0 and psutil.cpu_count() > 0
""",
}

NOT_BEHIND_LANDLOCK: Mapping[str, str] = {
    "subprocess-new-session": "new sessions",
    "asyncio-unix-server": "sockets with an address",
    "memfd": "`memfd_create`",
    "shared-memory": "`multiprocessing.shared_memory`",
    **{
        f"multiprocessing-{kind}": "locks, queues and pools of `multiprocessing`"
        for kind in ("fork", "spawn", "forkserver", "manager")
    },
    "process-pool": "`ProcessPoolExecutor`",
    "identity": "the name of the user",
}
"""What fails there, and how SECURITY.md calls it."""
