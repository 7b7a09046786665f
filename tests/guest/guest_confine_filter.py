"""The wall's seccomp programs, run by an interpreter of BPF in this file, call for call."""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import unittest

from orq_sandbox.confine import bpf, namespaces, seccomp, seccomp_policy
from orq_sandbox.confine.capabilities import forbid_new_privileges
from orq_sandbox.confine.syscall_table import TABLES
from orq_sandbox.confine.syscalls import AUDIT_ARCHITECTURE, HAS_X32, NUMBERS

_EPERM = bpf.error(errno.EPERM)
_ENOSYS = bpf.error(errno.ENOSYS)
_I386 = 0x40000003
_UNSHARES = (namespaces.NEW_PID, namespaces.NEW_NS | namespaces.NEW_IPC, namespaces.NEW_USER)
_CREATE = os.O_CREAT | os.O_WRONLY


def answer(program, call, *arguments, architecture=AUDIT_ARCHITECTURE):
    """What the kernel does with a call: the return value of the program."""
    number = NUMBERS[call] if isinstance(call, str) else call
    words = [argument & (2**64 - 1) for argument in arguments] + [0] * (6 - len(arguments))
    call_data = struct.pack("=IIQ6Q", number, architecture, 0, *words)
    instructions = list(struct.iter_unpack("=HBBI", program))
    place, word = 0, 0
    while True:
        code, when_true, when_false, value = instructions[place]
        place += 1
        if code == 0x06:
            return value
        if code == 0x20:
            word = struct.unpack_from("=I", call_data, value)[0]
        elif code == 0x54:
            word &= value
        elif code == 0x05:
            place += value
        else:
            holds = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[code]
            place += when_true if holds else when_false


def seal(**changed):
    """The seal of the namespaces tier without network, or with what was changed."""
    asked = {
        "network": "none",
        "unshares": _UNSHARES,
        "unix_sockets": True,
        "memfd": True,
        "own_files": False,
    }
    asked.update(changed)
    return seccomp.seal(**asked)


class TheSeal(unittest.TestCase):
    """What the filter of a zygote says to each call."""

    def test_a_foreign_architecture_is_killed(self):
        """32-bit calls have other numbers: none is looked at."""
        for number in range(500):
            self.assertEqual(bpf.KILL, answer(seal(), number, architecture=_I386))

    @unittest.skipUnless(HAS_X32, "only x86_64 has a second set of numbers")
    def test_x32_numbers_are_not_there(self):
        """The x32 interface reaches the same calls by other numbers."""
        for number in range(0x40000000, 0x40000000 + 600):
            self.assertEqual(_ENOSYS, answer(seal(), number))

    def test_every_number_has_the_answer_of_its_list(self):
        """The binary search finds each range, and what is in no list is not there."""
        program = seal()
        checked = {"open", "openat", "clone", "ioctl", "fcntl", "personality", "prctl"}
        checked |= {"socket", "socketpair", "unshare", "setns", "mount", *seccomp_policy.FILE_MODES}
        expected = dict.fromkeys(range(1000), _ENOSYS)
        expected.update({NUMBERS[n]: bpf.ALLOW for n in seccomp_policy.ALLOWED if n in NUMBERS})
        expected.update({NUMBERS[n]: _EPERM for n in seccomp_policy.REFUSED if n in NUMBERS})
        for name in checked & set(NUMBERS):
            del expected[NUMBERS[name]]
        self.assertEqual(expected, {number: answer(program, number) for number in expected})

    def test_what_cannot_be_checked_is_not_there(self):
        """Arguments in memory: everybody falls back."""
        self.assertEqual(_ENOSYS, answer(seal(), "clone3"))
        self.assertEqual(_ENOSYS, answer(seal(), "openat2"))

    def test_a_set_id_bit_is_refused_wherever_a_mode_is(self):
        """By creating, by changing and by making."""
        program = seal()
        for name, index in seccomp_policy.FILE_MODES.items():
            if name in NUMBERS:
                for bit in (0o4755, 0o2755):
                    self.assertEqual(_EPERM, answer(program, name, *[0] * index, bit), name)
                self.assertEqual(bpf.ALLOW, answer(program, name, *[0] * index, 0o1777), name)
        self.assertEqual(_EPERM, answer(program, "openat", 0, 0, _CREATE, 0o4755))
        self.assertEqual(_EPERM, answer(program, "openat", 0, 0, os.O_TMPFILE, 0o2755))

    def test_a_mode_that_is_not_one_is_no_reason(self):
        """Without O_CREAT the register holds anything."""
        self.assertEqual(bpf.ALLOW, answer(seal(), "openat", 0, 0, os.O_DIRECTORY, 0o7777))

    def test_the_high_half_of_an_argument_changes_nothing(self):
        """The kernel truncates: CVE-2023-1523."""
        for command in seccomp_policy.IOCTL_REFUSED.values():
            self.assertEqual(_EPERM, answer(seal(), "ioctl", 0, command))
            self.assertEqual(_EPERM, answer(seal(), "ioctl", 0, command | 1 << 32))
        self.assertEqual(bpf.ALLOW, answer(seal(), "ioctl", 0, 0x5401))
        for command in seccomp_policy.FCNTL_REFUSED.values():
            self.assertEqual(_EPERM, answer(seal(), "fcntl", 0, command | 1 << 40))

    def test_a_fork_is_fine_and_a_namespace_is_not(self):
        """Each of the flags alone is enough."""
        self.assertEqual(bpf.ALLOW, answer(seal(), "clone", signal.SIGCHLD))
        self.assertEqual(bpf.ALLOW, answer(seal(), "clone", 0x3D0F00))  # a thread of glibc's
        for shift in range(17, 31):
            if namespaces.CLONE_NEW >> shift & 1:
                self.assertEqual(_EPERM, answer(seal(), "clone", signal.SIGCHLD | 1 << shift))

    def test_only_what_a_run_needs_is_unshared_and_mounted(self):
        """Nothing can be remounted, and no other namespace be made or joined."""
        program = seal()
        for flags in _UNSHARES:
            self.assertEqual(bpf.ALLOW, answer(program, "unshare", flags))
        self.assertEqual(_EPERM, answer(program, "unshare", namespaces.NEW_NET))
        self.assertEqual(_EPERM, answer(program, "unshare", sum(_UNSHARES)))
        self.assertEqual(_EPERM, answer(program, "setns", 3, 0))
        for flags in (0, 32, 32 | 4096, 1 << 18, 8192):
            self.assertEqual(_EPERM, answer(program, "mount", 0, 0, 0, flags))
        for name in ("mount", "unshare", "setns"):
            self.assertEqual(_EPERM, answer(seal(unshares=()), name))

    def test_sockets_are_by_family(self):
        """Nothing leaves the machine unless the policy names the network."""
        closed, full = seal(), seal(network="full")
        for family in range(1, 50):
            expected = bpf.ALLOW if family == socket.AF_UNIX else _EPERM
            self.assertEqual(expected, answer(closed, "socket", family, 1, 0), family)
            allowed = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
            expected = bpf.ALLOW if family in allowed else _EPERM
            self.assertEqual(expected, answer(full, "socket", family, 1, 0), family)
        self.assertEqual(_EPERM, answer(full, "socket", socket.AF_NETLINK, 3, 9))  # audit

    def test_without_addresses_only_stream_pairs_are_left(self):
        """A datagram socket can send to any path; Landlock does not see it."""
        program = seal(unshares=(), unix_sockets=False)
        for kind, expected in ((1, bpf.ALLOW), (1 | 0x80000, bpf.ALLOW), (2, _EPERM), (5, _EPERM)):
            self.assertEqual(expected, answer(program, "socketpair", socket.AF_UNIX, kind))
        for name in ("socket", "connect", "bind", "listen", "accept4"):
            self.assertEqual(_EPERM, answer(program, name, socket.AF_UNIX))

    def test_the_bond_with_the_parent_cannot_be_undone(self):
        """Any signal but SIGKILL is only pretended."""
        self.assertEqual(bpf.ALLOW, answer(seal(), "prctl", 1, signal.SIGKILL))
        for number in (0, signal.SIGTERM):
            self.assertEqual(bpf.error(0), answer(seal(), "prctl", 1, number))
        self.assertEqual(bpf.ALLOW, answer(seal(), "prctl", 15))

    def test_the_hosts_own_processes_are_left_alone(self):
        """Without namespaces only oneself can be limited, niced, moved or watched."""
        program = seal(unshares=())
        for name in seccomp_policy.ONLY_ONESELF:
            self.assertEqual(bpf.ALLOW, answer(program, name, 0), name)
            self.assertEqual(_EPERM, answer(program, name, 4711), name)
        for name, process in seccomp_policy.ONLY_OWN_PRIORITY.items():
            self.assertEqual(bpf.ALLOW, answer(program, name, process, 0), name)
            self.assertEqual(_EPERM, answer(program, name, process, 4711), name)
            self.assertEqual(_EPERM, answer(program, name, 2, 0), name)
        self.assertEqual(_EPERM, answer(program, "inotify_add_watch"))
        self.assertEqual(bpf.error(errno.ENOTSUP), answer(program, "getxattr"))
        self.assertEqual(bpf.ALLOW, answer(seal(), "prlimit64", 4711))

    def test_nothing_is_cut_short_where_landlock_does_not_see_it(self):
        """Before its third version: by path, and by opening for reading."""
        program = seal(unshares=(), sees_truncation=False)
        self.assertEqual(_EPERM, answer(program, "truncate"))
        for flags, expected in (
            (os.O_RDONLY | os.O_TRUNC, _EPERM),
            (os.O_WRONLY | os.O_TRUNC, bpf.ALLOW),
            (os.O_RDONLY, bpf.ALLOW),
        ):
            self.assertEqual(expected, answer(program, "openat", 0, 0, flags, 0))
        self.assertEqual(_EPERM, answer(program, "openat", 0, 0, _CREATE, 0o4755))

    def test_attributes_are_protected_where_the_files_are_the_users(self):
        """By path and by descriptor."""
        for name in seccomp_policy.ATTRIBUTES:
            if name in NUMBERS:
                self.assertEqual(_EPERM, answer(seal(own_files=True), name), name)


class TheLock(unittest.TestCase):
    """What the filter of a step takes away."""

    def test_set_up_is_over(self):
        """The calls of a run's set-up, whatever their arguments."""
        program = seccomp.lock(has_namespaces=True)
        for name in ("unshare", "setns", "mount", "capset", "seccomp"):
            self.assertEqual(_EPERM, answer(program, name, _UNSHARES[0]))
        for name in ("read", "setsid", "kill"):
            self.assertEqual(bpf.ALLOW, answer(program, name))

    def test_the_group_is_kept_where_it_is_what_dies(self):
        """Nobody leaves the group that will be killed."""
        program = seccomp.lock(has_namespaces=False)
        for name in ("setsid", "setpgid"):
            self.assertEqual(_EPERM, answer(program, name))

    def test_before_landlock_sees_signals_only_oneself_is_signalled(self):
        """Neither another process of the user's nor a group of it."""
        program = seccomp.lock(has_namespaces=False, only_signal=77)
        for target, expected in ((77, bpf.ALLOW), (0, bpf.ALLOW), (78, _EPERM), (-1, _EPERM)):
            self.assertEqual(expected, answer(program, "kill", target, 9))
        self.assertEqual(_EPERM, answer(program, "tgkill", 78, 78, 9))
        self.assertEqual(_EPERM, answer(program, "pidfd_send_signal", 3, 9))

    def test_the_kernel_takes_the_programs(self):
        """Each is installed in a process of its own, which goes on."""
        programs = (
            seal(),
            seal(network="full"),
            seal(unshares=(), unix_sockets=False, sees_truncation=False),
        )
        for program in (*programs, seccomp.lock(has_namespaces=False, only_signal=1)):
            child = os.fork()
            if child == 0:
                try:
                    forbid_new_privileges()
                    seccomp.install(program)
                    os._exit(0)
                finally:
                    os._exit(1)
            self.assertEqual(0, os.waitpid(child, 0)[1])


class TheLists(unittest.TestCase):
    """What holds for the lists on any machine."""

    def test_every_name_is_a_call_somewhere(self):
        """A misspelt name would be a hole or a nuisance that nobody sees."""
        known = {word for text in TABLES.values() for word in text.split()}
        lists = (seccomp_policy.ALLOWED, seccomp_policy.REFUSED, seccomp_policy.ATTRIBUTES)
        lists += (seccomp_policy.HOST_IPC, list(seccomp_policy.FILE_MODES))
        for names in lists:
            self.assertEqual(set(), set(names) - known)

    def test_no_name_is_in_two_minds(self):
        """Allowed or refused, once."""
        allowed, refused = seccomp_policy.ALLOWED, seccomp_policy.REFUSED
        self.assertEqual(set(), set(allowed) & set(refused))
        self.assertEqual(len(allowed + refused), len({*allowed, *refused}))

    def test_both_machines_have_what_the_wall_itself_calls(self):
        """aarch64 is not run here; at least its numbers are there."""
        for text in TABLES.values():
            words = set(text.split())
            needed = "unshare setns mount umount2 pivot_root mount_setattr seccomp capset prctl"
            needed += " landlock_create_ruleset landlock_add_rule landlock_restrict_self"
            needed += " close_range pidfd_open sethostname open_by_handle_at clone clone3"
            self.assertEqual(set(), set(needed.split()) - words)


if __name__ == "__main__":
    unittest.main()
