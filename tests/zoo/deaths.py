"""Steps that die, each of another cause. All print on both streams before they do."""

import ctypes
import errno
import mmap
import os
import re
import signal
import subprocess
import sys
import threading
import time


def _speak():
    print("to be kept")
    print("this too", file=sys.stderr)


def sleeps():
    _speak()
    time.sleep(600)


def spins():
    _speak()
    while True:
        pass


def stops_itself():
    _speak()
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)


def ignores_every_signal():
    _speak()
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        time.sleep(600)


def blocks_every_signal():
    _speak()
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    while True:
        time.sleep(600)


def holds_the_lock_in_c():
    _speak()
    re.match(r"(a|a)*b", "a" * 64)


def waits_in_c():
    _speak()
    ctypes.PyDLL(None).sleep(600)


def computes(is_deaf):
    _speak()
    if is_deaf:
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while True:
        pass


def takes_memory(size, is_shared):
    _speak()
    held = mmap.mmap(-1, size) if is_shared else bytearray(size)
    for place in range(0, size, 4096):
        held[place] = 1


def takes_memory_in_a_child(size):
    _speak()
    subprocess.run([sys.executable, "-c", f"x = bytearray(b'x') * {size}"], check=True)


def takes_memory_in_small_pieces():
    _speak()
    held = []
    while True:
        held.append([object()] * 100)


def asks_for_an_absurd_amount():
    _speak()
    bytearray(1 << 46)


def forks_on():
    _speak()
    while True:
        if os.fork() == 0:
            time.sleep(600)


def starts_threads_on():
    _speak()
    while True:
        threading.Thread(target=time.sleep, args=(600,)).start()


def writes_a_large_file(size):
    _speak()
    with open("large", "wb") as file:
        for _ in range(size >> 16):
            file.write(bytes(1 << 16))


def writes_a_large_file_deaf_to_python(size):
    _speak()
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    writes_a_large_file(size)


def fills_the_disk(folder):
    _speak()
    for number in range(1 << 20):
        with open(os.path.join(folder, str(number)), "wb") as file:
            file.write(bytes(1 << 16))


def fills_the_disk_below(variable):
    fills_the_disk(os.environ[variable])


def fills_the_disk_without_names():
    _speak()
    held = []
    while True:
        held.append(open("nameless", "wb", buffering=0))
        os.unlink("nameless")
        held[-1].write(bytes(1 << 16))
        if len(held) > 500:
            time.sleep(600)


def fills_the_disk_where_nobody_may_look():
    os.mkdir("dark", 0o300)
    fills_the_disk("dark")


def makes_folders_in_folders():
    _speak()
    for _ in range(4000):
        os.mkdir("deep")
        os.chdir("deep")
    time.sleep(600)


def fills_the_disk_and_clears_up():
    _speak()
    try:
        with open("large", "wb") as file:
            while True:
                file.write(bytes(1 << 16))
    except OSError as error:
        os.unlink("large")
        raise RuntimeError("could not save") from error


def fills_the_disk_in_a_child():
    _speak()
    subprocess.run(["dd", "if=/dev/zero", "of=large", "bs=65536"], check=True)


def fills_the_disk_and_exits():
    _speak()
    subprocess.run(["dd", "if=/dev/zero", "of=large", "bs=65536"], check=False)
    os._exit(3)


def maps_more_than_the_disk_has(size):
    _speak()
    with open("sparse", "w+b") as file:
        file.truncate(size)
        held = mmap.mmap(file.fileno(), size)
        for place in range(0, size, 4096):
            held[place] = 1


def makes_many_files():
    _speak()
    for number in range(1 << 20):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))


def handles_a_full_disk():
    _speak()
    try:
        fills_the_disk(".")
    except OSError as error:
        return error.errno == errno.ENOSPC
    return False


def raises_of_its_own_accord(number):
    _speak()
    raise OSError(number, os.strerror(number))


def floods(descriptor, then):
    _speak()
    for _ in range(64):
        os.write(descriptor, b"x" * 65536)
    if then == "sleep":
        time.sleep(600)
    if then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return "x" * 100_000 if then == "return" else None


def dies_of(number):
    _speak()
    signal.signal(number, signal.SIG_DFL) if number not in (9, 19) else None
    os.kill(os.getpid(), number)
    time.sleep(600)


def aborts():
    _speak()
    os.abort()


def reads_address_zero():
    _speak()
    ctypes.string_at(0)


def exits(status):
    _speak()
    os._exit(status)


def leaves(wish):
    _speak()
    sys.exit(wish)


def execs():
    _speak()
    os.execv("/bin/true", ["true"])


def answers(times, is_sealed, then):
    _speak()
    body = b'1J{"timings":{},"usage":{"cpu_seconds":0.1,"peak_kib":1},"value":7}'
    frame = sys._getframe()
    while is_sealed and "seal" not in frame.f_locals:
        frame = frame.f_back
    body = (frame.f_locals["seal"] if is_sealed else bytes(16)) + body
    os.write(4, (b"\x03" + len(body).to_bytes(4, "big") + body) * times)
    if then == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if then == "exit":
        os._exit(3)
    if then == "sleep":
        time.sleep(600)
    return 7


def writes_garbage():
    _speak()
    os.write(4, b"\xff" * 64)
    time.sleep(600)
