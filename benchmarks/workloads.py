"""The work that is measured: one function each, the same text for every contender."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["WORKLOADS", "Workload"]

_MAIN = """

if __name__ == "__main__":
    import json, sys

    print(json.dumps({function}(**json.loads(sys.argv[1]))))
"""

_CHECKED_MAIN = """

if __name__ == "__main__":
    import sys

    import orjson
    import typeguard

    typeguard.config.collection_check_strategy = typeguard.CollectionCheckStrategy.ALL_ITEMS
    call = typeguard.typechecked({function})
    print(orjson.dumps(call(**orjson.loads(sys.argv[1]))).decode())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A function with its requirements, one set of inputs, and what comes out."""

    name: str
    requirements: tuple[str, ...]
    source: str
    function: str
    inputs: Mapping[str, object]
    value: object

    @property
    def module(self) -> str:
        """The name of its module, and of its file without `.py`."""
        return f"{self.name}_work"

    def write_component(self, folder: Path) -> Path:
        """Write it as a component with `requirements.txt`; the step's file."""
        folder.mkdir(parents=True)
        (folder / "requirements.txt").write_text("\n".join([*self.requirements, ""]), "utf-8")
        file = folder / f"{self.module}.py"
        file.write_text(self.source, "utf-8")
        return file

    def write_script(self, folder: Path, *, is_checked: bool) -> Path:
        """Write it as a PEP 723 script that takes its inputs as one JSON argument.

        A checked one does what orq_runtime does with arguments and result: typeguard looks at every
        element, orjson reads and writes.
        """
        file = folder / f"{self.module}_{'checked' if is_checked else 'script'}.py"
        wanted = [*self.requirements, *(("orjson", "typeguard>=4") if is_checked else ())]
        head = f"# /// script\n# dependencies = {json.dumps(wanted)}\n# ///\n"
        main = _CHECKED_MAIN if is_checked else _MAIN
        file.write_text(head + self.source + main.format(function=self.function), "utf-8")
        return file


WORKLOADS = (
    Workload(
        name="hello",
        requirements=("humanize>=4,<5",),
        source='''\
import humanize


def total(factor: int, numbers: list[int]) -> int:
    """The factor times the sum, by way of its text with commas."""
    return int(humanize.intcomma(factor * sum(numbers)).replace(",", ""))
''',
        function="total",
        inputs={"factor": 1000, "numbers": [2, 3, 5, 7, 11]},
        value=28000,
    ),
    Workload(
        name="sklearn",
        requirements=("numpy", "scikit-learn"),
        source='''\
import numpy as np
from sklearn.linear_model import LinearRegression


def slope(points: int, steepness: float) -> float:
    """The slope that a linear regression finds in points on a line."""
    x = np.arange(points, dtype=float).reshape(-1, 1)
    model = LinearRegression().fit(x, steepness * x[:, 0] + 1.0)
    return round(float(model.coef_[0]), 6)
''',
        function="slope",
        inputs={"points": 100, "steepness": 2.5},
        value=2.5,
    ),
)
