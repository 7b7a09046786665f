"""The guest's entry, staged at the root of the bundle.

`python -I -S -B BUNDLE/__main__.py` runs it. Told the folder's name alone, Python would import a
runner of modules first.
"""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from orq_sandbox import boot

boot.main()
