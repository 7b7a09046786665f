"""A step's module, made for its own process, and ahead of it for processes yet to come."""

import os
import py_compile
import sys
import tempfile
import unittest

from orq_sandbox import load
from orq_sandbox.ahead import Ahead
from orq_sandbox.failure import Refusal

_ABOUT = {"source": None, "function": "f", "roots": [], "environ": {}, "bind": True}


class Loading(unittest.TestCase):
    """The file says one thing, and the bytecode beside it another."""

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self._state = list(sys.path), set(sys.modules), dict(os.environ)
        self.file = os.path.join(self._folder.name, "of_two_minds.py")

    def tearDown(self):
        path, modules, environ = self._state
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            del sys.modules[name]
        os.environ.clear()
        os.environ.update(environ)
        self._folder.cleanup()

    def write(self, text):
        with open(self.file, "w") as file:
            file.write(text)

    def cache(self):
        """Bytecode of what the file says now, which is believed whatever it says later."""
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(self.file, invalidation_mode=mode)

    def value(self, *, is_wary):
        made = load.made(self.file, None, [], is_wary=is_wary)
        return load.executed(made).VALUE

    def test_bytecode_beside_a_file_is_not_loaded_for_others(self):
        self.write("VALUE = 'cached'\n")
        self.cache()
        self.write("VALUE = 'written'\n")

        found = self.value(is_wary=True), self.value(is_wary=False)
        self.assertEqual(("written", "cached"), found)

    def test_nobody_waits_for_a_file_that_is_none(self):
        os.mkfifo(self.file)

        with self.assertRaises(Refusal):
            load.made(self.file, None, [], is_wary=True)

    def test_what_is_too_long_is_not_read(self):
        self.write("VALUE = 1\n" + "#" * (4 << 20))

        with self.assertRaises(Refusal):
            load.made(self.file, None, [], is_wary=True)
        self.assertEqual(1, self.value(is_wary=False))

    def test_to_prepare_executes_nothing_and_to_bind_does(self):
        self.write("import sys\nsys.seen_by_guest_load = True\ndef f(): return 3\n")
        ahead = Ahead(("/", "/"))
        ahead.prepare({**_ABOUT, "file": self.file})
        was_seen = hasattr(sys, "seen_by_guest_load")
        ahead.bind()

        self.assertEqual((False, True), (was_seen, sys.__dict__.pop("seen_by_guest_load")))
        self.assertEqual(3, ahead.function({})())

    def test_what_cannot_be_prepared_is_told_when_it_is_asked_for(self):
        self.write("def f(:\n")
        ahead = Ahead(("/", "/"))
        about = {**_ABOUT, "file": self.file, "bind": False}
        ahead.prepare(about)
        ahead.bind()

        with self.assertRaises(SyntaxError):
            ahead.function(about)
