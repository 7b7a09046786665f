"""The guest: what runs inside every environment's own interpreter, on the standard library alone.

Kept empty: nothing here may shadow or slow what a step imports.
"""

__all__: list = []
