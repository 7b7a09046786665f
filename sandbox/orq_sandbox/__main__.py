"""The guest's entry, staged at the root of the bundle.

`python -I -S -B BUNDLE/__main__.py` runs it. Told the folder's name alone, Python would import a
runner of modules first.
"""

import gc
import sys


def main() -> None:
    """Import the guest, and be one. Never returns."""
    sys.path.insert(0, __file__.rpartition("/")[0])
    gc.disable()  # all that is imported here stays: there is nothing to look for
    from orq_sandbox import boot

    gc.enable()
    boot.main()


main()
