"""What a star is. There is no `stars/__init__.py`: `stars` is a namespace of several packages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Star:
    name: str
    magnitude: float  # the smaller, the brighter
