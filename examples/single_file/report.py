# /// script
# requires-python = ">=3.8"
# dependencies = ["tabulate>=0.9,<1"]
# ///
"""One file that says itself what it needs: nothing lies beside it."""

from typing import Dict, List

from tabulate import tabulate


def report(prices: Dict[str, float], tax: float = 0.2) -> List[str]:
    """A table of prices with their tax, line by line."""
    rows = [[name, price, price * (1 + tax)] for name, price in prices.items()]
    return tabulate(rows, headers=["what", "net", "gross"], floatfmt=".2f").splitlines()
