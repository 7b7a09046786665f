"""Attacks of a third round, each with a mechanism that neither the catalogue nor our own have.

As in `own_attacks` each is told of a victim: a process of the run's host user, and a folder.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.escape.catalogue import PRELUDE

__all__ = ["ATTACKS", "orders"]

_HELP = r"""
import fcntl
def peer():
    # a descriptor of the process that made the socket: SO_PEERPIDFD
    for number in FDS():
        try: line = socket.socket(fileno=os.dup(number))
        except OSError: continue
        return struct.unpack('i', line.getsockopt(1, 77, 4))[0]
    raise OSError('no socket')
def pair(): return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
def text(s): return ctypes.c_char_p(s.encode())
def page(): return ctypes.addressof(ctypes.create_string_buffer(8192)) + 4095 & ~4095
"""

ATTACKS: Mapping[str, str] = {
    # the host, by what the kernel says of a socket that it made
    "signal-the-maker-of-a-socket": "return T(lambda: S(424, peer(), 0, 0, 0))",
    "descriptor-of-the-maker": "return T(lambda: S(438, peer(), 0, 0))",
    "network-of-the-maker": "return T(lambda: fcntl.ioctl(peer(), 0xff04))",
    "mounts-of-the-maker": "return T(lambda: fcntl.ioctl(peer(), 0xff03))",
    "user-namespace-of-the-maker": "return T(lambda: fcntl.ioctl(peer(), 0xff09))",
    "enter-the-maker": "return T(lambda: S(308, peer(), 0x20000000))",
    "advise-the-maker": """
iov = ctypes.create_string_buffer(struct.pack('2Q', 0, 0))
return T(lambda: S(440, peer(), iov, 1, 20, 0))""",
    # the network, by a socket that has nothing to do with it
    "interfaces-by-a-pair": """
def f():
    room = ctypes.create_string_buffer(4096)
    said = fcntl.ioctl(pair()[0], 0x8912, struct.pack('iL', 4096, ctypes.addressof(room)))
    return struct.unpack('iL', said)[0] // 40
return T(f, lambda count: count > 0)""",
    "address-by-a-pair": """
return T(lambda: fcntl.ioctl(pair()[0], 0x8927, struct.pack('16s24x', b'eth0')))""",
    "name-of-an-interface": """
def f():
    said = fcntl.ioctl(pair()[0], 0x8910, struct.pack('16si20x', b'', 2))
    return said[:16]
return T(f)""",
    "every-other-family": """
def f():
    for family in (2, *range(3, 47)):
        for kind in (1, 2, 3, 5):
            for protocol in (0, 1, 255, 262):
                try: return socket.socket(family, kind, protocol)
                except OSError: pass
    raise OSError('none')
return T(f)""",
    "family-in-the-high-half": "return T(lambda: S(41, 2 | 1 << 32, 1, 0))",
    "pair-of-another-family": "return T(lambda: socket.socketpair(30, 1))",
    "force-a-buffer": "return T(lambda: pair()[0].setsockopt(1, 32, 1 << 26))",
    "mark-a-socket": "return T(lambda: pair()[0].setsockopt(1, 36, 1))",
    "forged-credentials": """
rights = [(1, 2, struct.pack('3i', 1, 0, 0))]
return T(lambda: pair()[0].sendmsg([b'x'], rights))""",
    # a process of the same user
    "owner-signal-by-ioctl": """
return T(lambda: fcntl.ioctl(pair()[0], 0x8901, struct.pack('i', pid)))""",
    "owner-of-a-socket": """
return T(lambda: fcntl.ioctl(pair()[0], 0x8902, struct.pack('i', pid)))""",
    "owner-by-structure": """
return T(lambda: fcntl.fcntl(pair()[0], 15, struct.pack('ii', 1, pid)))""",
    "queue-to-a-thread": """
info = ctypes.create_string_buffer(struct.pack('3i', 0, 0, -1), 128)
return T(lambda: S(297, pid, pid, 0, info))""",
    "signal-a-thread": "return T(lambda: S(200, pid, 0))",
    "share-a-core-with-another": "return T(lambda: S(157, 62, 0, pid, 0, page()))",
    "pages-of-another-by-number": "return T(lambda: S(279, pid, 0, 0, 0, 0, 0))",
    "nodes-of-another": """
mask = ctypes.create_string_buffer(struct.pack('Q', 1))
return T(lambda: S(256, pid, 64, mask, mask))""",
    "advise-another": """
iov = ctypes.create_string_buffer(struct.pack('2Q', 0, 0))
return T(lambda: S(440, S(434, pid, 0), iov, 0, 20, 0))""",
    "slack-of-another": "return T(lambda: open('/proc/%d/timerslack_ns' % pid, 'w').write('1'))",
    "group-of-another-for-the-scheduler": """
return T(lambda: open('/proc/%d/autogroup' % pid, 'w').write('5'))""",
    "files-that-another-maps": "return T(lambda: os.listdir('/proc/%d/map_files' % pid))",
    "folder-of-another": "return T(lambda: os.readlink('/proc/%d/cwd' % pid))",
    "namespace-of-another": "return T(lambda: os.open('/proc/%d/ns/mnt' % pid, os.O_RDONLY))",
    "program-of-another": "return T(lambda: os.open('/proc/%d/exe' % pid, os.O_RDONLY))",
    "memory-of-its-thread": "return T(lambda: open('/proc/%d/task/%d/mem' % (pid, pid), 'rb'))",
    # what everybody shares
    "file-systems-of-the-kernel": "return T(lambda: S(139, 3))",
    "room-on-a-device": """
return T(lambda: S(136, os.stat('/').st_dev, ctypes.create_string_buffer(64)))""",
    "entropy-of-the-machine": """
return T(lambda: fcntl.ioctl(os.open('/dev/urandom', os.O_RDONLY), 0x80045200, bytes(4)))""",
    "empty-the-entropy": """
return T(lambda: fcntl.ioctl(os.open('/dev/urandom', os.O_RDONLY), 0x5206))""",
    "the-machine-itself": """
def f():
    path = text('/tmp')
    for call in ((163, path), (179, 0, path, 0, 0), (159, page()), (164, 0, 0), (168, path), (153,),
                 (313, -1, path, 0), (176, path, 0), (172, 3), (246, 0, 0, 0, 0), (443, 0, 0, 0, 0),
                 (171, path, 1), (173, 0, 8, 1)):
        try: return S(*call)
        except OSError as error:
            if error.errno not in (1, 38): return '%r: %s' % (call[0], error)
    raise OSError('none')
return T(f)""",
    "deadline-scheduling": """
attr = ctypes.create_string_buffer(struct.pack('IIQiIQQQ', 48, 6, 0, 0, 0, 10**6, 10**7, 10**7))
return T(lambda: S(314, 0, attr, 0))""",
    "real-time-disk": "return T(lambda: S(251, 1, 0, 1 << 13))",
    "locked-mapping": """
def f():
    if S(9, 0, 1 << 20, 3, 0x2022, -1, 0): return 'locked'
return T(f)""",
    "lock-all-memory": "return T(lambda: S(151, 3))",
    "lock-shared-memory": "return T(lambda: S(31, S(29, 0, 4096, 0o600), 11, 0))",
    "poisoned-page": "return T(lambda: S(28, page(), 4096, 100))",
    "retired-page": "return T(lambda: S(28, page(), 4096, 101))",
    "segments-of-everybody": "return T(lambda: S(31, 0, 15, ctypes.create_string_buffer(256)))",
    "watch-every-file": "return T(lambda: S(300, 0, 0))",
    "own-terminal": """
return T(os.openpty, lambda pair: os.ttyname(pair[1]).startswith('/dev/pts'))""",
    # privileges
    "flags-in-the-high-half": "return T(lambda: S(56, 0x10000011 | 1 << 40, 0, 0, 0, 0))",
    "unshare-in-the-high-half": "return T(lambda: S(272, 0x10000000 | 1 << 32))",
    "ambient-capability": "return T(lambda: S(157, 47, 2, 21, 0, 0))",
    "inheritable-capability": """
head = struct.pack('Ii', 0x20080522, 0)
want = struct.pack('6I', 0, 0, 0xffffffff, 0, 0, 0x1ff)
return T(lambda: S(126, ctypes.c_char_p(head), ctypes.c_char_p(want)))""",
    "memory-map-of-its-own-making": "return T(lambda: S(157, 35, 8, page(), 0, 0))",
    "list-of-listeners": "return T(lambda: S(317, 1, 8, ctypes.create_string_buffer(16)))",
    "root-by-a-descriptor": """
def f():
    os.fchdir(os.open('/', os.O_PATH)); os.chdir('..')
    return os.listdir('root')
return T(f)""",
    "mapped-file-anew": """
def f():
    maps = [line.split()[0] for line in open('/proc/self/maps') if '/lib' in line]
    start, end = (int(word, 16) for word in maps[0].split('-'))
    return open('/proc/self/map_files/%x-%x' % (start, end), 'r+b')
return T(f)""",
    "nameless-file-out": """
def f():
    fd = os.open('.', os.O_TMPFILE | os.O_WRONLY)
    os.link('/proc/self/fd/%d' % fd, home + '/named', follow_symlinks=True)
return T(f)""",
    "exchange-with-a-file-outside": """
def f():
    open('mine', 'w').close()
    return S(316, -100, text('mine'), -100, text(home + '/private'), 2)
return T(f)""",
    "copy-out-in-the-kernel": """
def f():
    with open(home + '/private', 'rb') as a, open('copy', 'wb') as b:
        return S(326, a.fileno(), 0, b.fileno(), 0, 9, 0)
return T(f)""",
    "program-by-descriptor": """
def f():
    fd = os.open(home + '/private', os.O_PATH)
    return open('/proc/self/fd/%d' % fd).read()
return T(f)""",
    "folder-by-descriptor": """
def f():
    return os.open('private', os.O_RDONLY, dir_fd=os.open(home, os.O_PATH))
return T(f)""",
    "default-list-of-a-folder": """
return T(lambda: os.setxattr(home, 'system.posix_acl_default', struct.pack('<I', 2)))""",
    "pipe-in-a-folder-outside": "return T(lambda: os.mkfifo(home + '/pipe'))",
    "device-of-its-own": "return T(lambda: os.mknod('null', 0o20666, os.makedev(1, 3)))",
    "whiteout": "return T(lambda: os.mknod('white', 0o20000, 0) or os.stat('white'))",
}


def orders(name: str) -> dict[str, object]:
    """The attack as a driver takes it."""
    lines = "".join(f"    {line}\n" for line in ATTACKS[name].strip().splitlines())
    source = f"{PRELUDE}\n{_HELP}\ndef step(x):\n    pid, home = x\n{lines}"
    return {"id": name, "source": source, "needs_victim": True}
