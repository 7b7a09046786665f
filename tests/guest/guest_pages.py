"""What is made after `leave_no_room` lies side by side."""

import gc
import unittest

from orq_sandbox import pages

_MANY = 5000


def _spread(made):
    """Over how many of the interpreter's pools some objects are spread."""
    return len({id(one) // pages._POOL for one in made})


class Heap(unittest.TestCase):
    """Each test leaves holes first, as any program does."""

    def setUp(self):
        """Every tenth of many objects is gone."""
        self._left = [bytes(size) for size in (20, 80, 300, 700) for _ in range(_MANY)]
        del self._left[::10]
        gc.collect()

    def test_small_objects_lie_side_by_side(self):
        """Hundreds of one size are in as few places as they can be."""
        pages.leave_no_room()
        for size in (20, 80, 300):
            made = [bytes(size) for _ in range(300)]
            self.assertLessEqual(_spread(made), 300 * (size + 48) // pages._POOL + 3)

    def test_without_it_they_do_not(self):
        """The control: they go where there was room."""
        made = [bytes(80) for _ in range(300)]
        self.assertGreater(_spread(made), 12)

    def test_it_ends(self):
        """Again and again, it takes little the second time."""
        pages.leave_no_room()
        kept = len(pages._kept)
        pages.leave_no_room()
        self.assertLess(len(pages._kept) - kept, 2000)


if __name__ == "__main__":
    unittest.main()
