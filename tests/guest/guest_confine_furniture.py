"""Which grants are shown again where a run's own mounts cover them, and what is made for that."""

import unittest

from orq_sandbox.confine import furniture


def _covered(*targets):
    """Of grants at these targets, some only to be read."""
    grants = [("/source", target) for target in targets]
    return furniture._covered({"read_only": grants[::2], "writable": grants[1::2]})


class Covered(unittest.TestCase):
    """What lies below /tmp, /run and /dev/shm."""

    def test_only_what_is_covered(self):
        """The rest stays as it is, and the folders themselves are the run's."""
        self.assertEqual([], _covered("/usr", "/tmpfs/a", "/srv/tmp/b", "/tmp", "/dev/null"))
        self.assertEqual(
            ["/dev/shm/c", "/run/b", "/tmp/a"], _covered("/tmp/a", "/run/b", "/dev/shm/c")
        )

    def test_what_lies_in_another_comes_with_it(self):
        """Whatever sorts between the two, and however they are written."""
        self.assertEqual(["/tmp/a", "/tmp/a-b"], _covered("/tmp/a/c", "/tmp/a-b", "/tmp/a"))
        self.assertEqual(["/tmp/a"], _covered("/tmp/a/", "/tmp//a/b", "/tmp/a"))

    def test_no_grant_takes_the_place_of_a_room(self):
        """A run works where it always does."""
        self.assertEqual(["/run/other"], _covered("/run/work", "/run/tmp", "/run/other"))

    def test_each_folder_on_the_way_is_made_once_and_before_what_is_in_it(self):
        """A file is no folder: it is made when it is shown."""
        places = list(furniture._places(["/tmp/no/such/a", "/tmp/no/such/b", "/run/work/c/d"]))
        self.assertEqual(["/tmp/no", "/tmp/no/such", "/run/work/c"], places)


if __name__ == "__main__":
    unittest.main()
