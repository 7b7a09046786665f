"""A lock, a publish and a replaced file, as the store does them; also as a program."""

from __future__ import annotations

import sys
from pathlib import Path

from orq_runtime import _fs
from orq_runtime.errors import StoreError

__all__ = ["publish_once"]


def publish_once(root: Path) -> None:
    """Publish a folder `key` and replace a file. Raises OSError or `StoreError`."""
    _fs.sweep(root / "staging")
    with _fs.lock(root / "guard.lock", timeout_seconds=5), _fs.scratch(root / "staging") as scratch:
        staged = scratch / "made"
        staged.mkdir()
        for name in ("one", "two"):
            with open(staged / name, "wb", buffering=0) as file:
                file.write(name.encode())
        _fs.publish(staged, root / "store" / "key")
    _fs.write_atomic(root / "documents" / "file", b"new")


if __name__ == "__main__":
    try:
        publish_once(Path(sys.argv[1]))
    except (OSError, StoreError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
