"""Digests of structured values that no two different values share.

Rules of this file:

1. Every field is written as its tag, its length and its bytes, so joining never collides.
2. A digest starts with its kind and recipe version; changing what goes in changes the version.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from hashlib import sha256
else:
    # start-up budget: `hashlib` loads all of OpenSSL, for what keys are made of in no time
    try:
        from _sha2 import sha256
    except ImportError:
        try:
            from _sha256 import sha256  # before Python 3.12
        except ImportError:
            from hashlib import sha256

__all__ = ["Digest", "digest_file", "is_preimage", "sha256"]

_HEX_LENGTH = 40
_CHUNK = 1 << 20


class Digest:
    """Collects tagged fields and gives their key: 40 hex digits of a SHA-256."""

    def __init__(self, kind: str, version: int) -> None:
        self._hash = sha256()
        self._preimage: list[tuple[str, str]] = []
        self.text("kind", kind)
        self.text("version", str(version))

    def raw(self, tag: str, value: bytes) -> Digest:
        """Add bytes under a tag. Returns itself, for chains."""
        for part in (tag.encode(), value):
            self._hash.update(len(part).to_bytes(8, "big"))
            self._hash.update(part)
        return self

    def text(self, tag: str, value: str) -> Digest:
        """Add text under a tag; it is kept for the preimage."""
        self._preimage.append((tag, value))
        return self.raw(tag, value.encode("utf-8", "surrogatepass"))

    def texts(self, tag: str, values: Iterable[str]) -> Digest:
        """Add a sequence, order kept: its length, then each member."""
        members = list(values)
        self.text(tag + "#", str(len(members)))
        for member in members:
            self.text(tag + "[]", member)
        return self

    def preimage(self) -> list[tuple[str, str]]:
        """The text fields so far, in order: what the key stands for, readable."""
        return list(self._preimage)

    def key(self) -> str:
        """The key of the fields so far."""
        return self._hash.hexdigest()[:_HEX_LENGTH]


def is_preimage(stored: object, digest: Digest) -> bool:
    """Whether a preimage that was read back from JSON is the digest's own."""
    return stored == [list(pair) for pair in digest.preimage()]


def digest_file(path: Path | int) -> str:
    """`sha256:` and the hex digest of a file's content. Raises OSError when it cannot be read."""
    import hashlib  # files may be large, and there it is the fastest

    hashed = hashlib.sha256()
    with open(path if isinstance(path, Path) else os.dup(path), "rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return "sha256:" + hashed.hexdigest()
