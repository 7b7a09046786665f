"""A step that needs two packages of one namespace, each from a component of its own."""

from typing import List

from stars.core import Star
from stars.maps import CONSTELLATIONS


def brightest(constellation: str, count: int = 1) -> List[Star]:
    """The brightest stars of a constellation, the brightest first."""
    return sorted(CONSTELLATIONS[constellation], key=lambda star: star.magnitude)[:count]
