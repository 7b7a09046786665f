"""Exceptions as data on a bare interpreter: bounded, whole, and no story told twice."""

import unittest

from orq_sandbox import failure, later


class Group(Exception):
    """Like that of the `exceptiongroup` package, which interpreters before 3.11 use."""

    def __init__(self, message, exceptions):
        super().__init__(message)
        self.exceptions = exceptions


Group.__name__ = "BaseExceptionGroup"


class Many(Group):
    pass


class Rude(Exception):
    def __str__(self):
        raise SystemExit(3)


class Odd:
    def __repr__(self):
        raise KeyboardInterrupt


def caught(function):
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fail():
    raise ValueError("no")


def chained():
    try:
        {}["k"]
    except KeyError:
        fail()


def with_locals(token="secret"):
    odd, much = Odd(), list(range(100000))
    raise ValueError(len(much), odd is None, token)


class Describe(unittest.TestCase):
    def test_context_and_cause(self):
        """What was being handled is the context; `raise from` is a cause, `from None` neither."""
        said = failure.describe(caught(chained))
        self.assertEqual(("ValueError", "KeyError"), (said["type"], said["context"]["type"]))
        self.assertNotIn("cause", said)

        error = ValueError("no")
        error.__cause__ = KeyError("k")
        self.assertEqual("KeyError", failure.describe(error)["cause"]["type"])
        error.__cause__, error.__suppress_context__ = None, True
        self.assertEqual(set(), {"cause", "context"} & set(failure.describe(error)))

    def test_notes(self):
        """Those of `add_note`, and whatever stands in their place."""
        error = ValueError("no")
        error.__notes__ = ["one", 2]
        self.assertEqual(["one", "2"], failure.describe(error)["notes"])
        error.__notes__ = 3
        self.assertEqual(1, len(failure.describe(error)["notes"]))

    def test_groups_of_any_make(self):
        """Members of a group that is Python's own or a package's."""
        said = failure.describe(Many("many", [KeyError("a"), "no exception", OSError("b")]))
        self.assertEqual(["KeyError", "OSError"], [one["type"] for one in said["exceptions"]])

    def test_rude_exceptions(self):
        """An exception whose text raises still has a name."""
        said = failure.describe(Rude())
        self.assertIn("SystemExit", said["message"])

    def test_no_story_is_endless(self):
        """Circles are told once, groups and chains to a bound."""
        one, two = ValueError(1), ValueError(2)
        one.__cause__, two.__cause__ = two, one
        self.assertNotIn("cause", failure.describe(one)["cause"])

        last = ValueError(0)
        for number in range(1000):
            last, last.__cause__ = ValueError(number), last
        self.assertEqual("ValueError", failure.describe(last)["type"])
        said = failure.describe(Many("many", [ValueError(n) for n in range(1000)]))
        self.assertLess(len(said["exceptions"]), 100)

    def test_locals_on_request(self):
        """Clipped, whatever a repr does, and only when they are asked for."""
        error = caught(with_locals)
        frames = failure.describe(error)["frames"]
        self.assertNotIn("locals", frames[-1])
        said = failure.describe(error, shows_locals=True)["frames"][-1]["locals"]
        self.assertEqual("'secret'", said["token"])
        self.assertIn("KeyboardInterrupt", said["odd"])
        self.assertLess(len(said["much"]), 100)

    def test_modules_and_definitions_are_no_locals(self):
        """What a module has imported and defined says nothing about a failure."""
        shown = later.part("variables").shown_locals({"unittest": unittest, "f": chained, "x": 1})
        self.assertEqual({"x": "1"}, shown)


if __name__ == "__main__":
    unittest.main()
