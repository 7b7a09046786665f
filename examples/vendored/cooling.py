"""A step whose dependencies lie beside it in `vendor/`: a wheel and a source distribution."""

from typing import Dict

from example_cooling import minutes_until
from example_scales import to_fahrenheit


def cooling(start: float, end: float, room: float) -> Dict[str, float]:
    """How long a cup of tea takes to cool, and how warm it then is in Fahrenheit."""
    minutes = minutes_until(start=start, end=end, room=room)
    return {"minutes": round(minutes, 1), "fahrenheit": to_fahrenheit(end)}
