"""`python -m orq_runtime` is the command `orq-runtime`."""

import sys

from orq_runtime.cli import main

sys.exit(main())
