"""Greets a visitor."""

import humanize


def main(name: str, visits: int = 1) -> str:
    """The greeting; the visits are counted in words."""
    return f"Hello, {name}! This is your {humanize.ordinal(visits)} visit."
