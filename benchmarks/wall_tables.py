"""The tables of `benchmarks.wall`: targets first, then each user's tiers and stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["TARGETS", "tables"]

TARGETS: Final = (
    ("hot median, x `process`", "hot_ratio", 1.10),
    ("added processor time of a run, ms", "added_cpu_ms", 2.0),
    ("added time of a zygote's start, ms", "added_start_ms", 20.0),
)


def tables(result: Mapping[str, Any], circumstances: str) -> str:
    """Markdown."""
    parts = [circumstances]
    lines = ["| target | tier | user | at most | measured | holds |", "|---|---|---|---:|---:|---|"]
    for title, name, most in TARGETS:
        for user, tiers in result["users"].items():
            for tier, row in tiers.items():
                if tier != "process":
                    said = "yes" if row[name] <= most else "no"
                    lines.append(f"| {title} | {tier} | {user} | {most:g} | {row[name]} | {said} |")
    parts.append("\n".join([*lines, ""]))
    for user, tiers in result["users"].items():
        head = "| tier | n | hot median ms | p95 ms | min ms | processor ms a run | first run ms |"
        lines = [f"**{user}**", "", head, "|---|---:|---:|---:|---:|---:|---:|"]
        lines += [
            f"| {tier} | {row['n']} | {row['median_ms']:.2f} | {row['p95_ms']:.2f} "
            f"| {row['min_ms']:.2f} | {row['cpu_ms']:.2f} | {row['start_ms']:.1f} |"
            for tier, row in tiers.items()
        ]
        parts.append("\n".join([*lines, ""]))
        parts += [
            _stages(tier, row["stages_us"]) for tier, row in tiers.items() if row["stages_us"]
        ]
    return "\n".join(parts)


def _stages(tier: str, stages: Mapping[str, Any]) -> str:
    lines = [f"| stage (`{tier}`) | median us | least us |", "|---|---:|---:|"]
    lines += [f"| {name} | {median} | {least} |" for name, (median, least) in stages.items()]
    total = [sum(pair[index] for pair in stages.values()) for index in (0, 1)]
    return "\n".join([*lines, f"| total | {total[0]} | {total[1]} |", ""])
