"""Docstrings taken apart, in each of the usual ways to write them."""

import unittest

from orq_sandbox import docstring

GOOGLE = """Does it.

At length: with a colon.

Args:
    n: how many
        of them
    xs (list of int): the numbers
    **more: others

Returns:
    n: not a parameter
"""
NUMPY = """Does it.

Parameters
----------
n : int
    how many
    of them
a, b : float, optional
    the ends

Returns
-------
x : int
    not a parameter
"""
SPHINX = """Does it.

:param n: how many
    of them
:param int m: as well
:type n: int
:returns: nothing
"""


class Parts(unittest.TestCase):
    def test_google(self):
        """Indented items, with or without a type; other sections are nobody's."""
        text, about = docstring.parts(GOOGLE)
        self.assertEqual("Does it.\n\nAt length: with a colon.", text)
        self.assertEqual({"n": "how many of them", "xs": "the numbers", "more": "others"}, about)

    def test_numpy(self):
        """Items under an underlined heading; several names may share a text."""
        text, about = docstring.parts(NUMPY)
        self.assertEqual("Does it.", text)
        self.assertEqual({"n": "how many of them", "a": "the ends", "b": "the ends"}, about)

    def test_sphinx(self):
        """Fields, with the type in them or apart."""
        text, about = docstring.parts(SPHINX)
        self.assertEqual("Does it.", text)
        self.assertEqual({"n": "how many of them", "m": "as well"}, about)

    def test_anything_else_is_text(self):
        """What has no section of parameters is the description, whole."""
        for said in ("", "One line.", "Note: this.\n\nExample:: that", "a\n  b\n\n   c: d"):
            self.assertEqual((said, {}), docstring.parts(said))

    def test_headings_without_items(self):
        """An empty section says nothing, and nothing is raised."""
        for said in (
            "Args:",
            "Args:\n\n",
            "Parameters\n----------",
            ":param:",
            ":param x",
            "---\n---",
        ):
            self.assertEqual({}, docstring.parts(said)[1])


if __name__ == "__main__":
    unittest.main()
