"""What the guest asks the kernel by itself: what a process becomes, has used and has left."""

import functools
import os
import resource
import signal
import unittest

from orq_sandbox import kernel
from orq_sandbox.confine import Program, WallError, make
from orq_sandbox.confine.syscalls import Picture, call, ready

_SAYS = 60  # out of the way of all that a process becomes


def _told(work):
    """What `work` says in a forked process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, _SAYS)
        try:
            said = repr(work())
        except Exception as error:
            said = repr(error)
        os.write(_SAYS, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as said:
        words = said.read()
    os.waitpid(child, 0)
    return words


def _became(numbers, parent):
    """Where the descriptors 1 to 4 lead when four folders were open at these numbers."""
    for high, place in enumerate(("/", "/proc", "/dev", "/usr"), 50):
        os.dup2(os.open(place, os.O_RDONLY), high)
    for high, number in enumerate(numbers, 50):
        os.dup2(high, number)
    make(kernel.becoming(numbers, parent, inherited=2))
    return [
        (os.readlink("/proc/self/fd/%d" % number), os.get_inheritable(number))
        for number in range(1, 5)
    ]


class Becoming(unittest.TestCase):
    """A forked process is made a run's own by calls that were made ready."""

    def test_its_ends_are_where_they_belong(self):
        """Wherever they were, one in another's place too; two are handed down."""
        expected = repr([("/", True), ("/proc", True), ("/dev", False), ("/usr", False)])
        parent = os.getpid()
        for numbers in ((9, 8, 7, 6), (4, 3, 2, 1), (2, 3, 4, 1), (3, 30, 1, 31)):
            with self.subTest(numbers=numbers):
                became = functools.partial(_became, numbers, parent)
                self.assertEqual(expected, _told(became))

    def test_it_leads_a_session_and_dies_with_its_parent(self):
        """What the kernel says of it, and the signal it would send."""

        def became():
            make(kernel.becoming((9, 8, 7, 6), os.getppid(), inherited=2)[:3])
            signal_of_death = bytearray(4)
            kernel._prctl(2, (kernel.ctypes.c_char * 4).from_buffer(signal_of_death), 0, 0, 0)
            return os.getsid(0) == os.getpid(), int.from_bytes(signal_of_death, "little")

        self.assertEqual(repr((True, int(signal.SIGKILL))), _told(became))

    def test_one_whose_parent_is_gone_goes_no_further(self):
        """It is told which call gave something else."""
        said = _told(lambda: make(kernel.becoming((9, 8, 7, 6), 1 << 22, inherited=2)))
        self.assertIn("getppid: gave %d" % os.getpid(), said)


class Asking(unittest.TestCase):
    """Answers without exceptions, and without more than was asked."""

    def test_children(self):
        """None, one alive, one that has ended, and how."""
        self.assertEqual((False, -1), (kernel.has_children(), kernel.reap()[0]))
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(reader, 1)
            os._exit(7)
        self.assertEqual((True, 0), (kernel.has_children(), kernel.reap()[0]))
        os.write(writer, b"x")
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        self.assertTrue(kernel.has_children())
        pid, status, microseconds, peak_kib = kernel.reap()
        self.assertEqual((child, 7 << 8), (pid, status))
        self.assertGreaterEqual(microseconds, 0)
        self.assertGreater(peak_kib, 100)
        self.assertEqual((False, -1), (kernel.has_children(), kernel.reap()[0]))
        os.close(reader)
        os.close(writer)

    def test_what_was_used(self):
        """As `resource` has it, before and after."""
        before = resource.getrusage(resource.RUSAGE_SELF)
        microseconds, peak_kib, faults = kernel.usage(resource.RUSAGE_SELF)
        after = resource.getrusage(resource.RUSAGE_SELF)
        self.assertLessEqual(int((before.ru_utime + before.ru_stime) * 1e6) - 1, microseconds)
        self.assertLessEqual(microseconds, int((after.ru_utime + after.ru_stime) * 1e6) + 1)
        self.assertLessEqual(before.ru_maxrss, peak_kib)
        self.assertTrue(before.ru_minflt <= faults <= after.ru_minflt)


class Calls(unittest.TestCase):
    """Calls that were made ready, and what they leave."""

    def test_a_picture_shows_a_change_and_its_end(self):
        """Of one limit, lowered and raised again."""

        def changed():
            picture = Picture(16)
            calls = [ready("prlimit64", 0, resource.RLIMIT_CORE, None, picture.place)]
            make(calls)
            picture.keep()
            soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
            seen = []
            for limit in (soft, 3 if soft != 3 else 2, soft):
                resource.setrlimit(resource.RLIMIT_CORE, (limit, hard))
                make(calls)
                seen.append(picture.has_changed())
            return seen

        self.assertEqual("[False, True, False]", _told(changed))

    def test_a_program_says_which_stage_failed_and_how_long_the_others_took(self):
        """Those after it are not begun."""
        begun = []
        stages = [
            ("first", begun.append, 1),
            ("second", make, [ready("close", 1 << 20)]),
            ("third", begun.append, 3),
        ]
        program = Program(stages)
        with self.assertRaises(WallError) as caught:
            program.go()
        self.assertEqual(("second", [1]), (caught.exception.stage, begun))
        self.assertEqual(["first"], list(program.laps()))
        whole = Program([stages[0], stages[2]])
        whole.go()
        self.assertEqual(["first", "third"], list(whole.laps()))

    def test_a_call_by_name_says_its_name(self):
        """With what the kernel answered."""
        with self.assertRaisesRegex(OSError, "dup3: "):
            call("dup3", 1 << 20, 5, 0)


if __name__ == "__main__":
    unittest.main()
