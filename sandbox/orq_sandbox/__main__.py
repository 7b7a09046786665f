"""The guest's entry: staged at the root of the bundle, so that `python -I -S -B BUNDLE` runs it."""

from orq_sandbox import boot

boot.main()
