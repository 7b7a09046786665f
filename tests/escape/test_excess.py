"""Runs that take what others need, or leave what nobody wants: it costs them, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.escape.catalogue import PRELUDE
from tests.escape.modes import MODES, WALLED, driven

_HOG = "def step(x):\n    held = bytearray(b'x') * (512 << 20)\n    return len(held)\n"
_CROWD = r"""
import os, time
def step(x):
    count = 0
    try:
        while count < 500:
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
            count += 1
    except OSError:
        pass
    return count
"""
_LITTERS = r"""
def step(x):
    made = []
    def make(name, act):
        try: act()
        except OSError: return
        made.append(name)
    for place in (os.getcwd(), os.environ['TMPDIR']):
        os.chdir(place)
        make('fifo', lambda: os.mkfifo('fifo'))
        make('socket', lambda: socket.socket(socket.AF_UNIX).bind('socket'))
        make('names', lambda: [open(n, 'w') for n in (b'a\nb', b'\x1b[2J', b'\xff\xfe', b'.orq-0')])
        make('links', lambda: (os.symlink('/', 'root'), os.symlink('loop', 'loop')))
        make('many', lambda: [open('f%d' % n, 'w').close() for n in range(300)])
        make('twice', lambda: os.link('f1', 'f1-again'))
        make('closed', lambda: os.mkdir('closed', 0o500))
        make('dark', lambda: (os.mkdir('dark', 0o300), open('dark/x', 'w').close()))
        make('barred', lambda: (os.mkdir('barred'), open('barred/x', 'w'), os.chmod('barred', 0)))
        def deep():
            for n in range(200):
                os.mkdir('d' * 200)
                os.chdir('d' * 200)
            open('x', 'w').close()
        make('deep', deep)
    return made
"""
_SWAPS = """
import os, time
def step(x):
    os.mkdir('a')
    end = time.monotonic() + 4
    while time.monotonic() < end:
        os.rename('a', 'b')
        os.symlink('/usr', 'a')
        time.sleep(0.0001)
        os.unlink('a')
        os.rename('b', 'a')
    return 1
"""
_KEEPS_DESCRIPTORS = """
import array
def step(x):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0] * 200))]
    is_told = False
    while True:
        try: ours.sendmsg([b'x'], rights)
        except OSError as error:
            if not is_told: print(error.strerror, flush=True)
            is_told = True
            time.sleep(0.002)
"""
_WRITES = """
import mmap, os, time
def write(file):
    for _ in range(32): os.write(file, bytes(1 << 16))
"""
_HIDES_FILES = {
    "plain": """
def step(x):
    for n in range(64):
        write(os.open('f%d' % n, os.O_CREAT | os.O_WRONLY))
    time.sleep(60)
""",
    "nameless": """
def step(x):
    for n in range(64):
        write(os.open('.', os.O_TMPFILE | os.O_WRONLY))
    time.sleep(60)
""",
    "not to be listed": """
def step(x):
    os.mkdir('dark', 0o300)
    for n in range(64):
        write(os.open('dark/f%d' % n, os.O_CREAT | os.O_WRONLY))
    time.sleep(60)
""",
    "many": """
def step(x):
    for n in range(200_000):
        os.close(os.open('f%d' % n, os.O_CREAT | os.O_WRONLY))
    time.sleep(60)
""",
    "deep": """
def step(x):
    for n in range(3000):
        os.mkdir('d' * 200)
        os.chdir('d' * 200)
    time.sleep(60)
""",
}
_BOMB = r"""
import os, signal
def step(x):
    for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
    while True:
        try: os.fork()
        except OSError: pass
"""


def _ended(mode: str, attacks: Sequence[Mapping[str, object]], **orders: object) -> dict[str, Any]:
    outcomes = driven(MODES[mode], {"attacks": list(attacks), **orders})["outcomes"]
    assert isinstance(outcomes, dict)
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_hogs_cost_their_own_runs_only(mode: str) -> None:
    """Beside runs that want too much memory and too many processes an honest one goes well."""
    outcomes = _ended(
        mode,
        [
            {"id": "hog", "source": _HOG, "limits": {"memory_bytes": 96 << 20}},
            {"id": "crowd", "source": _CROWD, "limits": {"processes": 16}},
            {"id": "bomb", "source": _BOMB, "limits": {"processes": 16, "wall_seconds": 5}},
            {"id": "honest", "source": "def step(x):\n    return sum(range(10**6))\n"},
        ],
    )

    assert ("ok", 499999500000) == (outcomes["honest"]["verdict"], outcomes["honest"]["value"])
    assert "out_of_memory" == outcomes["hog"]["verdict"]
    assert outcomes["crowd"]["value"] is None or outcomes["crowd"]["value"] < 16, outcomes
    assert {"ok", "processes_exceeded"} >= {outcomes["crowd"]["verdict"]}, outcomes
    assert {"timeout", "processes_exceeded"} >= {outcomes["bomb"]["verdict"]}, outcomes


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_nothing_that_a_run_leaves_stays_on_the_hosts_disk(mode: str) -> None:
    """Whatever it is called, however deep it lies and whoever may read it."""
    said = driven(MODES[mode], {"attacks": [{"id": "litters", "source": PRELUDE + _LITTERS}]})
    outcomes = said["outcomes"]
    assert isinstance(outcomes, dict)
    made = outcomes["litters"]["value"]

    assert [] == said["left"]
    assert isinstance(made, list), outcomes
    assert {"fifo", "deep", "dark", "links"} <= set(made)


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_no_look_at_a_runs_folder_is_led_out_of_it(mode: str) -> None:
    """A folder that is a link to a large one of the host's every other moment counts as nothing."""
    limits = {"tmp_bytes": 1 << 20, "tmp_inodes": 100, "wall_seconds": 30}
    swapper = {"id": "swaps", "source": _SWAPS, "limits": limits}
    outcomes = _ended(mode, [swapper])

    assert ("ok", 1) == (outcomes["swaps"]["verdict"], outcomes["swaps"]["value"]), outcomes


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_descriptors_that_a_run_keeps_on_their_way_stop_nobody_else(mode: str) -> None:
    """The kernel counts them for the user, and its limit is an ordinary one here."""
    honest = "def step(x):\n    return sum(range(10**6))\n"
    outcomes = _ended(
        mode,
        [
            {"id": "keeper", "source": PRELUDE + _KEEPS_DESCRIPTORS, "limits": {"wall_seconds": 4}},
            *({"id": f"honest-{number}", "source": honest} for number in range(8)),
        ],
        open_files=1024,
    )

    keeper = outcomes.pop("keeper")
    assert {"ok"} == {one["verdict"] for one in outcomes.values()}, outcomes
    assert ("timeout", "Too many references") == (keeper["verdict"], keeper["stdout"][:19])


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_no_run_fills_the_hosts_disk(mode: str) -> None:
    """However its files are hidden: behind Landlock a watcher finds them, as any user."""
    few = {"tmp_bytes": 8 << 20, "file_bytes": 4 << 20, "tmp_inodes": 1000, "wall_seconds": 30}
    outcomes = _ended(
        mode,
        [{"id": n, "source": _WRITES + body, "limits": few} for n, body in _HIDES_FILES.items()],
    )

    verdicts = {name: one["verdict"] for name, one in outcomes.items()}
    assert dict.fromkeys(_HIDES_FILES, "disk_exceeded") == verdicts, outcomes
