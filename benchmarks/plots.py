"""Pictures of results as SVG: dots on a scale of powers of ten, and lines over a number.

They have no background and two sets of colours: whoever shows them says whether it is dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Dot", "Line", "dots", "lines"]

_WIDTH = 760
_STYLE = """<style>
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#3a3f47}
.title{font-weight:600;font-size:14px}.small{font-size:11px;fill:#6b727c}
.grid{stroke:#d9dce1}.axis{stroke:#a9afb8}
.ours{stroke:#1668c7;fill:#1668c7}.walled{stroke:#0b7a5b;fill:#0b7a5b}
.plain{stroke:#8a6d1f;fill:#8a6d1f}.base{stroke:#6b727c;fill:#6b727c}
text.ours,text.walled,text.plain,text.base{stroke:none}
path{fill:none!important;stroke-width:2}.dashed{stroke-dasharray:5 4}
@media (prefers-color-scheme:dark){
text{fill:#d5d9e0}.small{fill:#9aa2ae}.grid{stroke:#333942}.axis{stroke:#59616c}
.ours{stroke:#6cb2ff;fill:#6cb2ff}.walled{stroke:#4cc9a0;fill:#4cc9a0}
.plain{stroke:#e0bd5e;fill:#e0bd5e}.base{stroke:#9aa2ae;fill:#9aa2ae}}
</style>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A median with its tail; `kind` is `ours`, `walled`, `plain` or `base`."""

    label: str
    median: float
    p95: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A value for each number of the axis."""

    label: str
    values: Mapping[float, float]
    kind: str
    is_dashed: bool = False


def dots(title: str, unit: str, found: Iterable[Dot], kinds: Mapping[str, str]) -> str:
    """A row for each, the least on top; a line leads from the median to the 95th percentile."""
    rows = sorted(found, key=lambda dot: dot.median)
    left, top, step = 250, 64, 22
    low = math.floor(math.log10(min(dot.median for dot in rows)))
    high = math.ceil(math.log10(max(dot.p95 for dot in rows)))
    scale = (_WIDTH - left - 70) / (high - low)
    bottom = top + step * len(rows)

    def place(value: float) -> float:
        return round(left + (math.log10(value) - low) * scale, 1)

    parts = [_text(8, 20, title, "title"), *_legend(kinds)]
    for power in range(low, high + 1):
        x = place(10.0**power)
        parts.append(_segment(x, top - 8, x, bottom, "grid"))
        parts.append(_text(x, bottom + 16, f"{10.0**power:g} {unit}", "small", "middle"))
    for number, dot in enumerate(rows):
        y = top + step * number + step / 2
        x, tail = place(dot.median), place(dot.p95)
        parts += [
            _text(left - 12, y + 4, dot.label, dot.kind, "end"),
            _segment(x, y, tail, y, dot.kind),
            f'<circle cx="{x}" cy="{y}" r="4.5" class="{dot.kind}"/>',
            _text(tail + 8, y + 4, _number(dot.median), "small"),
        ]
    return _svg(bottom + 28, parts)


def lines(
    title: str,
    axis: str,
    found: Sequence[Line],
    *,
    labels: Mapping[float, str] | None = None,
    is_log: bool = False,
) -> str:
    """All over one axis of multiples; the names stand at the lines' ends.

    Values rise from nothing, or with `is_log` from a power of ten to another.
    """
    left, top, width, height = 64, 44, _WIDTH - 64 - 200, 280
    numbers = sorted({number for line in found for number in line.values})
    values = [value for line in found for value in line.values.values()]
    marks = _powers(min(values), max(values)) if is_log else _steps(max(values))
    turn = math.log10 if is_log else float
    span, rise = math.log(numbers[-1] / numbers[0]) or 1.0, turn(marks[-1]) - turn(marks[0])

    def place(number: float, value: float) -> tuple[float, float]:
        x = left + width * math.log(number / numbers[0]) / span
        return round(x, 1), round(top + height * (turn(marks[-1]) - turn(value)) / rise, 1)

    parts = [_text(8, 20, title, "title")]
    for mark in marks:
        _, y = place(numbers[0], mark)
        parts.append(_segment(left, y, left + width, y, "grid"))
        parts.append(_text(left - 8, y + 4, _number(mark), "small", "end"))
    for number in numbers:
        x, _ = place(number, marks[0])
        label = (labels or {}).get(number, f"{number:g}")
        parts.append(_text(x, top + height + 18, label, "small", "middle"))
    parts.append(_text(left + width / 2, top + height + 36, axis, "small", "middle"))
    for line in found:
        points = [place(number, value) for number, value in sorted(line.values.items())]
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        parts.append(f'<path d="{path}" class="{line.kind}{" dashed" * line.is_dashed}"/>')
    parts += _names(found, [place(max(one.values), one.values[max(one.values)]) for one in found])
    return _svg(top + height + 48, parts)


def _powers(least: float, most: float) -> list[float]:
    """From the power of ten that is below all to the one that is above."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def _steps(most: float) -> list[float]:
    """From nothing to above the most, in round steps."""
    power = 10.0 ** math.floor(math.log10(most / 4))
    step = next(power * part for part in (1, 2, 5, 10) if power * part >= most / 4)
    return [step * index for index in range(math.ceil(most / step) + 1)]


def _names(found: Sequence[Line], ends: Sequence[tuple[float, float]]) -> list[str]:
    """Beside the lines' ends, moved apart where they would cover one another."""
    parts, free = [], 0.0
    for (x, y), line in sorted(zip(ends, found, strict=True), key=lambda pair: pair[0][1]):
        free = max(y, free)
        parts.append(_text(x + 10, free + 4, line.label, line.kind))
        free += 16
    return parts


def _legend(kinds: Mapping[str, str]) -> list[str]:
    parts, x = [], 8.0
    for kind, meaning in kinds.items():
        parts.append(f'<circle cx="{x + 5}" cy="38" r="4.5" class="{kind}"/>')
        parts.append(_text(x + 15, 42, meaning, "small"))
        x += 30 + 6.2 * len(meaning)
    return parts


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text {place} class="{kind}">{escape(text)}</text>'


def _segment(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{kind}"/>'


def _svg(height: float, parts: Iterable[str]) -> str:
    size = f'width="{_WIDTH}" height="{height:g}" viewBox="0 0 {_WIDTH} {height:g}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{_STYLE}\n{body}\n</svg>\n'
