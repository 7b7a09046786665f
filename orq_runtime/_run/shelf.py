"""Where the large values of requests are written: a zygote's file system in memory, in no tree.

The kernel gives its files large pages, so that they are written and mapped at the speed of a copy;
a memory file gets such pages only where the machine's administrator has allowed them for all.
"""

from __future__ import annotations

import os
import threading
from typing import Final

__all__ = ["Shelf"]

_NEW: Final = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC


class Shelf:
    """Makes files without names. Owns the folder's descriptor. Safe for many threads.

    The folder came from a guest. Whatever it is, what is made in it is ours, new and in no folder.
    """

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def file(self) -> int:
        """A new file, to be read and written; the caller's. Raises OSError when that cannot be."""
        with self._lock:
            if self._folder < 0:
                raise OSError("the shelf is closed")
            return os.open(".", _NEW, 0o400, dir_fd=self._folder)

    def close(self) -> None:
        """Make no more. The files stay as long as they are held. Twice is fine."""
        with self._lock:
            folder, self._folder = self._folder, -1
            if folder >= 0:
                os.close(folder)
