"""Forks of ours are told to packages, but to `threading` only where there are threads."""

import os
import subprocess
import sys
import unittest

import orq_sandbox

_BEFORE = """
import os, sys
sys.path.insert(0, %r)
from orq_sandbox import forks
forks.listen()
import threading

def told(fork, work):
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        os.write(writer, repr(work()).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader) as said: return said.read()

def lock(): return id(threading._active_limbo_lock)  # which its hook makes anew
"""


def _printed(code):
    """What a program prints that has loaded `threading` as a zygote does."""
    folder = os.path.dirname(orq_sandbox.__path__[0])
    words = [sys.executable, "-I", "-S", "-W", "ignore", "-c", _BEFORE % folder + code]
    return subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout.decode().split()


class Forks(unittest.TestCase):
    """In a program of its own each: only who imports `threading` first can keep its hook."""

    def test_without_threads_its_hook_is_not_called(self):
        """All is there that was; of a fork of anybody else's it hears as ever."""
        code = "print(repr(lock()) == told(forks.fork, lock), repr(lock()) == told(os.fork, lock))"
        self.assertEqual(["True", "False"], _printed(code))

    def test_a_child_has_one_thread_whatever_its_parent_had(self):
        """With threads the hook is called, and forgets them."""
        code = (
            "end = threading.Event()\n"
            "thread = threading.Thread(target=end.wait)\n"
            "thread.start()\n"
            "print(told(forks.fork, lambda: (threading.active_count(), thread.is_alive())))\n"
            "end.set()"
        )
        self.assertEqual(["(1,", "False)"], _printed(code))

    def test_others_hear_of_it(self):
        """Who draws random numbers draws others; a child's own forks are told in it."""
        code = (
            "import random\n"
            "print(told(forks.fork, random.random) != told(forks.fork, random.random))\n"
            "print(told(forks.fork, lambda: told(os.fork, lock) != repr(lock())))"
        )
        self.assertEqual(["True", "True"], _printed(code))

    def test_who_asked_is_told_in_the_order_of_python(self):
        """Before the fork the last one first; in both processes after it; whatever one raises."""
        code = (
            "import posix\n"
            "said = []\n"
            "def asks(ask, name):\n"
            "    ask(before=lambda: said.append(name),\n"
            "        after_in_child=lambda: said.append(name + 'c'),\n"
            "        after_in_parent=lambda: said.append(name + 'p'))\n"
            "asks(os.register_at_fork, 'a')\n"
            "os.register_at_fork(before=lambda: 1 / 0, after_in_child=lambda: 1 / 0)\n"
            "asks(posix.register_at_fork, 'b')\n"
            "print(told(forks.fork, lambda: ''.join(said)), ''.join(said))\n"
            "said.clear()\n"
            "print(told(forks.fork_unheard, lambda: len(said)), len(said))\n"
            "print(told(os.fork, lambda: ''.join(said)), ''.join(said))\n"
        )
        heard = ["'baacbc'", "baapbp"]
        self.assertEqual([*heard, "0", "0", *heard], _printed(code))

    def test_a_child_can_do_what_any_process_can(self):
        """Start threads, fork, run programs, take signals: nothing of Python's own is missing."""
        code = (
            "import signal, subprocess, asyncio\n"
            "from concurrent.futures import ThreadPoolExecutor\n"
            "def work():\n"
            "    found = []\n"
            "    with ThreadPoolExecutor(4) as pool: found.append(sum(pool.map(abs, range(50))))\n"
            "    found.append(told(os.fork, lambda: told(forks.fork, lambda: 7)))\n"
            "    words = [sys.executable, '-I', '-S', '-c', 'print(5)']\n"
            "    found.append(int(subprocess.run(words, stdout=-1, check=True).stdout))\n"
            "    signal.signal(signal.SIGALRM, lambda *_: found.append('rung'))\n"
            "    signal.raise_signal(signal.SIGALRM)\n"
            "    async def add():\n"
            "        loop = asyncio.get_running_loop()\n"
            "        return await loop.run_in_executor(None, lambda: 9)\n"
            "    return [*found, asyncio.run(add())]\n"
            "print(told(forks.fork, work).replace(' ', ''))\n"
        )
        self.assertEqual(["[1225,\"'7'\",5,'rung',9]"], _printed(code))

    def test_the_main_thread_knows_its_number(self):
        """As the kernel tells it."""
        code = (
            "main = threading.main_thread()\n"
            "print(told(forks.fork, lambda: main.native_id == threading.get_native_id()))"
        )
        self.assertEqual(["True"], _printed(code))


if __name__ == "__main__":
    unittest.main()
