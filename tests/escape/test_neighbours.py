"""Runs side by side: none reaches another; and a storm of random calls ends as a run does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.escape.catalogue import PRELUDE
from tests.escape.modes import MODES, WALLED, driven

_VICTIM = r"""
import os, signal, socket, time
SECRET = 'ORQ_' + 'NEIGHBOUR'
def step(x):
    import ctypes
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # not even hidden: PR_SET_DUMPABLE, PR_SET_PTRACER
    ctypes.CDLL(None).prctl(0x59616d61, -1, 0, 0, 0)
    heard = []
    for number in (1, 2, 10, 12, 14, 15, 18):
        signal.signal(number, lambda number, frame: heard.append('signal %d' % number))
    places = [os.environ['TMPDIR'] + '/orq-victim', 'orq-victim']
    for place in ('/tmp/orq-victim', '/dev/shm/orq-victim'):
        try: open(place, 'w').close(); places.append(place)
        except OSError: pass
    for place in places: open(place, 'w').write(SECRET)
    try:
        door = socket.socket(socket.AF_UNIX)
        door.bind(chr(0) + 'orq-victim')
        door.listen()
        door.settimeout(0)
    except OSError: door = None
    kept = SECRET * 1000
    end = time.monotonic() + 6
    while time.monotonic() < end: time.sleep(0.05)
    if door is not None:
        try: door.accept(); heard.append('a caller')
        except OSError: pass
    heard += [place for place in places if open(place).read() != SECRET]
    return {'heard': heard, 'kept': len(kept), 'nice': os.getpriority(0, 0), 'pid': os.getpid()}
"""
_ATTACKER = r"""
import glob, resource
NEEDLE = b'ORQ_' + b'NEIGHBOUR'
def others():
    mine = {os.getpid(), os.getppid()}
    return [p for p in range(2, 65536) if p not in mine]
def step(x):
    found = {}
    def try_all(name, act, pids):
        for pid in pids:
            try: said = act(pid)
            except (OSError, ValueError): continue
            if said: found.setdefault(name, []).append(pid)
    buffer = ctypes.create_string_buffer(16)
    mine = {os.getpid(), os.getppid()}
    try:
        seen = [int(name) for name in os.listdir('/proc') if name.isdigit()]
        found['processes seen'] = [pid for pid in seen if pid not in mine]
    except OSError: pass
    pids = others()
    few = pids[:8000]
    # harmless where they work: unconfined, our own host is among them
    try_all('signal', lambda pid: (os.kill(pid, 0), True)[1], pids)
    try_all('thread signal', lambda pid: (S(234, pid, pid, 0), True)[1], few)
    try_all('limit', lambda pid: (resource.prlimit(pid, 7), True)[1], few)
    try_all('priority', lambda pid: (os.setpriority(0, pid, 0), True)[1], few)
    for name in ('environ', 'mem', 'maps', 'cmdline'):
        def read(pid, name=name):
            with open('/proc/%d/%s' % (pid, name), 'rb') as file: return NEEDLE in file.read(65536)
        try_all('read ' + name, read, few)
    try_all('descriptors', lambda pid: bool(os.listdir('/proc/%d/fd' % pid)), few)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        below = glob.glob('/tmp/*/*/guest-*/*/*/orq-victim')
        below += glob.glob('/var/tmp/orq-mode-*/home/*/*/guest-*/*/*/orq-victim')
        for place in ['/tmp/orq-victim', '/dev/shm/orq-victim', *below]:
            try: open(place, 'r+').close(); found['file ' + place] = [1]
            except OSError: pass
        try:
            socket.socket(socket.AF_UNIX).connect(chr(0) + 'orq-victim')
            found['abstract socket'] = [1]
        except OSError: pass
        time.sleep(0.02)
    return {name: hits for name, hits in found.items() if hits}
"""
_SENDS_DESCRIPTORS = """
import array
def step(x):
    open('secret', 'w').write('secret')
    held = os.open('secret', os.O_RDONLY)
    for number in (0, 1, 2, 3):
        try:
            line = socket.socket(fileno=os.dup(number))
            line.settimeout(0)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [held]))]
            for _ in range(5): line.sendmsg([b'x'], rights)
            print('sent by', number, flush=True)
        except (OSError, ValueError): pass
    time.sleep(60)
"""
_FINDS_DESCRIPTORS = """
def step(x):
    held, came = FDS(), []
    for number in range(5):
        try:
            line = socket.socket(fileno=os.dup(number))
            line.settimeout(0)
            came += line.recvmsg(100, 1000)[1]
        except (OSError, ValueError): pass
    return [held, came]
"""
_STORM = r"""
import random
NEVER = {15, 34, 35, 230, 60, 231}  # sigreturn without a frame; pauses; exits, which prove nothing
def call(draw, blocks):
    words = []
    for _ in range(6):
        kind = draw.randrange(6)
        if kind == 0: words.append(draw.randrange(-3, 70))
        elif kind == 1: words.append(draw.getrandbits(64))
        elif kind == 2: words.append(1 << draw.randrange(64))
        elif kind == 3: words.append(0)
        else: words.append(ctypes.addressof(blocks[draw.randrange(len(blocks))]))
    number = draw.randrange(470) if draw.random() < .97 else draw.getrandbits(31)
    if number in NEVER: return
    libc.syscall(ctypes.c_long(number), *[ctypes.c_ulong(word & (2**64 - 1)) for word in words])
def step(x):
    calls, ends = 0, {}
    begun = time.monotonic()
    for turn in range(40):
        if time.monotonic() - begun > 4: break
        try: child = os.fork()
        except OSError: break
        if child == 0:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.3)
                draw = random.Random(SEED * 1000 + turn)
                blocks = [ctypes.create_string_buffer(draw.randbytes(64), 65536) for _ in range(4)]
                for _ in range(3000): call(draw, blocks)
            finally:
                os._exit(0)
        status = os.waitpid(child, 0)[1]
        ends[str(status)] = ends.get(str(status), 0) + 1
    return ends
"""
_ORDINARY = {"ok", "raised", "timeout", "killed", "exited", "no_result", "protocol_violation"}
_ORDINARY |= {"out_of_memory", "disk_exceeded", "processes_exceeded"}


def _ended(mode: str, attacks: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    outcomes = driven(MODES[mode], {"attacks": list(attacks)})["outcomes"]
    assert isinstance(outcomes, dict)
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_a_run_reaches_nothing_of_another_beside_it(mode: str) -> None:
    """Signals, ptrace, /proc, files, shared memory, sockets: of a victim under the same zygote."""
    outcomes = _ended(
        mode,
        [
            {"id": "victim", "source": _VICTIM},
            {"id": "attacker", "source": PRELUDE + _ATTACKER},
        ],
    )

    victim = outcomes["victim"]["value"]
    seen = outcomes["attacker"]["value"].pop("processes seen", [])
    assert ({}, {"heard": [], "kept": 13000, "nice": 0, "pid": victim["pid"]}) == (
        outcomes["attacker"]["value"],
        victim,
    ), outcomes
    assert [] == seen or MODES[mode].tier == "landlock"


@pytest.mark.slow
def test_the_attacks_on_a_neighbour_are_real() -> None:
    """Without a wall the same run finds the other by many ways."""
    outcomes = _ended(
        "open",
        [
            {"id": "victim", "source": _VICTIM},
            {"id": "attacker", "source": PRELUDE + _ATTACKER},
        ],
    )

    assert "ok" == outcomes["attacker"]["verdict"], outcomes
    assert len(outcomes["attacker"]["value"]) >= 4, outcomes


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_descriptors_that_a_run_sends_reach_no_other_run(mode: str) -> None:
    """By the sockets and pipes that it has of the host; others find their own, and no more."""
    finds = {"source": PRELUDE + _FINDS_DESCRIPTORS}
    outcomes = _ended(
        mode,
        [
            {"id": "sends", "source": PRELUDE + _SENDS_DESCRIPTORS, "limits": {"wall_seconds": 3}},
            *({"id": f"finds-{number}", **finds} for number in range(8)),
        ],
    )

    sent = outcomes.pop("sends")
    assert "sent by 3" in sent["stdout"]
    assert [("ok", [[3, 4], []])] * 8 == [(o["verdict"], o["value"]) for o in outcomes.values()]


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_a_storm_of_random_system_calls_ends_in_ordinary_verdicts(mode: str) -> None:
    """Seeded, bounded in number and time; the host and the next run do not notice."""
    storms: list[dict[str, object]] = [
        {
            "id": f"storm-{seed}",
            "source": f"{PRELUDE}\nSEED = {seed}\n{_STORM}",
            "limits": {"wall_seconds": 2, "memory_bytes": 256 << 20, "tmp_bytes": 64 << 20},
        }
        for seed in range(6)
    ]
    outcomes = _ended(mode, [*storms, {"id": "next", "source": "def step(x):\n    return 1\n"}])

    assert ("ok", 1) == (outcomes["next"]["verdict"], outcomes["next"]["value"])
    verdicts = {outcomes[f"storm-{seed}"]["verdict"] for seed in range(6)}
    assert set() == verdicts - _ORDINARY, outcomes
