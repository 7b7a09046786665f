"""What a step's code leads to is found by names, and nothing of it is executed."""

import sys
import types
import unittest

from orq_sandbox.reach import reach

_PACKAGE = """
executed = []
def alone(): executed.append('alone'); return 1
def first(): executed.append('first'); return second() + second()
def second(): executed.append('second'); return first() + len('')
def never_named(): executed.append('never')
class Lazy:
    def __getattr__(self, name): executed.append(name); raise AttributeError(name)
lazy = Lazy()
"""


def _reached(source: str) -> int:
    return reach(compile(source, "<step>", "exec"))


class TestReach(unittest.TestCase):
    def setUp(self) -> None:
        """A package that is loaded already."""
        self.package = types.ModuleType("reached_package")
        exec(compile(_PACKAGE, "<package>", "exec"), vars(self.package))
        sys.modules["reached_package"] = self.package

    def tearDown(self) -> None:
        """As if it had never been."""
        del sys.modules["reached_package"]

    def test_what_is_named_is_followed_and_what_that_names(self) -> None:
        """By the module's name, or by its own; calls in a circle are followed once."""
        module = "import reached_package\n"
        self.assertEqual(1, _reached(module))
        self.assertEqual(2, _reached(module + "x = reached_package.alone()\n"))
        self.assertEqual(3, _reached(module + "x = reached_package.first()\n"))
        self.assertEqual(3, _reached("from reached_package import alone\ndef f(): alone()\n"))
        self.assertEqual(1, _reached("import unknown_package\nunknown_package.first()\n"))

    def test_nothing_is_executed(self) -> None:
        """Neither the step, nor what it names, nor what would be asked for an attribute."""
        source = "from reached_package import first, lazy\nfirst(); lazy.second; raise SystemExit\n"

        _reached(source)

        self.assertEqual([], vars(self.package)["executed"])

    def test_there_is_an_end_to_it(self) -> None:
        """A package with many functions that name each other costs no more than a bound."""
        text = "".join("def f%d(): f%d()\n" % (one, one + 1) for one in range(1000))
        exec(compile(text, "<package>", "exec"), vars(self.package))

        self.assertLess(_reached("from reached_package import f0\nf0()\n"), 200)


if __name__ == "__main__":
    unittest.main()
